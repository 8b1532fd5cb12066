"""Waiting for what is under way in the registry, and having it forget what it remembers of blobs: with bytes gone
underneath, it would take a manifest that names them, and so make a broken image.

What is in memory, it forgets when another process takes over and the one before ends. Only root can bring that about,
so the deputy asks for it. Keys in Redis are root's to remove, too, for no way leads there from inside the store (see
deputies: shut): after a wait, for a request may write one for what it saw before, and before another one, for a request
may have read one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from secreg_host.base import waiting
from secreg_host.base.deputies import Ask
from secreg_host.base.errors import SecregError
from secreg_host.formats.registryconf import MEMORY, Keeping
from secreg_host.upkeep import descriptors

SECONDS = 10.0
"""How long a request of the registry takes at the most between its look at a file and what it writes for that."""

FORGET, DOING = "forget", "doing "
"""What is asked: that it forgets; and what is only told, how far it is."""

SOON = 0.2
"""Seconds for which nothing more is told of how far it is, unless something is waited for."""

UNDER_WAY = "waiting for pushes that are under way"


def settler(keeping: Keeping, ask: Ask) -> Callable[[], None]:
    """What does it, in a deputy that may `ask`. It raises SecregError where the registry did not forget."""

    def settle() -> None:
        if keeping.cache != MEMORY:
            _wait()
        if (keeping.cache == MEMORY or keeping.redis is not None) and (said := ask(FORGET)):
            raise SecregError(*json.loads(said))
        if keeping.redis is not None:
            _wait()

    return settle


@dataclass(frozen=True)
class Settle:
    """What is called for that, and, before, tells so. doing: tells how far it is."""

    settle: Callable[[], None]
    doing: Callable[[str], None]

    def __call__(self) -> None:
        """Wait, and have it forget. Raises SecregError."""
        self.doing(UNDER_WAY)
        self.settle()


def teller(ask: Ask) -> Callable[[str], None]:
    """What tells how far it is, in a deputy that may `ask`: now and then, and at once before a wait."""
    due = waiting.within(0)

    def tell(said: str) -> None:
        nonlocal due
        if due.over or said == UNDER_WAY:
            due = waiting.within(SOON)
            ask(f"{DOING}{said}")

    return tell


def answerer(keeping: Keeping, forget: Callable[[], None], shown: Callable[[str], object] = lambda _: None) -> Ask:
    """What answers root's deputy; forget: has the registry forget what is in memory, and raises SecregError; shown: how
    far it is."""

    def answer(said: str) -> str:
        if said.startswith(DOING):
            shown(said.removeprefix(DOING))
            return ""
        try:
            if keeping.cache == MEMORY:
                forget()
            else:
                _keys(keeping)
        except SecregError as error:
            return json.dumps([error.message, error.hint])
        return ""

    return answer


def _keys(keeping: Keeping) -> None:
    if keeping.redis is not None:
        descriptors.forget(keeping.redis)


def _wait() -> None:
    waiting.until(lambda: False, SECONDS, 1.0)
