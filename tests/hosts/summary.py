"""The end of a run: what ran on which host. A plugin of pytest, for one process or several (pytest-xdist)."""

from __future__ import annotations

import platform
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter

from tests.hosts import machine

SHOWN = ("systemd", "docker.io", "podman")
"""Packages of a host's base tree whose versions are told."""

RELEASE = "host's release"

_ran: Counter[tuple[str, str]] = Counter()
_boots: Counter[str] = Counter()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note where the test runs; a report carries that to the process that counts."""
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    item.user_properties.append((RELEASE, parameters.get("release", "")))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.failed:
        outcome = "failed" if report.failed else report.outcome
        _ran[str(dict(report.user_properties).get(RELEASE, "")), outcome] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    found = {str(base): number for base, number in machine.boots.items()}
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["boots"] = found
    else:
        _boots.update(found)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _boots.update(getattr(node, "workeroutput", {}).get("boots", {}))


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    if not _ran:
        return
    terminalreporter.section("what ran where")
    for where in sorted({where for where, _ in _ran}):
        counts = ", ".join(f"{number} {outcome}" for (at, outcome), number in sorted(_ran.items()) if at == where)
        terminalreporter.write_line(f"{_about(where)}: {counts}")


def _about(where: str) -> str:
    if not where:
        return f"this machine ({platform.freedesktop_os_release()['PRETTY_NAME']}, Python {platform.python_version()})"
    boots = {Path(base): number for base, number in _boots.items() if Path(base).name.startswith(f"{where}-")}
    versions: dict[str, str] = {}
    for base in boots:
        versions |= _versions(base)
    known = ", ".join(f"{name} {versions[name]}" for name in SHOWN if name in versions)
    return f"{where} ({known or 'no host was booted'}; {sum(boots.values())} boots)"


def _versions(base: Path) -> dict[str, str]:
    """The packages of a tree and their upstream versions."""
    listing = (base / "var/lib/dpkg/status").read_text()
    found = re.findall(r"(?ms)^Package: (\S+)$.*?^Version: (?:\d+:)?([^\s-]+)", listing)
    return {name: version.partition("+")[0] for name, version in found}
