"""Every test of this directory runs on a booted host."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.booted.registry import Registry, how_it_is
from tests.hosts.machine import Machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in Path(str(item.fspath)).parents:
            item.add_marker(pytest.mark.host)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """How the hosts of a test are that failed: afterwards they are gone."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if not report.failed or report.when == "teardown":
        return
    used = [found.machine if isinstance(found, Registry) else found for found in getattr(item, "funcargs", {}).values()]
    for machine in {id(found): found for found in used if isinstance(found, Machine)}.values():
        with contextlib.suppress(Exception):  # one that is down can't be asked
            report.sections.append((f"host {machine.name}", how_it_is(machine)))


@pytest.fixture
def registry(watched: Registry) -> Iterator[Registry]:
    """The same without the watchdog: edits serve when the test says so."""
    watched.machine.run("systemctl", "stop", "secure-registry-watchdog")  # before mask: systemd wants its last word
    watched.machine.run("systemctl", "mask", "--runtime", "secure-registry-watchdog")
    yield watched


@pytest.fixture
def watched(installed_host: Machine) -> Iterator[Registry]:
    """A host on which the registry was started. Afterwards it serves, and its journal holds nothing unexpected."""
    installed_host.run("systemctl", "enable", "--now", "secure-registry")
    found = Registry(installed_host)
    yield found
    assert found.login().returncode == 0
    odd = found.unexpected()
    assert not odd, "\n".join([*odd, "the journal until then:", *found.until(odd[0])])
