"""When the watchdog asks for an apply: until one has seen the files as they are, with pauses that grow."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from secreg_host.base import records, waiting
from secreg_host.base.errors import SecregError
from secreg_host.base.paths import Paths
from secreg_host.wanted import sources
from secreg_host.watchdog import watch
from secreg_host.watchdog.watch import CHECK_SECONDS, RETRY_SECONDS, Watcher


class Applies:
    """Counts what is asked for; each apply does what `then` does."""

    def __init__(self, paths: Paths) -> None:
        self.paths, self.asked = paths, 0
        self.then: Callable[[], None] = self.see

    def see(self) -> None:
        """What an apply that comes to its end leaves."""
        now = sources.fingerprint(self.paths, ())
        records.save(self.paths.report, {"generation": "one", "fingerprint": now, "findings": []})

    def __call__(self, urgent: Callable[[], bool]) -> None:
        self.asked += 1
        self.then()


@pytest.fixture
def applies(tmp_path: Path) -> Applies:
    paths = Paths(tmp_path)
    paths.etc.mkdir(parents=True)
    paths.htpasswd.touch()
    paths.users_live.mkdir(parents=True)
    found = Applies(paths)
    found.see()
    return found


@pytest.mark.promise("changes-are-seen")
def test_a_change_is_asked_for_once(applies: Applies) -> None:
    watcher = Watcher(applies.paths, applies)
    for _ in range(3):
        watcher.look(periodic=False)
    assert applies.asked == 0
    (applies.paths.etc / "new").touch()
    for _ in range(3):
        watcher.look(periodic=False)
    assert (applies.asked, watcher.pause) == (1, CHECK_SECONDS)


@pytest.mark.promise("renewals-are-noticed")
def test_what_tells_nothing_of_a_change_is_looked_at_every_half_a_minute(applies: Applies, tmp_path: Path) -> None:
    """As a link to a network file system, where another host writes."""
    far, watcher = tmp_path / "far", Watcher(applies.paths, applies)
    far.write_text("old")
    (applies.paths.etc / "docker-registry.crt").symlink_to(far)
    applies.see()
    watcher.look(periodic=True)
    assert (applies.asked, watcher.pause) == (0, 30)
    far.write_text("renewed")
    watcher.look(periodic=True)
    assert applies.asked == 1


@pytest.mark.promise("changes-are-seen")
@pytest.mark.parametrize("fails", [True, False])
def test_an_apply_that_did_not_see_the_change_is_followed_by_others(applies: Applies, fails: bool) -> None:
    """It was killed, it failed, or it had begun earlier: the next at once, then with pauses, until one sees it."""

    def then() -> None:
        if fails:
            raise SecregError("killed")

    applies.then = then
    watcher = Watcher(applies.paths, applies)
    (applies.paths.etc / "new").touch()
    watcher.look(periodic=False)
    for number, pause in enumerate((*RETRY_SECONDS, CHECK_SECONDS, CHECK_SECONDS), start=1):
        assert (applies.asked, watcher.pause) == (number, pause)
        watcher.look(periodic=False)  # an event that changes nothing does not hurry it
        watcher.look(periodic=True)
    applies.then = applies.see
    watcher.look(periodic=True)
    asked = applies.asked
    watcher.look(periodic=True)
    assert (applies.asked, watcher.pause) == (asked, CHECK_SECONDS)


def test_what_was_tried_may_come_back(applies: Applies) -> None:
    """A file system is mounted upon the directory while an apply runs, which sees that one, and taken away again."""
    etc, upon, below = applies.paths.etc, applies.paths.etc.with_name("upon"), applies.paths.etc.with_name("below")
    upon.mkdir()
    (upon / ".htpasswd").touch()

    def covered() -> None:
        etc.rename(below)
        upon.rename(etc)
        applies.see()

    applies.then = covered
    watcher = Watcher(applies.paths, applies)
    (etc / "new").touch()
    watcher.look(periodic=False)
    watcher.look(periodic=True)
    assert (applies.asked, watcher.pause) == (1, CHECK_SECONDS)
    etc.rename(upon)
    below.rename(etc)
    applies.then = applies.see
    watcher.look(periodic=False)
    assert applies.asked == 2


def test_users_that_are_gone_from_memory_are_brought_back(applies: Applies) -> None:
    """Somebody emptied /run: the files of /etc are as they were, and nobody is let in."""
    watcher = Watcher(applies.paths, applies)
    watcher.look(periodic=True)
    assert applies.asked == 0
    applies.paths.users_live.rmdir()
    watcher.look(periodic=True)
    assert applies.asked == 1


@pytest.mark.promise("nothing-slow-holds-up-users")
def test_what_can_not_wait(applies: Applies, monkeypatch: pytest.MonkeyPatch) -> None:
    """.htpasswd changed while an apply runs: it is told once for each change, and more and more patiently."""
    now = 1000.0
    monkeypatch.setattr(waiting.time, "monotonic", lambda: now)
    urgent = Watcher(applies.paths, applies).hurry()
    (applies.paths.etc / "nginx.conf").touch()
    now += 10
    assert not urgent()
    for number, patience in enumerate((1, 2, 4)):
        os.utime(applies.paths.htpasswd, (number, number))
        assert not urgent()
        now += watch.PATIENCE_SECONDS * (patience - 0.5)
        assert not urgent()
        now += watch.PATIENCE_SECONDS
        assert urgent()
        assert not urgent()


def test_a_damaged_report_is_made_anew(applies: Applies) -> None:
    """Else nobody would be told of any change, and a removed user would stay in."""
    applies.paths.current.parent.mkdir(parents=True, exist_ok=True)
    watcher = Watcher(applies.paths, applies)
    for damage in (b"{half", b"", b"[]", b'{"generation": []}'):
        applies.paths.report.write_bytes(damage)
        watcher.look(periodic=True)
        assert applies.asked == 0, "nothing serves"
    applies.paths.current.symlink_to("generations/one")
    for number, damage in enumerate((b"{half", b"", b"[]", b'{"generation": []}'), 1):
        applies.paths.report.write_bytes(damage)
        watcher.look(periodic=True)
        watcher.look(periodic=True)
        assert applies.asked == number


@pytest.mark.promise("time-alone")
def test_when_time_alone_changes_something_it_is_asked_for_then(
    applies: Applies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that becomes valid, is to be renewed, or to be told."""
    now = 1_800_000_000.0
    monkeypatch.setattr(watch.time, "time", lambda: now)
    report = {**records.load(applies.paths.report, records.REPORT), "again": now + 7}
    records.save(applies.paths.report, report)
    watcher = Watcher(applies.paths, applies)
    watcher.look(periodic=True)
    assert applies.asked == 0 and watcher.pause == 7
    now += 7
    watcher.look(periodic=True)
    assert (applies.asked, watcher.pause) == (1, CHECK_SECONDS)
    watcher.look(periodic=True)
    assert applies.asked == 1
