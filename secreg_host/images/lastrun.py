"""What came of the last collection, for status: when it ended, what it freed, or why it failed."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from secreg_host.base import records
from secreg_host.base.errors import SecregError
from secreg_host.base.paths import Paths

SHAPE: dict[Any, records.Shape] = {"at": records.NUMBER, "freed": int, "failed": str, "hint": str, "passed": str}


@dataclass(frozen=True)
class LastRun:
    """at: when it ended, in seconds since the epoch; freed: bytes; failed: why, and hint: what to do; passed: why
    nothing is collected here at all."""

    at: float
    freed: int = 0
    failed: str = ""
    hint: str = ""
    passed: str = ""


def read(paths: Paths) -> LastRun | None:
    """What is known of it; None: there was none."""
    found = records.peek(_place(paths), SHAPE)
    return LastRun(**found) if found.keys() == SHAPE.keys() else None


def keep(paths: Paths, last: LastRun) -> None:
    """Remember what came of it, unless there is no room."""
    with contextlib.suppress(SecregError):
        records.save(_place(paths), asdict(last))


def _place(paths: Paths) -> Path:
    return paths.state / "gc.json"
