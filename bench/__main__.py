"""How long setup, start and reload take on a booted host, and what a password check costs here.

Prints one table for each Debian release; the median of several runs. Needs root, as the tests of booted hosts do.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from secreg_host import users
from tests.hosts import docker, tree
from tests.hosts.machine import Machine

RUNS = 5


def timed(action: Callable[[], object]) -> float:
    """Seconds that `action` takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def first_login(machine: Machine) -> None:
    """From `systemctl start` on a host that was never set up to a `docker login` that succeeds."""
    machine.run("systemctl", "start", "secure-registry")
    password = machine.read("/etc/secure-registry/.password").strip()
    assert docker.login(machine, "127.0.0.1", "docker", password).returncode == 0


def host_figures(base: Path, deb: Path) -> dict[str, list[float]]:
    """Seconds of each step, of `RUNS` fresh hosts."""
    found: dict[str, list[float]] = {}

    def note(what: str, action: Callable[[], object]) -> None:
        found.setdefault(what, []).append(timed(action))

    with Machine.boot(base, "golden", docker=False) as golden:
        golden.install(deb)
        golden.shutdown()
        for _ in range(RUNS):
            with Machine.boot(golden, "bench") as machine:
                note("setup, new host", lambda: machine.run("secure-registry", "setup"))
                note("setup, again", lambda: machine.run("secure-registry", "setup"))
            with Machine.boot(golden, "bench") as machine:
                note("systemctl start to first docker login", lambda: first_login(machine))
                note("reload, nothing changed", lambda: machine.run("secure-registry", "reload"))
                machine.run("sh", "-c", "echo '# x' >> /etc/secure-registry/nginx.conf")
                note("reload, nginx.conf edited", lambda: machine.run("secure-registry", "reload"))
                machine.run("sh", "-c", "echo '# x' >> /etc/secure-registry/docker-registry.yml")
                note("reload, docker-registry.yml edited", lambda: machine.run("secure-registry", "reload"))
                note("systemctl restart", lambda: machine.run("systemctl", "restart", "secure-registry"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser("bench", description=__doc__)
    parser.add_argument("--release", action="append", help="a Debian release (default: all that are tested)")
    args = parser.parse_args()
    [deb] = Path("dist").glob("secure-registry_*_all.deb")
    system = subprocess.run(["nproc"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{system} cores; median (worst) of {RUNS} runs")
    value = users.make_hash("a password")
    print(f"{'hash a password':40} {timed(lambda: users.make_hash('a password')) * 1000:6.0f} ms (made and checked)")
    print(f"{'check a password':40} {timed(lambda: users.verify('a password', value)) * 1000:6.0f} ms")
    for release in args.release or tree.RELEASES:
        print(f"\nDebian {release}")
        for what, seconds in host_figures(tree.base(release), deb).items():
            print(f"{what:40} {statistics.median(seconds):6.2f} s ({max(seconds):.2f} s)")


if __name__ == "__main__":
    main()
