"""What is left for others while somebody floods this version: with wrong passwords, or with half-open connections."""

from __future__ import annotations

import os
import secrets
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from bench import usage
from bench.content import SMALL, Storage
from bench.crowd import Crowd, crowd, let_open
from bench.front import give, home_directory
from bench.holders import HEADER, HELLO
from bench.load import Door
from bench.peers import USER, Ours, Yard
from bench.table import percentile
from bench.witness import PACE, Witness
from tests.real.program import installed

Figures = dict[str, float]

FILES = 131072
"""What the unit lets the front have open (LimitNOFILE)."""

PROCESSES = 2
"""Of each crowd."""

HELLOS, HANDSHAKES = 2500.0, 400.0
"""Half-open connections a second: their opening is not what is measured."""

OPENING = 25.0
NEARLY = 0.98
"""The part of a crowd that must be there before anything is measured, within so many seconds."""

FORGOTTEN = 45.0
"""After so many seconds without a question the front has no right password in its cache any more."""

AT_WORK = 3
"""Logins of one who is at work when the flood begins: from the second on nginx may remember his password."""

WORK = 5
"""He goes on for that many times as long as others do: what nginx remembers of him is checked anew meanwhile."""

LOGIN_SECONDS = 60.0
"""First logins under a flood end after that many, so that a front that refuses them all can be measured."""

ATTACKERS = "127.0.1."
HOLDER, KEPT, NEWCOMER = "127.0.4.1", "127.0.5.1", "127.0.5.2"
FIRST, KNOWN = "127.0.2.", "127.0.3."
"""Addresses: those that send wrong passwords, the one of half-open connections, two of those who have logged in; and,
one for each user, of first logins under the flood and of those before it."""


@dataclass(frozen=True)
class Size:
    """How much of it. half_open: connections of which one byte came; finished: those that ended the handshake."""

    addresses: int
    connections: int
    logins: int
    half_open: int
    finished: int
    seconds: float
    idle: int = 5
    pace: int = round(1 / PACE)


FULL = Size(addresses=30, connections=40, logins=10, half_open=20_000, finished=3_000, seconds=8.0)
QUICK = Size(addresses=6, connections=10, logins=2, half_open=1_500, finished=200, seconds=1.5, idle=3)


@dataclass
class Trials:
    """What is done to one front, in the order in which it is measured."""

    peer: Ours
    path: str
    size: Size
    known: dict[str, str] = field(default_factory=dict)
    """Users who logged in before the flood, and from which address."""

    answers: dict[str, Counter[str]] = field(default_factory=dict)
    """Under a flood of passwords, how many by status: of those who are right, and of those who guess."""

    def idle(self) -> Figures:
        """First logins while nobody else is there."""
        witness, found = Witness(), []
        witness.login(self.peer.door, KEPT)
        for number in range(1, self.size.idle + 1):
            user = self.peer.fresh_user()
            self.known[user] = f"{KNOWN}{number}"
            found.append(witness.login(self._door(user), self.known[user]))
        if witness.refused:
            raise RuntimeError(f"first logins, nobody else there: {dict(witness.answers)}")
        return {"hash": statistics.median(found) * 1e3}

    def half_open(self, kind: str) -> Figures:
        """Half-open connections from one address."""
        count, rate = (self.size.half_open, HELLOS) if kind == HELLO else (self.size.finished, HANDSHAKES)
        witness, before = Witness(), usage.memory(self.peer.group, self.peer.front)
        told = {"source": HOLDER, "count": count // PROCESSES, "rate": rate / PROCESSES, "kind": kind}
        with self._crowds("holders", [told] * PROCESSES) as crowds:
            wait(crowds, lambda said: said["held"] >= NEARLY * count / PROCESSES)
            memory = usage.memory(self.peer.group, self.peer.front) - before
            held = total(crowds, "held")
            kept = witness.kept(self.peer.door, KEPT, self.path, self.size.seconds)
            new = witness.news(self.peer.door, NEWCOMER, self.path, self.size.seconds)
        return {
            "half_held": held,
            "half_kept": percentile(kept, 99) * 1e3,
            "half_new": percentile(new, 99) * 1e3,
            "half_refused": witness.refused,
            "half_memory": memory / max(held, 1) / 1e3,
        }

    def guessed(self, hashing: float) -> Figures:
        """Wrong passwords from many addresses; `hashing`: the time of one first login without them, in ms."""
        sources = [f"{ATTACKERS}{number}" for number in range(1, self.size.addresses + 1)]
        users = [USER, *list(self.known)[:2], "nobody", "admin"]
        told = {"connections": self.size.connections, "users": users}
        each = [told | {"sources": sources[at::PROCESSES]} for at in range(PROCESSES)]
        there = NEARLY * self.size.addresses * self.size.connections / PROCESSES
        witness, at_work = Witness(), Witness()
        for _ in range(AT_WORK):
            at_work.login(self.peer.door, KEPT)
        with ThreadPoolExecutor(1) as beside, self._crowds("guessers", each) as crowds:
            wait(crowds, lambda said: said["waiting"] + sum(said["answers"].values()) >= there)
            working = beside.submit(at_work.kept, self.peer.door, KEPT, self.path, self.size.seconds * WORK)
            known = [witness.login(self._door(user), source) for user, source in self.known.items()]
            logins = self._first_logins(witness)
            kept = working.result()
            answers = sum(sum(one.last["answers"].values()) / one.last["seconds"] for one in crowds)
            wrong = sum((Counter(one.last["answers"]) for one in crowds), Counter[str]())
        time.sleep(1)
        after = witness.login(self._door(self.peer.fresh_user()), f"{FIRST}250")
        self.answers = {"right": witness.answers + at_work.answers, "wrong": wrong}
        return {
            "guess_rate": answers,
            "guess_p50": statistics.median(kept) * 1e3,
            "guess_p99": percentile(kept, 99) * 1e3,
            "guess_login": statistics.median(logins),
            "guess_turns": turns(max(logins), hashing / 1e3, self.size.addresses, os.cpu_count() or 1),
            "guess_known": max(known) * 1e3 / hashing,
            "guess_refused": witness.refused + at_work.refused,
            "guess_after": after * 1e3 / hashing,
        }

    def _first_logins(self, witness: Witness) -> list[float]:
        end, found = time.monotonic() + LOGIN_SECONDS, []
        for number in range(1, self.size.logins + 1):
            found.append(witness.login(self._door(self.peer.fresh_user()), f"{FIRST}{number}"))
            if time.monotonic() > end:
                break
        return found

    def _door(self, user: str) -> Door:
        return self.peer.door.as_other(user, self.peer.door.password)

    @contextmanager
    def _crowds(self, module: str, each: list[dict[str, Any]]) -> Iterator[list[Crowd]]:
        with ExitStack() as stack:
            yield [stack.enter_context(crowd(module, port=self.peer.door.port, **told)) for told in each]


def turns(seconds: float, hashing: float, addresses: int, cores: int) -> float:
    """A first login in what is its due: one hash for each address that floods, and two more, on all cores."""
    return seconds / ((addresses + 2) * hashing / cores)


def worse(one: Figures, other: Figures) -> Figures:
    """The worse of each; how many were held is of the first."""
    return {key: value if key == "half_held" else max(value, other[key]) for key, value in one.items()}


def wait(crowds: list[Crowd], enough: Callable[[dict[str, Any]], bool]) -> None:
    """Until all are there, or as many as the front lets in."""
    for one in crowds:
        one.wait(enough, OPENING / len(crowds))


def total(crowds: list[Crowd], key: str) -> float:
    return float(sum(one.last.get(key, 0) for one in crowds))


def measure(say: Callable[[str], None], *, quick: bool = False) -> dict[str, Any]:
    """Run everything; `quick` only shows that it runs."""
    size = QUICK if quick else FULL
    let_open(FILES)  # the front's processes have it from this one
    with ExitStack() as stack:
        home, program = stack.enter_context(home_directory()), stack.enter_context(installed())
        peer = Ours(Yard(home, {}, secrets.token_hex(), size.idle + size.logins + 1), program)
        stack.enter_context(peer.running())
        storage = Storage(peer.storage)
        digest = storage.blob("bench/blobs", os.urandom(SMALL))
        give(peer.storage)
        trials = Trials(peer, f"/v2/bench/blobs/blobs/{digest}", size)
        found = trials.idle()
        logged_in = time.monotonic()
        kinds = {}
        for kind in (HEADER, HELLO):  # by their memory: what the first left counts for the second
            say(f"half-open connections, {kind}")
            kinds[kind] = trials.half_open(kind)
            time.sleep(1)
        found |= worse(kinds[HELLO], kinds[HEADER])
        if not quick:
            time.sleep(max(0.0, logged_in + FORGOTTEN - time.monotonic()))
        say("wrong passwords")
        found |= trials.guessed(found["hash"])
    return {"figures": found, "kinds": kinds, "answers": trials.answers, "size": asdict(size)}
