"""The observer: what is told after two looks, once; what is proven when; and what is ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secreg_host.apply import clientproof
from secreg_host.apply.report import Report
from secreg_host.base.errors import SecregError
from secreg_host.base.paths import Paths
from secreg_host.clients.docker import dockerproxies
from secreg_host.images import owners
from secreg_host.observe import hung, look, observer, proof, scene, state, views
from secreg_host.observe.look import Look
from secreg_host.observe.observer import Observer
from secreg_host.observe.proof import NONE, Proof
from secreg_host.observe.state import Component, State
from secreg_host.services import sockets
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import RegistryPart

WELL = (state.ok(Component.FRONT, "answers"), state.ok(Component.PASSWORDS, "are checked"))
DOWN = (WELL[0], state.down(Component.PASSWORDS, "it hangs", "restart it"))


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[str, str]]]:
    """What is told of looks that find the states that are given (None: nothing can be looked at)."""
    paths = Paths(tmp_path)
    paths.run.mkdir(parents=True)
    host: Any = SimpleNamespace(paths=paths)
    generation: Any = SimpleNamespace(slot="a", parts={})
    monkeypatch.setattr(views, "keep", lambda _: None)
    monkeypatch.setattr(look, "systemd_of", lambda _: None)
    monkeypatch.setattr(sockets, "lost", lambda *_: [])
    monkeypatch.setattr(scene, "of", lambda *_: SimpleNamespace(activity=lambda _: None, manager=None))

    def told(*looks: tuple[State, ...] | None, pauses: list[float] | None = None) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        pending = iter(looks)

        def once() -> Look:
            states = next(pending)
            if states is None:
                raise SecregError("nothing", "to be seen")
            return Look(host, generation, Report("", 0.0), states, "", "active (running)", 1.0, 2.0)

        one = Observer(once, lambda event, about: found.append((event, about.component)))
        ran = [one.once() for _ in looks]
        if pauses is not None:
            pauses += ran
        return found

    return told


@pytest.mark.promise("observer")
def test_what_two_looks_find_is_told_once(watched: Callable[..., list[tuple[str, str]]]) -> None:
    assert watched(WELL, DOWN, DOWN, DOWN) == [("down", "passwords")]
    assert watched(WELL, DOWN, WELL, DOWN, WELL) == [], "it was back at the next look"
    assert watched(DOWN, DOWN, WELL, WELL) == [("down", "passwords"), ("resolved", "passwords")]
    assert watched(DOWN, None, DOWN) == [("down", "passwords")]


@pytest.mark.promise("observer")
def test_what_is_wrong_is_looked_at_again_soon(watched: Callable[..., list[tuple[str, str]]]) -> None:
    """Seen: `down` was told 33 to 60 s after it broke. Once it is told, it costs no more than what is well."""
    pauses: list[float] = []
    watched(WELL, DOWN, DOWN, DOWN, WELL, None, DOWN, pauses=pauses)
    late, soon = observer.LOOK_SECONDS, observer.AGAIN_SECONDS
    assert pauses == [late, soon, late, late, late, late, soon] and late + soon <= 25


def test_a_dockerd_that_was_started_anew_is_looked_at(
    watched: Callable[..., list[tuple[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: a proxy in its way, or no longer, was told at the next reload."""
    jobs: list[tuple[str, str]] = []
    found: Iterator[bool | SecregError] = iter([False, True, SecregError("nobody answers"), False])

    def unheard(*_: object) -> bool:
        one = next(found)
        if isinstance(one, SecregError):
            raise one
        return one

    manager = SimpleNamespace(job=lambda method, unit, **_: jobs.append((method, unit)))
    monkeypatch.setattr(look, "systemd_of", lambda _: manager)
    monkeypatch.setattr(dockerproxies, "unheard", unheard)
    assert watched(WELL, WELL, WELL, WELL) == []
    assert jobs == [("StartUnit", "secure-registry-reload.service")]


def test_sockets_that_were_removed_are_made_again_once_in_a_while(
    watched: Callable[..., list[tuple[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: without the queue's, all was called well until a reload, and after it."""
    found: Iterator[list[str] | SecregError] = iter([[], SecregError("nobody"), ["b"], ["a", "b"], ["a"]])
    jobs: list[str] = []

    def lost(*_: object) -> list[str]:
        one = next(found)
        if isinstance(one, SecregError):
            raise one
        return one

    monkeypatch.setattr(look, "systemd_of", lambda _: SimpleNamespace())
    monkeypatch.setattr(dockerproxies, "unheard", lambda *_: False)
    monkeypatch.setattr(sockets, "lost", lost)
    monkeypatch.setattr(sockets, "reopen", lambda _, unit: jobs.append(unit))
    assert watched(WELL, WELL, WELL, WELL, WELL) == []
    assert jobs == ["b", "a"]
    found = iter([["a"], ["a"]])
    monkeypatch.setattr(hung, "AGAIN_SECONDS", 0.0)
    watched(WELL, WELL)
    assert jobs == ["b", "a", "a", "a"]


def test_hooks_are_told_which_component_and_what_helps() -> None:
    assert observer.facts(DOWN[1]) == {
        "part": "passwords", "where": "passwords", "reason": "it hangs", "remedy": "restart it",
    }  # fmt: skip


def test_units_of_components() -> None:
    generation: Any = SimpleNamespace(slot="b")
    names = [hung.unit_of(one, generation) for one in state.PROCESSES]
    assert names == [
        "secure-registry-nginx.service",
        "secure-registry-auth.service",
        "secure-registry-registry@b.service",
    ]


@pytest.mark.parametrize(
    ("before", "now", "due"),
    [
        (NONE, 1000.0, True),
        (Proof(900.0), 1000.0, False),
        (Proof(900.0), 1200.0, True),
        (Proof(1100.0), 1000.0, True),  # the clock was set back
        (Proof(999.0, store="full"), 1000.0, True),  # somebody may have mended it
    ],
)
def test_when_it_is_proven(before: Proof, now: float, due: bool) -> None:
    assert before.due(now) == due


def test_a_proof_holds_until_the_next_one() -> None:
    store = state.ok(Component.STORE, "on /", free=1)
    found = proof.applied((*WELL, store), Proof(1.0, store="nothing can be written"))
    assert found[:2] == WELL
    assert (found[2].condition, found[2].said, found[2].facts) == ("down", "nothing can be written", {"free": 1})
    assert proof.applied(DOWN, Proof(1.0, front="wrong name"))[1] == DOWN[1], "what a look found counts more"
    assert proof.restored(Proof(1.0, store="x").as_json) == Proof(1.0, store="x") and proof.restored({}) == NONE


def test_what_root_copied_in_has_the_remedy_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: "see who owns it: ls -l", while a warning further down had the chown."""
    said = "an upload is answered by HTTP 500"
    generation: Any = SimpleNamespace(parts=Parts(RegistryPart(root="/srv/images")))
    host: Any = None
    for name, wrong in (("trusted", ""), ("reads", "a list is answered by HTTP 500"), ("writes", said)):
        monkeypatch.setattr(clientproof, name, lambda *_, wrong=wrong: wrong)
    states = (state.ok(Component.REGISTRY, "2.8"), state.ok(Component.STORE, "on /srv"))
    for owned, remedy in ((("it is root's", "chown it"), "chown it"), (None, proof.HINTS[Component.STORE])):
        monkeypatch.setattr(owners, "wrong", lambda *_, owned=owned: owned)
        found = proof.restored(proof.prove(host, generation).as_json)
        registry, store = proof.applied(states, found)
        assert (store.said, store.remedy) == (said, remedy) and (registry.remedy == "chown it") == bool(owned)
