"""Components: since when each is as it is, what is told once, and what a kept look gives back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from secreg_host.base.paths import Paths
from secreg_host.host.activity import Activity
from secreg_host.observe import hung, kept, state
from secreg_host.observe.hung import Hung
from secreg_host.observe.kept import Kept, Told
from secreg_host.observe.state import Component, State

WELL = state.ok(Component.REGISTRY, "registry 2.8.2", version="2.8.2")
AWAY = state.down(Component.REGISTRY, "it does not answer", "restart it")
FULL = state.warning(Component.STORE, "it fills up", "free some", "disk")


def test_a_state_lasts_as_long_as_its_condition() -> None:
    first = state.dated([AWAY], [], 100.0)
    later = state.dated([state.down(Component.REGISTRY, "another reason", "restart it")], first, 200.0)
    assert [one.since for one in (*first, *later)] == [100.0, 100.0]
    (well,) = state.dated([WELL], later, 300.0)
    assert well.since == 300.0, "it is another condition"


def test_each_change_is_told_once() -> None:
    assert state.changes([AWAY, FULL], []) == (("down", AWAY), ("disk", FULL))
    assert state.changes([AWAY, FULL], [AWAY, FULL]) == ()
    assert state.changes([WELL], [AWAY, FULL]) == (("resolved", WELL),)
    assert state.changes([WELL], [WELL]) == ()


def test_what_one_look_alone_found_is_not_told() -> None:
    """A process that was killed is back at the next one."""
    assert state.agreed([AWAY, FULL], []) == ()
    assert state.agreed([AWAY, FULL], [AWAY]) == (AWAY,)
    assert state.agreed([WELL], [AWAY]) == (WELL,), "what is well again is told at once"
    assert state.merged([AWAY, FULL], [WELL]) == (WELL, FULL)


@pytest.mark.parametrize(
    ("before", "serving", "unit", "since"),
    [
        (Kept(), True, 50.0, 50.0),  # nothing is known: since nginx was started
        (Kept(), True, 0.0, 900.0),
        (Kept(), False, 50.0, 900.0),
        (Kept(800.0, 60.0, True), True, 50.0, 60.0),  # an apply in between changes nothing
        (Kept(800.0, 60.0, True), True, 850.0, 850.0),  # nginx was started since
        (Kept(800.0, 60.0, True), False, 50.0, 900.0),
        (Kept(800.0, 700.0, False), False, 50.0, 700.0),
        (Kept(800.0, 700.0, False), True, 50.0, 800.0),  # it came back after the last look
    ],
)
def test_serves_since(before: Kept, serving: bool, unit: float, since: float) -> None:
    assert before.begun(serving=serving, unit=unit, now=900.0) == since


def test_a_look_is_kept(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    assert (kept.load(paths), kept.told(paths)) == (Kept(), None)
    paths.run.mkdir(parents=True)
    look, told = Kept(5.0, 4.0, True, (WELL, AWAY)), Told(5.0, "it serves", "OK", 0, {"serving": True})
    kept.save(paths, look, told)
    assert (kept.load(paths), kept.told(paths)) == (look, told)
    assert kept.path(paths).stat().st_mode & 0o777 == 0o644, "others than root are told"


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"taken": "x"}', b'{"taken": 1}'])
def test_a_damaged_look_is_none(tmp_path: Path, damage: bytes) -> None:
    paths = Paths(tmp_path)
    paths.run.mkdir(parents=True)
    kept.path(paths).write_bytes(damage)
    assert (kept.load(paths), kept.told(paths)) == (Kept(), None)


def test_what_a_later_version_knows_is_passed_over() -> None:
    known = WELL.as_json
    assert state.restored(known) == WELL
    assert state.restored({**known, "component": "moon"}) is None
    assert state.restored({**json.loads(json.dumps(known)), "more": 1}) == WELL


STOPPED, BUSY, IDLE = Activity(True, False, 7), Activity(False, False, 8), Activity(False, False, 7)


def hangs(
    looks: Sequence[tuple[tuple[State, ...], Activity | None]], component: Component = Component.REGISTRY
) -> list[Component | None]:
    found = Hung()
    ended = [found.judge(states, {component: activity}) for states, activity in looks]
    return [next(iter(one), None) for one in ended]


@pytest.mark.promise("hung-processes")
def test_what_is_stopped_is_ended_after_three_looks_and_not_again() -> None:
    assert hangs([((AWAY,), STOPPED)] * 7) == [None, None, Component.REGISTRY, None, None, None, None]


@pytest.mark.promise("hung-processes")
def test_what_uses_no_time_is_ended_and_what_works_is_not() -> None:
    working = [((AWAY,), Activity(False, False, ticks)) for ticks in range(6)]
    assert hangs(working) == [None] * 6
    assert hangs([((AWAY,), IDLE)] * 4) == [None, None, None, Component.REGISTRY], "the first look knows no time before"


def test_what_answers_in_between_begins_anew() -> None:
    assert hangs([((AWAY,), STOPPED)] * 2 + [((WELL,), BUSY)] + [((AWAY,), STOPPED)] * 2) == [None] * 5


@pytest.mark.promise("hung-processes")
def test_a_registry_whose_store_hangs_is_left_alone() -> None:
    store = state.down(Component.STORE, "does not answer", "see to that mount")
    assert hangs([((AWAY, store), STOPPED)] * 5) == [None] * 5
    assert hangs([((AWAY,), STOPPED._replace(waiting=True))] * 5) == [None] * 5
    front = state.down(Component.FRONT, "no answer", "restart it")
    assert hangs([((front, store), STOPPED)] * 3, Component.FRONT)[-1] is Component.FRONT


def test_each_process_has_a_pause_of_its_own() -> None:
    """Seen: a registry that hung just after nginx had was named, and left so for five minutes."""
    found, front = Hung(), state.down(Component.FRONT, "no answer", "restart it")
    stopped: dict[Component, Activity | None] = dict.fromkeys((Component.FRONT, Component.REGISTRY), STOPPED)
    looks = [(front,), (front,), (front, AWAY), (AWAY,), (AWAY, front), (front,), (front, AWAY)]
    ended = [found.judge(states, stopped) for states in looks]
    assert ended == [(), (), (Component.FRONT,), (), (Component.REGISTRY,), (), ()]
    both = Hung()
    assert [both.judge((front, AWAY), stopped) for _ in range(3)][-1] == (Component.FRONT, Component.REGISTRY)


@pytest.mark.promise("hung-processes")
def test_after_a_while_it_is_ended_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hung.AGAIN_SECONDS == 300
    monkeypatch.setattr(hung, "AGAIN_SECONDS", 0.0)
    assert hangs([((AWAY,), STOPPED)] * 6)[2::3] == [Component.REGISTRY] * 2
