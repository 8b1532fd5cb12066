"""What it costs to watch, on a booted host: inotify instances of the watchdog (root has 128 on a host), its threads and
its memory, of this version and of 0.1.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import hosts, usage, watch
from tests.hosts.machine import Machine
from tests.real.program import OLD

ROWS = (
    ("instances of inotify", "instances"),
    ("threads", "threads"),
    ("memory of its own (MB)", "own"),
    ("resident (MB)", "resident"),
)
"""Titles and keys of the figures."""

WATCHDOG, RELOAD = "secure-registry-watchdog.service", "secure-registry-reload.service"
EDITED = "/etc/secure-registry/nginx.conf"


def measure(say: Callable[[str], None], deb: Path, releases: list[str]) -> dict[str, Any]:
    """The figures of each release, of this version and of the one before."""
    found: dict[str, Any] = {}
    for release in releases:
        found[release] = {}
        for name, package in (("secure-registry", deb), (watch.OLD, OLD)):
            say(f"watchdog: {release}, {name}")
            with hosts.with_package(release, package) as golden, Machine.boot(golden, "costs", docker=False) as machine:
                found[release][name] = of_watchdog(machine)
    return found


def of_watchdog(machine: Machine) -> dict[str, float]:
    """The figures of a watchdog that has seen a change through."""
    machine.run("systemctl", "start", "secure-registry")
    mark = machine.journal_end()
    machine.run("sh", "-c", f"echo '# watched' >> {EDITED}")

    def is_through() -> bool:
        lines = [entry["MESSAGE"] for entry in machine.journal(after=mark)]
        return any(line.startswith("Finished") and RELOAD in line for line in lines)

    machine.wait_for("the change", is_through)
    return usage.watching(watch.main_pid(machine, WATCHDOG))
