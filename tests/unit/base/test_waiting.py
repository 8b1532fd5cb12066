"""Waiting for a fact, by a clock that the test sets."""

from __future__ import annotations

import pytest

from secreg_host.base import waiting


class Clock:
    """A clock that only sleeping moves; slept: each pause."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(waiting, "time", made)
    return made


def test_a_fact_ends_the_wait_at_once(clock: Clock) -> None:
    facts = iter(["", "", "it is there"])
    assert waiting.until(lambda: next(facts), 60, 0.5) == "it is there"
    assert clock.slept == [0.5, 0.5]


def test_what_never_holds_is_looked_for_to_the_end_and_no_longer(clock: Clock) -> None:
    seen: list[float] = []
    assert waiting.until(lambda: seen.append(clock.now), 1.0, 0.4) is None
    assert seen == pytest.approx([1000.0, 1000.4, 1000.8, 1001.0])
    assert clock.slept[-1] == pytest.approx(0.2)


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_without_time_there_is_one_look(clock: Clock, seconds: float) -> None:
    looks: list[None] = []
    assert not waiting.until(lambda: looks.append(None), seconds)
    assert (len(looks), clock.slept) == (1, [])


def test_a_look_that_takes_longer_than_there_is_time_is_the_last(clock: Clock) -> None:
    looks: list[None] = []

    def slow() -> None:
        looks.append(None)
        clock.now += 5

    waiting.until(slow, 1.0)
    assert (len(looks), clock.slept) == (1, [])


def test_between_two_looks_others_have_their_turn(clock: Clock) -> None:
    did: list[str] = []
    waiting.until(lambda: did.append("look"), 0.02, 0.01, lambda: did.append("meanwhile"))
    assert did == ["look", "meanwhile", "look", "meanwhile", "look"]
    did.clear()
    waiting.until(lambda: True, 0.02, 0.01, lambda: did.append("meanwhile"))
    assert did == [], "nobody waits"


def test_pauses_grow_to_the_longest(clock: Clock) -> None:
    for _ in waiting.looks(10.0, 1.0, longest=1.5):
        pass
    assert clock.slept[:4] == pytest.approx([1.0, 1.2, 1.44, 1.5])


def test_a_loop_that_was_in_vain_is_told(clock: Clock) -> None:
    for _ in waiting.looks(1.0):
        if clock.now > 1000.5:
            break
    else:
        pytest.fail("it was there")
    for _ in waiting.looks(1.0):
        pass
    else:
        return
    pytest.fail("it never was")


def test_deadlines(clock: Clock) -> None:
    soon, later = waiting.within(1.0), waiting.within(2.0)
    assert min(later, soon) is soon and soon.left == 1.0 and not soon.over
    clock.now += 1.5
    assert soon.over and soon.left == 0.0 and later.left == 0.5
