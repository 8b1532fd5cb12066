"""Turns: whose password is checked next, of all that wait.

Clients take turns, one password each, so that many of one client hold up nobody else for longer than one check. There
are three lanes: of who was right lately, of strangers, and of clients that were wrong lately; the better ones have
more turns, and none has all. There is a bound for each client, and one over all; a place beyond that is taken from
the client that holds most of the worst lane. The same password of the same client is checked once for all who ask
meanwhile, but for what began before users changed, which must not answer what came after.
"""

from __future__ import annotations

import itertools
from collections import Counter, OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import IntEnum

PLACES = 8192
"""How many wait at the most, over all clients."""

OF_ONE = 32
"""How many passwords of one client wait in a lane at the most."""


class Rank(IntEnum):
    """The lanes, the best one first."""

    KNOWN = 0
    STRANGER = 1
    WRONG = 2


CYCLE = (
    *(Rank.KNOWN, Rank.KNOWN, Rank.STRANGER, Rank.KNOWN),
    *(Rank.KNOWN, Rank.STRANGER, Rank.KNOWN, Rank.WRONG),
)
"""Whose turn it is, one after the other. Where nobody is in that lane, it is the best one's."""


@dataclass(eq=False)
class Question:
    """A password to check. client: whose it is; ask: what tells it apart; rank: its lane; askers: who waits for the
    answer; users: which ones counted when its check began ("": it has not)."""

    client: str
    ask: bytes
    rank: Rank
    askers: set[Hashable] = field(default_factory=set)
    users: str = ""


class Lane:
    """Questions by client; the client that had a turn goes to the end."""

    def __init__(self) -> None:
        self.clients: OrderedDict[str, deque[Question]] = OrderedDict()

    def add(self, question: Question) -> None:
        """Put `question` behind what its client has asked."""
        self.clients.setdefault(question.client, deque()).append(question)

    def take(self) -> Question:
        """The next one. Raises KeyError when none waits."""
        client, questions = self.clients.popitem(last=False)
        question = questions.popleft()
        if questions:
            self.clients[client] = questions
        return question

    def remove(self, question: Question) -> None:
        """Take `question`, which waits, out."""
        questions = self.clients[question.client]
        questions.remove(question)
        if not questions:
            del self.clients[question.client]


class Turns:
    """Who waits, and who is next. Not for several threads."""

    def __init__(self, places: int = PLACES) -> None:
        self.places = places
        self.lanes = {rank: Lane() for rank in Rank}
        self.cycle = itertools.cycle(CYCLE)
        self.waiting: dict[tuple[str, bytes], Question] = {}
        self.begun: dict[tuple[str, bytes], Question] = {}
        self.asking = 0
        self.held: Counter[tuple[Rank, str]] = Counter()  # places, by lane and client

    def join(self, client: str, ask: bytes, asker: Hashable, users: str, rank: Rank) -> set[Hashable]:
        """Have `asker` wait for the answer to `ask`, while `users` count; returns who lost their place by that, `asker`
        itself perhaps."""
        begun = self.begun.get((client, ask))
        if begun is not None and users and begun.users == users:
            begun.askers.add(asker)
            return set()
        question = self.waiting.get((client, ask))
        if question is None:
            question = Question(client, ask, rank)
            if len(self.lanes[rank].clients.get(client, ())) >= OF_ONE:
                return {asker}
            self.waiting[client, ask] = question
            self.lanes[rank].add(question)
        question.askers.add(asker)
        self._count(question, 1)
        return self._lose() if self.asking > self.places else set()

    def _count(self, question: Question, places: int) -> None:
        self.asking += places
        self.held[question.rank, question.client] += places
        if not self.held[question.rank, question.client]:
            del self.held[question.rank, question.client]

    def _lose(self) -> set[Hashable]:
        """The newest question of the client that holds most places in the worst lane goes; its askers. Of clients that
        hold as many it is the one that had a turn, or came, last."""
        rank, lane = next((rank, self.lanes[rank]) for rank in reversed(Rank) if self.lanes[rank].clients)
        client = max(reversed(lane.clients), key=lambda one: self.held[rank, one])
        last = lane.clients[client][-1]
        self._drop(last)
        return last.askers

    def _drop(self, question: Question) -> None:
        self.lanes[question.rank].remove(question)
        del self.waiting[question.client, question.ask]
        self._count(question, -len(question.askers))

    def leave(self, client: str, ask: bytes, asker: Hashable) -> None:
        """`asker` has gone: what nobody waits for is not checked. Nothing, if it is being checked already."""
        question = self.waiting.get((client, ask))
        if question is None or asker not in question.askers:
            return
        if len(question.askers) == 1:
            self._drop(question)
        else:
            question.askers.remove(asker)
            self._count(question, -1)

    def take(self, users: str) -> Question | None:
        """What is to be checked now, while `users` count; None: nobody waits."""
        if not self.waiting:
            return None
        ranks = [rank for rank in Rank if self.lanes[rank].clients]
        turn = next(self.cycle) if len(ranks) > 1 else ranks[0]
        question = self.lanes[turn if turn in ranks else ranks[0]].take()
        key = question.client, question.ask
        del self.waiting[key]
        self._count(question, -len(question.askers))
        question.users = users
        self.begun[key] = question
        return question

    def done(self, question: Question) -> None:
        """The check of `question` has come to its end."""
        key = question.client, question.ask
        if self.begun.get(key) is question:
            del self.begun[key]
