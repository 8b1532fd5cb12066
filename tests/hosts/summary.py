"""The end of a run: what ran on which host. A plugin of pytest."""

from __future__ import annotations

import platform
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.hosts import machine

SHOWN = ("systemd", "docker.io", "podman")
"""Packages of a host's base tree whose versions are told."""

_ran: Counter[tuple[str, str]] = Counter()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):  # type: ignore[no-untyped-def]
    report = (yield).get_result()
    if report.when == "call":
        where = getattr(item, "callspec", None) and item.callspec.params.get("release")  # type: ignore[attr-defined]
        _ran[str(where or "here"), report.outcome] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _ran:
        return
    terminalreporter.section("what ran where")
    places = dict.fromkeys(where for where, _ in _ran)
    for where in sorted(places, key=lambda place: (place != "here", place)):
        counts = ", ".join(f"{number} {outcome}" for (at, outcome), number in sorted(_ran.items()) if at == where)
        terminalreporter.write_line(f"{_about(where)}: {counts}")


def _about(where: str) -> str:
    if where == "here":
        return f"this machine ({platform.freedesktop_os_release()['PRETTY_NAME']}, Python {platform.python_version()})"
    boots = {base: number for base, number in machine.boots.items() if base.name.startswith(f"{where}-")}
    versions: dict[str, str] = {}
    for base in boots:
        versions |= {name: version for name, version in _versions(base).items() if name in SHOWN}
    known = ", ".join(f"{name} {versions[name]}" for name in SHOWN if name in versions)
    return f"{where} ({known or 'no host was booted'}; {sum(boots.values())} boots)"


def _versions(base: Path) -> dict[str, str]:
    """The packages of a tree and their upstream versions."""
    listing = (base / "var/lib/dpkg/status").read_text()
    found = re.findall(r"(?ms)^Package: (\S+)$.*?^Version: (?:\d+:)?([^\s-]+)", listing)
    return {name: version.partition("+")[0] for name, version in found}
