"""Waiting for a fact: it is looked for again and again, until it holds or the time is over. The only clock that counts
seconds, and the only place that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

PAUSE_SECONDS = 0.01


@dataclass(frozen=True, order=True)
class Deadline:
    """A moment of the clock that nobody sets (clock_gettime(2), CLOCK_MONOTONIC)."""

    at: float

    @property
    def left(self) -> float:
        """Seconds until then; none once it is over."""
        return max(0.0, self.at - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether that moment has come."""
        return self.left == 0


def within(seconds: float) -> Deadline:
    """The moment `seconds` from now."""
    return Deadline(time.monotonic() + seconds)


def stopwatch() -> Callable[[], float]:
    """What tells the milliseconds since now."""
    begun = time.monotonic()
    return lambda: 1000 * (time.monotonic() - begun)


def looks(
    seconds: float,
    pause: float = PAUSE_SECONDS,
    meanwhile: Callable[[], None] = lambda: None,
    *,
    longest: float | None = None,
) -> Iterator[None]:
    """Let a `for` loop look once, and again until `seconds` are over; between two looks are a `pause` (seconds; each is
    longer than the one before, up to the `longest`, if that is given) and a call of `meanwhile`.

    A loop that is not left by itself was in vain (`else`). A look that ends too late is the last one.
    """
    deadline = within(seconds)
    while True:
        yield
        if deadline.over:
            return
        meanwhile()
        time.sleep(min(pause, deadline.left))
        pause = min(1.2 * pause, longest or pause)


def until(
    fact: Callable[[], T], seconds: float, pause: float = PAUSE_SECONDS, meanwhile: Callable[[], None] = lambda: None
) -> T:
    """What `fact` returns as soon as that is true, or what it returned last when `seconds` are over; see `looks`."""
    for _ in looks(seconds, pause, meanwhile):
        found = fact()
        if found:
            break
    return found
