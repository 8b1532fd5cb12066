"""A host to play with: `python -m tests.hosts.shell --release trixie [--deb PATH]`. It is gone when the shell ends."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.hosts import tree
from tests.hosts.machine import Machine


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.hosts.shell", description=__doc__)
    parser.add_argument("--release", default=tree.RELEASES[-1], help="Debian release (default: %(default)s)")
    parser.add_argument("--deb", type=Path, help="a package to install first")
    parser.add_argument("--name", default="host", help="host name (default: %(default)s)")
    parser.add_argument("--no-docker", action="store_true", help="boot without dockerd")
    parser.add_argument("--on-disk", action="store_true", help="keep its files on disk instead of in memory")
    parser.add_argument("command", nargs="*", help="what to run instead of a shell")
    options = parser.parse_args()
    try:
        base = tree.base(options.release)
    except tree.Unavailable as error:
        print(f"tests.hosts.shell: {error}", file=sys.stderr)
        return 1
    with Machine.boot(base, options.name, volatile=not options.on_disk, docker=not options.no_docker) as machine:
        if options.deb:
            print(machine.install(options.deb.resolve(strict=True)).stdout)
        print(
            f"{options.release} host {machine.name} at {machine.address}; its files: {machine.root}/", file=sys.stderr
        )
        terminal = {"TERM": os.environ.get("TERM", "dumb")}
        # a terminal and a control group of its own, as a login would have
        pty = ["--pty"] if sys.stdin.isatty() else ["--pipe", "--wait"]
        run = ["systemd-run", "--quiet", "--collect", *pty, f"--setenv=TERM={terminal['TERM']}", "--setenv=HOME=/root"]
        argv = options.command or ["bash", "--login"]
        return subprocess.call(machine.command(*run, "--working-directory=/root", "--", *argv, env=terminal))


if __name__ == "__main__":
    sys.exit(main())
