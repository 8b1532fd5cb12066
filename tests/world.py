"""A host on which nothing runs but here: `Services` in memory, and what the world gets of them.

nginx serves what `current` and the users were when it was started, reloaded or renewed last, as a real one does; the
probe asks it. What goes wrong, a test sets.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secreg_host.apply import activate, backend, clientproof, faults, portconflicts, probe, rehearsal, store
from secreg_host.apply.activate import Stage
from secreg_host.apply.probe import Expectation
from secreg_host.base import waiting
from secreg_host.base.errors import Problem, SecregError
from secreg_host.generation import assemble, generations, njs
from secreg_host.generation.generations import Generation
from secreg_host.generation.liveusers import LiveUsers, answer_path
from secreg_host.host import authcache
from secreg_host.host.host import Host
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import RegistryPart

SILENT = "it does not answer"


@dataclass(eq=False)
class World:
    """`Services` (services.py), and what can be seen of them from outside.

    live: whether anything is to run; asked: each verb that changes what runs, with its process, in order; prepared,
    ready: the parts that processes were prepared for, the registry's by slot.

    up_now: what runs; crashes: processes that end as soon as they are started, with their last words; crashed: those
    that did; mute: processes that run and do not answer; stuck: whether nginx passes over what it is told; refusal: why
    another program can't be run; old: processes whose program was replaced; workers: what `pids` tells of nginx, one
    after the other.

    served, epoch: the generation, and the users, that nginx answers for; unserved: what is wrong with a front that
    serves, by its digest; open_door: behind its doors; bad: why the rehearsal turns a generation down; rehearsed: which
    were tried; login, written, read: what a client finds wrong; taken: why the ports can't be had; away: why a store is
    lost; proofs: how many answers in a row were wanted, each time.
    """

    host: Host
    live: bool = True
    asked: list[str] = field(default_factory=list)
    prepared: Parts = field(default_factory=Parts)
    ready: dict[str, Parts] = field(default_factory=dict)
    up_now: set[str] = field(default_factory=set)
    crashed: set[str] = field(default_factory=set)
    crashes: dict[str, list[str]] = field(default_factory=dict)
    mute: set[str] = field(default_factory=set)
    stuck: bool = False
    refusal: Problem | None = None
    old: set[str] = field(default_factory=set)
    workers: list[set[int]] = field(default_factory=lambda: [{1}])
    unserved: dict[str, str] = field(default_factory=dict)
    bad: Callable[[Generation], tuple[Problem, ...]] = lambda _: ()
    rehearsed: list[str] = field(default_factory=list)
    login: str = ""
    written: Callable[[], str] = lambda: ""
    read: Callable[[], str] = lambda: ""
    taken: SecregError | None = None
    away: tuple[Problem, ...] = ()
    open_door: str = ""
    served: Generation | None = None
    epoch: str = ""
    proofs: list[int] = field(default_factory=list)

    @property
    def stage(self) -> Stage:
        return Stage(self.host, self)

    # what runs: Services

    def prepare(self, parts: Parts, slot: str) -> None:
        self.prepared = parts

    def prepare_registry(self, parts: Parts, slot: str) -> None:
        self.ready[slot] = parts

    def refuses(self, argv: Sequence[str], meanwhile: Callable[[], None] = lambda: None) -> Problem | None:
        return self.refusal

    def wanted(self) -> bool:
        return self.live

    def start(self, name: str) -> None:
        self.asked.append(f"start {name}")
        if name in self.crashes:
            self.crashed.add(name)
            return
        self.crashed.discard(name)
        self.up_now.add(name)
        self._read(name)

    def reload(self, name: str) -> bool:
        self.asked.append(f"reload {name}")
        if name not in self.up_now:
            return False
        self._read(name)
        return True

    def renew(self, name: str) -> None:
        self.asked.append(f"renew {name}")
        self.old.discard(name)
        self._read(name)

    def stop(self, name: str, *, wait: bool = True) -> None:
        self.asked.append(f"stop {name}")
        self.up_now.discard(name)
        self.crashed.discard(name)
        if name == "nginx":
            self.served, self.epoch = None, ""

    def running(self, name: str) -> bool:
        return name in self.up_now

    def slots(self) -> set[str]:
        return {name.partition("@")[2] for name in self.up_now if name.startswith("registry@")}

    def up(self, name: str) -> bool:
        return name in self.up_now

    def pids(self, name: str) -> set[int]:
        if name != "nginx":
            return set()
        return self.workers.pop(0) if len(self.workers) > 1 else self.workers[0]

    def view(self, name: str) -> Path:
        return Path("/")

    def died(self, name: str) -> bool:
        return name in self.crashed

    def outdated(self, name: str) -> bool:
        return name in self.old

    def show_images(self, slot: str, root: str) -> None:
        self.asked.append(f"show {slot}")

    def last_words(self, name: str) -> list[str]:
        return self.crashes.get(name, [])

    def _read(self, name: str) -> None:
        """`name` takes over what it is to."""
        if name == "nginx" and not self.stuck:
            self.served = generations.load(self.host, generations.current_name(self.host))
            self.epoch = LiveUsers(self.host).epoch

    def die(self, *names: str) -> None:
        """Processes are killed; nobody has started them again."""
        for name in names:
            self.up_now.discard(name)
            self.crashed.add(name)

    # what is seen from outside

    def once(self, want: Expectation, *_: Any) -> str:
        """In the place of `probe.once`."""
        if "nginx" not in self.up_now or "nginx" in self.mute:
            return "no answer: refused"
        if want.answer_path == answer_path(self.epoch):
            return ""
        if self.served is None or want.answer_path != assemble.answer_path(self.served):
            return "the new configuration does not answer"
        return self.unserved.get(self.served.front, "")

    def prove(
        self, wants: Sequence[Expectation], doors: Any, seconds: float, alive: Callable[[], str], *, in_a_row: int = 3
    ) -> str:
        """In the place of `probe.prove`."""
        self.proofs.append(in_a_row)
        wrong = next((said for want in wants if (said := self.once(want))), "")
        if wrong:
            return alive() or wrong
        return self.open_door if doors else ""

    def answers(self, _: Host, generation: Generation) -> str:
        """In the place of `backend.wrong`."""
        name = f"registry@{generation.slot}"
        return "" if name in self.up_now and name not in self.mute else SILENT

    def rehearse(self, _: Host, generation: Generation, *__: Any) -> tuple[Problem, ...]:
        """In the place of `rehearsal.check`."""
        self.rehearsed.append(generation.name)
        return self.bad(generation)

    def entered(self, _: Host, __: Generation, ___: float, alive: Callable[[], str]) -> str:
        """In the place of `clientproof.entered`."""
        return (alive() or self.login) if self.login else ""

    # its story so far

    def staged(self, parts: Parts, slot: str = "a") -> Generation:
        """The generation of `parts`, on disk."""
        found = assemble.assemble(self.host, parts, slot)
        generations.stage(self.host, found, assemble.generation_conf(found))
        return found

    def serving(self, parts: Parts, slot: str = "a") -> Generation:
        """The same, which serves and is proven."""
        found, _ = activate.activate(self.stage, self.staged(parts, slot), None)
        self.asked.clear()
        self.proofs.clear()
        loaded = generations.load(self.host, found.name)
        assert loaded is not None
        return loaded

    @property
    def names(self) -> tuple[str | None, str | None, str | None]:
        """The generations that are current, proven, and what the world gets."""
        known = generations.current_name(self.host), generations.proven_name(self.host)
        return (*known, self.served.name if self.served and "nginx" in self.up_now else None)


class Clock:
    """Time that passes only when it is slept through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep))

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.001)


def patch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program meet `world` and no other one, and no time pass."""
    Clock(monkeypatch)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # test_files.py sees to it; here it takes most of the time
    monkeypatch.setattr(probe, "once", world.once)
    monkeypatch.setattr(probe, "prove", world.prove)
    monkeypatch.setattr(backend, "wrong", world.answers)
    monkeypatch.setattr(rehearsal, "check", world.rehearse)
    monkeypatch.setattr(clientproof, "entered", world.entered)
    monkeypatch.setattr(clientproof, "beside", lambda ask, _: ask())
    monkeypatch.setattr(clientproof, "writes", lambda *_: world.written())
    monkeypatch.setattr(clientproof, "reads", lambda *_: world.read())
    monkeypatch.setattr(portconflicts, "problem", lambda *_: world.taken)
    monkeypatch.setattr(portconflicts, "absent", lambda *_: None)
    monkeypatch.setattr(authcache, "place", lambda _: world.host.paths.front_run / "auth-cache")
    monkeypatch.setattr(store, "away", lambda *_, **__: world.away)
    monkeypatch.setattr(njs, "module", lambda *_: None)
    # a real one asks the program for its version
    monkeypatch.setattr(faults, "of_start", lambda _, one, said: Problem(one.parts[RegistryPart].place, said[-1]))
