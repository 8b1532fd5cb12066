"""How long setup, start, reload and a user's removal take on booted hosts, and what a password check costs here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import watch
from secreg_host.formats import users
from tests.booted.obstacles import removals
from tests.booted.registry import Registry
from tests.hosts import docker, tree
from tests.hosts.machine import Machine
from tests.real.program import OLD

RUNS = 5
SETUP, START, AGAIN = "setup, new host", "systemctl start to first docker login", "setup, again"
RELOAD, STATUS = "reload, nothing changed", "status"
STATUSES = 5
"""How often it is asked on each host."""

WANTED = {SETUP: 1.0, START: 2.0, AGAIN: 0.4, STATUS: 0.3}
"""Seconds that each may take."""

REMOVED = 1.0
"""Seconds after which a removed user is out, whatever is wrong."""

RESTARTED = "processes that a reload without a change restarts"


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


def processes(machine: Machine) -> set[str]:
    """The processes that serve, nginx's workers included."""
    return set(machine.run("ps", "-C", "nginx,docker-registry", "-o", "pid=,lstart=").stdout.splitlines())


def steps(golden: Machine, runs: int) -> dict[str, list[float]]:
    """Seconds of each step, of `runs` fresh hosts."""
    found: dict[str, list[float]] = {}

    def note(what: str, action: Callable[[], object]) -> None:
        found.setdefault(what, []).append(timed(action))

    for _ in range(runs):
        with Machine.boot(golden, "bench") as machine:
            note(SETUP, lambda: machine.run("secure-registry", "setup"))
            note(AGAIN, lambda: machine.run("secure-registry", "setup"))
        with Machine.boot(golden, "bench") as machine:
            note(START, lambda: first_login(machine))
            for _ in range(STATUSES):
                note(STATUS, lambda: machine.run("secure-registry", "status"))
            machine.run("systemctl", "stop", "secure-registry-watchdog")  # it would be quicker than we are
            machine.run("systemctl", "mask", "secure-registry-watchdog")
            before = processes(machine)
            note(RELOAD, lambda: machine.run("secure-registry", "reload"))
            found.setdefault(RESTARTED, []).append(len(before - processes(machine)))
            machine.run("sh", "-c", "echo '# x' >> /etc/secure-registry/nginx.conf")
            note("reload, nginx.conf edited", lambda: machine.run("secure-registry", "reload"))
            machine.run("sh", "-c", "echo '# x' >> /etc/secure-registry/docker-registry.yml")
            note("reload, docker-registry.yml edited", lambda: machine.run("secure-registry", "reload"))
            note("systemctl restart", lambda: machine.run("systemctl", "restart", "secure-registry"))
    return found


def measure(say: Callable[[str], None], deb: Path, releases: list[str], *, quick: bool = False) -> dict[str, Any]:
    """Steps and the watchdog of each release, and the cost of a hash."""
    value = users.make_hash("a password")
    found: dict[str, Any] = {"password": {
        "make and check a hash": timed(lambda: users.make_hash("a password")),
        "check a hash": timed(lambda: users.verify("a password", value)),
    }}  # fmt: skip
    for number, release in enumerate(releases):
        say(f"hosts: {release}")
        with with_package(release, deb) as golden, with_package(release, OLD) as old:
            found[release] = {"steps": steps(golden, 1 if quick else RUNS)}
            say(f"watch: {release}")
            found[release] |= watch.measure(golden, old, quick=quick)
            say(f"removed users: {release}")
            with Machine.boot(golden, "bench") as machine:
                machine.run("systemctl", "start", "secure-registry")
                found[release]["removed"] = dict(removals(Registry(machine), commands_first=number % 2 == 0))
    return found


@contextmanager
def with_package(release: str, deb: Path) -> Iterator[Machine]:
    """A host that is off, on which a package was installed; others are copies of it."""
    with Machine.boot(tree.base(release), "golden", docker=False) as golden:
        golden.install(deb)
        golden.shutdown()
        yield golden
