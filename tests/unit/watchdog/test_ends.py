"""Whose time is over is out: the watchdog asks for an apply when that is so, whatever the report says."""

from __future__ import annotations

import ctypes
import select
import time
from typing import Any

import pytest

from secreg_host.base import records
from secreg_host.watchdog import alarm, ends
from secreg_host.watchdog.alarm import Alarm
from secreg_host.watchdog.events import Events
from secreg_host.watchdog.watch import CHECK_SECONDS, RETRY_SECONDS, Watcher
from tests.unit.watchdog.test_watch import Applies, applies

__all__ = ["applies"]


def end(applies: Applies, seconds: float) -> None:
    """Somebody comes to an end in so many `seconds`."""
    (applies.paths.users_live / ends.FILE).write_text(str(int(time.time() + seconds)))


@pytest.mark.promise("robots-end")
def test_an_apply_is_asked_for_when_somebody_came_to_an_end(applies: Applies) -> None:
    """By whatever woke us: the clock may have been set."""
    watcher = Watcher(applies.paths, applies)
    end(applies, 3600)
    watcher.look(periodic=False)
    assert (applies.asked, watcher.pause) == (0, CHECK_SECONDS)
    end(applies, 10)
    watcher.look(periodic=False)
    assert applies.asked == 0 and 8 < watcher.pause <= 10
    end(applies, -1)
    applies.then = lambda: end(applies, 3600)
    watcher.look(periodic=False)
    watcher.look(periodic=False)
    assert applies.asked == 1
    end(applies, -1)
    watcher.look(periodic=False)
    assert applies.asked == 2, "the next one, too, though no file changed since"
    end(applies, -60)
    watcher.look(periodic=False)
    assert applies.asked == 3, "and one that comes at once"


@pytest.mark.promise("robots-end")
def test_a_report_that_can_not_be_written_keeps_nobody_in(applies: Applies) -> None:
    """When it was, is beside the users, in memory."""
    watcher = Watcher(applies.paths, applies)
    report = records.peek(applies.paths.report, records.REPORT)
    records.save(applies.paths.report, report | {"again": time.time() + 9999})
    end(applies, -1)
    applies.then = lambda: None
    watcher.look(periodic=False)
    assert (applies.asked, watcher.pause) == (1, RETRY_SECONDS[0])
    watcher.look(periodic=False)
    assert applies.asked == 1, "an event that changes nothing does not hurry it"
    for number, pause in enumerate((*RETRY_SECONDS[1:], CHECK_SECONDS), start=2):
        watcher.look(periodic=True)
        assert (applies.asked, watcher.pause) == (number, pause)


@pytest.mark.promise("robots-end")
def test_a_slow_apply_begins_anew_when_somebody_comes_to_an_end(
    applies: Applies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secreg_host.watchdog.watch.PATIENCE_SECONDS", 0.0)
    urgent = Watcher(applies.paths, applies).hurry()
    end(applies, 3600)
    assert not urgent()
    end(applies, -1)
    assert urgent() and not urgent()
    end(applies, 3600)
    assert not urgent(), "it did what it was to do"


@pytest.mark.parametrize("text", ["", "x", "-", "9" * 100])
def test_what_is_no_moment_is_none_or_far_away(applies: Applies, text: str) -> None:
    (applies.paths.users_live / ends.FILE).write_text(text)
    assert not ends.come(applies.paths)


def ready(found: Alarm, seconds: float) -> bool:
    return bool(select.select([found.descriptor], [], [], seconds)[0])


@pytest.mark.promise("robots-end")
def test_the_moment_is_told_by_the_hosts_clock() -> None:
    found = Alarm()
    assert not ready(found, 0)
    found.set(time.time() + 1)
    assert ready(found, 20)
    found.take()
    found.set(time.time() - 5)
    assert not ready(found, 0), "what has come is known"
    found.set(time.time() + 1e9)
    assert not ready(found, 0)
    found.close()


@pytest.mark.promise("robots-end")
def test_that_the_clock_is_set_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel is asked for it: no test may set the clock."""
    asked: list[tuple[int, int]] = []
    libc = alarm._libc()

    class Libc:
        def timerfd_create(self, *words: int) -> int:
            assert words[0] == 0, "CLOCK_REALTIME"
            return int(libc.timerfd_create(*words))

        def timerfd_settime(self, descriptor: int, flags: int, timer: Any, _: None) -> int:
            asked.append((flags, ctypes.cast(timer, ctypes.POINTER(alarm.Timer)).contents.value.seconds))
            return 0

    monkeypatch.setattr(alarm, "_libc", Libc)
    found, at = Alarm(), int(time.time()) + 1000
    found.set(at)
    found.set(0)
    found.close()
    assert asked == [(1 | 2, at), (1 | 2, 0)], "TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET"


def test_the_watchdog_wakes_up_at_the_moment() -> None:
    found = Events()
    found.alarm.set(time.time() + 1)
    assert found.wait(20) and not found.wait(0)
    found.close()
