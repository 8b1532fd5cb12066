"""The last look, kept below /run: since when what is so, and what others than root are told."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secreg_host.base import files, records
from secreg_host.base.errors import SecregError
from secreg_host.base.paths import Paths
from secreg_host.observe import proof, state
from secreg_host.observe.proof import NONE, Proof
from secreg_host.observe.state import State

SHAPE: dict[Any, records.Shape] = {
    "taken": records.NUMBER,
    "since": records.NUMBER,
    "serving": bool,
    "components": [state.SHAPE],
    "proof": proof.SHAPE,
    "text": str,
    "check": str,
    "code": int,
    "json": {str: object},
}


@dataclass(frozen=True)
class Kept:
    """What one look leaves to the next.

    taken: when it was (seconds since the epoch; 0: there was none); since: when it began to serve, or ceased to;
    serving: whether it did; components: how each was; proof: what was proven last.
    """

    taken: float = 0.0
    since: float = 0.0
    serving: bool = False
    components: tuple[State, ...] = ()
    proof: Proof = NONE

    def begun(self, *, serving: bool, unit: float, now: float) -> float:
        """Since when it is `serving` or not, seen from `now`: as long as it was so at the last look, unless nginx (its
        `unit`) was started since; 0 where nothing is known."""
        if self.taken and self.serving == serving and (not serving or self.since >= unit):
            return self.since
        if serving and not self.taken:
            return unit or now
        return max(unit, self.taken) if serving and unit else now


@dataclass(frozen=True)
class Told:
    """What others than root are told of the last look: when it was, in words, in a line for monitoring with its exit
    code, as JSON values, and the exit code of `status`."""

    taken: float
    text: str
    check: str
    code: int
    json: Mapping[str, Any]


def path(paths: Paths) -> Path:
    """Where it is: gone with the next boot, like what it tells of."""
    return paths.run / "look.json"


def load(paths: Paths) -> Kept:
    """The last look; an empty one when there was none."""
    found = records.peek(path(paths), SHAPE)
    with contextlib.suppress(KeyError):
        states = tuple(filter(None, map(state.restored, found["components"])))
        return Kept(found["taken"], found["since"], found["serving"], states, proof.restored(found.get("proof", {})))
    return Kept()


def told(paths: Paths) -> Told | None:
    """What others than root are told; None: nobody has looked yet."""
    found = records.peek(path(paths), SHAPE)
    with contextlib.suppress(KeyError):
        return Told(found["taken"], found["text"], found["check"], found["code"], found["json"])
    return None


def save(paths: Paths, kept: Kept, told: Told) -> None:
    """Keep both, readable by everybody: there is no secret in it. Best effort: with /run full, the next look begins
    anew."""
    record = {
        "version": records.VERSION,
        "taken": kept.taken,
        "since": kept.since,
        "serving": kept.serving,
        "components": [one.as_json for one in kept.components],
        "proof": kept.proof.as_json,
        "text": told.text,
        "check": told.check,
        "code": told.code,
        "json": dict(told.json),
    }
    with contextlib.suppress(SecregError, OSError):
        files.write(path(paths), json.dumps(record).encode(), files.PUBLIC)
