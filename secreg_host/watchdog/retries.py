"""What failed and is tried again by the watchdog, after pauses that grow: a start, or the registry behind the front.

Kept where it is gone when the watchdog is stopped, and at a reboot (RuntimeDirectory= of its unit).
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from secreg_host.base import files, records
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.paths import Paths

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 60.0)
"""Seconds until it is tried again; the last one from then on."""

RECORD: dict[Any, records.Shape] = {
    "what": [records.PROBLEM],
    "tries": int,
    "next": records.NUMBER,
    "start": bool,
}


@dataclass(frozen=True)
class Retry:
    """What failed: its problems, how often it did, when it is tried next (seconds since the epoch), and whether it is
    the whole start."""

    what: tuple[Problem, ...]
    tries: int
    next: float
    start: bool

    def seconds(self, now: float) -> float:
        """Seconds from `now` until it is tried; none when that is longer than any pause: the clock was set back."""
        left = self.next - now
        return left if 0 < left <= PAUSES[-1] else 0.0


def load(paths: Paths) -> Retry | None:
    """What is tried again; None: nothing is."""
    found = records.peek(paths.retry, RECORD)
    if set(found) != set(RECORD) or not math.isfinite(found["next"]):
        return None
    return Retry(tuple(Problem(**one) for one in found["what"]), found["tries"], found["next"], found["start"])


def failed(paths: Paths, what: Sequence[Problem], *, start: bool) -> None:
    """Have it tried again. Best effort: with /run full, a look every half minute finds out what is not as it should."""
    now, before = time.time(), load(paths)
    if before is None or before.start != start:
        before = Retry((), 0, now, start)
    if before.seconds(now) == 0:
        pause = PAUSES[min(before.tries, len(PAUSES) - 1)]
        before = replace(before, tries=before.tries + 1, next=now + pause)
    retry = replace(before, what=tuple(what))  # an edit in between is no try: it puts off nothing
    with contextlib.suppress(SecregError, OSError):
        files.make_directory(paths.retry.parent, 0o755)
        records.save(paths.retry, asdict(retry))


def done(paths: Paths) -> None:
    """It serves: nothing is tried again."""
    with contextlib.suppress(OSError):
        paths.retry.unlink(missing_ok=True)
