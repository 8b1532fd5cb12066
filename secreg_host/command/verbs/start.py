"""`secure-registry start`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from secreg_host.apply import apply
from secreg_host.apply.activate import Stage
from secreg_host.apply.wish import Wish
from secreg_host.base.errors import bad_input
from secreg_host.base.paths import Paths
from secreg_host.base.snapshot import Snapshot
from secreg_host.command import foreground, instance, printing
from secreg_host.command.call import Call
from secreg_host.host import host as hosts
from secreg_host.wanted import provision

ABOUT = "set up, then start the registry (the default)"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options to `parser`."""
    parser.add_argument(
        "--foreground", action="store_true", help="run everything under this process; needs neither systemd nor root"
    )
    parser.add_argument(
        "--disposable",
        action="store_true",
        help="with --foreground: in a temporary directory that is removed at the end",
    )
    parser.add_argument(
        "--enable",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="let it start with the host, too",
    )
    parser.add_argument(
        "--watch",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="with --foreground: let edits serve by themselves",
    )


def run(call: Call) -> int:
    """Set up, start, and say how to log in."""
    args = call.args
    if args.disposable and not args.foreground:
        raise bad_input(
            "--disposable", "it goes with --foreground only", "secure-registry start --foreground --disposable"
        )
    if args.disposable:
        with tempfile.TemporaryDirectory(prefix="secure-registry-") as directory:
            Path(directory).chmod(0o711)
            return foreground.run(hosts.discover(Paths(Path(directory))), call.environment, watching=args.watch)
    if args.foreground:
        return foreground.run(instance.in_foreground(call), call.environment, watching=args.watch)
    one = instance.startable(call)
    provision.check(Snapshot(call.paths), call.environment)
    report = apply.apply(Stage(one.host, one.services), Wish("start", call.environment, create=True), one.follow)
    printing.provisioned(one.host, report)
    printing.findings(report.findings)
    one.start()
    if args.enable and one.enable():
        print("secure-registry starts with the host from now on; not any more after: systemctl disable secure-registry")
    return printing.serving(one.host)
