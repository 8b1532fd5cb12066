"""Somebody with a right password, while others misbehave: what he asks, how long it takes, what is refused."""

from __future__ import annotations

import http.client
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from bench import load
from bench.load import Door

PATIENCE = 10.0
"""How long he waits for an answer, in seconds; for a first login: LOGIN_PATIENCE."""

LOGIN_PATIENCE = 35.0
NEVER = 60.0
"""What counts as the time, in seconds, of a question that got no good answer."""

PACE = 0.005
"""Between two questions over one connection."""


@dataclass
class Witness:
    """All that is asked with right passwords. answers: how many by status, `lost` where the connection broke."""

    answers: Counter[str] = field(default_factory=Counter)

    @property
    def refused(self) -> int:
        """Answers that were not good."""
        return sum(count for status, count in self.answers.items() if status != "200")

    def login(self, door: Door, source: str) -> float:
        """Seconds of a login over a new connection."""
        return self._asked(door, source, "/v2/", LOGIN_PATIENCE)

    def news(self, door: Door, source: str, path: str, seconds: float) -> list[float]:
        """Seconds of each of many new connections, one after the other, for so many seconds."""
        found: list[float] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end or not found:
            found.append(self._asked(door, source, path, PATIENCE))
        return found

    def _asked(self, door: Door, source: str, path: str, patience: float) -> float:
        begin = time.perf_counter()
        with load.connection(door, source) as link:
            link.timeout = patience
            good = self._ask(link, door, path)
        return time.perf_counter() - begin if good else NEVER

    def kept(self, door: Door, source: str, path: str, seconds: float) -> list[float]:
        """Seconds of each question over one connection, since it was due: one that waits makes the next ones late, too.

        A connection that broke is made anew, as clients do, once for each question.
        """
        with load.connection(door, source) as link:
            link.timeout = PATIENCE
            self._ask(link, door, path, again=True)
            found: list[float] = []
            begin = time.perf_counter()
            while (due := begin + len(found) * PACE) < begin + seconds:
                time.sleep(max(0.0, due - time.perf_counter()))
                good = self._ask(link, door, path, again=True)
                now = time.perf_counter()
                found.append(now - due if good else NEVER)
                if not good and now > begin + seconds:
                    break
        return found

    def _ask(self, link: http.client.HTTPSConnection, door: Door, path: str, *, again: bool = False) -> bool:
        """Whether the answer was a good one."""
        status = _status(link, door, path)
        if status == "lost" and again:
            status = _status(link, door, path)
        self.answers[status] += 1
        return status == "200"


def _status(link: http.client.HTTPSConnection, door: Door, path: str) -> str:
    try:
        link.request("GET", path, headers={"Authorization": door.authorization})
        answer = link.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        with suppress(OSError):
            link.close()
        return "lost"
    return str(answer.status)
