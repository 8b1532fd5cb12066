"""Rules for every test: no subprocess and no bus without the mark that says so; nothing may be skipped in CI."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from secreg_host.base import journal, process
from secreg_host.base.paths import Paths
from secreg_host.base.process import Account
from secreg_host.host.host import Accounts, Host

pytest_plugins = ("tests.hosts.fixtures", "tests.hosts.summary")

# the same examples each time, however slow the machine is
settings.register_profile("gate", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gate")

IN_CI = bool(os.environ.get("CI"))


class Banned(BaseException):
    """Not an Exception, so that no handler of the program swallows it."""


@pytest.fixture(autouse=True)
def no_outside_world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs and the bus are banned for tests without the marks `real` or `host`. What is logged is told as ever."""
    journal.start()
    if request.node.get_closest_marker("real") or request.node.get_closest_marker("host"):
        return

    def banned(*args: object, **_: object) -> None:
        raise Banned(f"a unit test wanted to run {args}: mark it real")

    monkeypatch.setattr("secreg_host.base.journal.JOURNAL", "/nowhere")
    monkeypatch.setattr(process, "run", banned)
    monkeypatch.setattr(process, "spawn", banned)
    monkeypatch.setattr("secreg_host.base.systemd.Systemd.__init__", banned)


@pytest.hookimpl(tryfirst=True)  # xdist looks at the marks in its own hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of one release run on that one, long ones not at all, unless all is asked for. With several workers
    (`pytest -n 2`), the hosts of a release are one worker's: it installs the package once."""
    from tests.hosts.fixtures import releases

    known = releases()
    for item in list(items):
        parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        if not (release := parameters.get("release")):
            continue
        item.add_marker(pytest.mark.xdist_group(release))
        only = item.get_closest_marker("one_release")
        elsewhere = only is not None and release != known[only.args[0]]
        if (elsewhere or item.get_closest_marker("long")) and "SECREG_ALL_RELEASES" not in os.environ:
            items.remove(item)
            config.hook.pytest_deselected(items=[item])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """In CI a skipped test is a failed one."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped; nothing may be skipped in CI"


@pytest.fixture
def root() -> Iterator[Path]:
    """A directory with a short name: unix sockets below it have 107 bytes at the most."""
    directory = Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def host(root: Path) -> Host:
    """A host below a temporary root, all of whose accounts are the one that runs the test."""
    me = Account(str(os.geteuid()), os.geteuid(), os.getegid())
    return Host(Paths(root), Accounts(me, me, me))
