"""Every test of this directory runs on a booted host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.booted.registry import Registry
from tests.hosts.machine import Machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in Path(str(item.fspath)).parents:
            item.add_marker(pytest.mark.host)


@pytest.fixture(scope="module")
def running(installed_base: Machine) -> Iterator[Registry]:
    """A host on which the registry was started once, for all tests of a module; each leaves it as it was."""
    with Machine.boot(installed_base, "host") as machine:
        machine.run("systemctl", "enable", "--now", "secure-registry")
        yield Registry(machine)


@pytest.fixture
def registry(running: Registry) -> Iterator[Registry]:
    """The running one; afterwards it must serve, and its journal must hold nothing that the test did not expect."""
    running.expected.clear()
    mark = running.machine.journal_end()
    yield running
    assert running.login().returncode == 0
    assert running.unexpected(mark) == []
