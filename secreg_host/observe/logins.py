"""Who was let in last, and when, by the logs that the front keeps: access.log as nginx writes it (`combined`), and
access.json (`secreg_json`), each with the one before it. Who asked something else than images had his password checked
by nobody, and who was refused was not let in: neither counts.

What they hold, nginx's user may have written otherwise: it is for people to look at, and decides nothing.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from datetime import datetime

from secreg_host.base import reading, records, utf8
from secreg_host.base.paths import Paths

TAIL = 32 << 20
"""Bytes of each log that are looked at, from its end."""

COMBINED = re.compile(
    rb'^\S+ - (?P<user>[^"\n]*?) \[(?P<time>[^]\n]+)\] "[A-Z]+ /v2/[^"\n]*" (?P<status>\d{3}) ', re.MULTILINE
)
"""A line of somebody who asked for images. nginx writes a quote in a name as \\x22."""

SHAPE: dict[str, records.Shape] = {"time": str, "user": str, "uri": str, "status": int}
ESCAPED = re.compile(rb"\\x([0-9A-F]{2})")
REFUSED = {400, 401, 403, 429, *range(500, 600)}
"""Answers before which a password need not have been right."""


def last(paths: Paths) -> dict[str, float]:
    """When each user was let in last (seconds since the epoch), as far as the logs go."""
    found: dict[str, float] = {}
    for name in ("access.log.1", "access.log"):
        for user, at in _combined(reading.tail(paths.log / name, TAIL)):
            found[user] = max(at, found.get(user, 0.0))
    for name in ("access.json.1", "access.json"):
        for user, at in _json(reading.tail(paths.log / name, TAIL)):
            found[user] = max(at, found.get(user, 0.0))
    return found


def _combined(data: bytes) -> Iterator[tuple[str, float]]:
    latest = {line["user"]: line["time"] for line in COMBINED.finditer(data) if int(line["status"]) not in REFUSED}
    for user, time in latest.items():
        with contextlib.suppress(ValueError):
            at = datetime.strptime(utf8.shown(time), "%d/%b/%Y:%H:%M:%S %z")
            yield utf8.shown(ESCAPED.sub(lambda one: bytes([int(one[1], 16)]), user)), at.timestamp()


def _json(data: bytes) -> Iterator[tuple[str, float]]:
    for line in data.splitlines():
        said = records.parsed(line)
        if not records.fits(said, dict(SHAPE)) or not SHAPE.keys() <= said.keys():
            continue
        if said["user"] and said["uri"].startswith("/v2/") and said["status"] not in REFUSED:
            with contextlib.suppress(ValueError):
                yield said["user"], datetime.fromisoformat(said["time"]).timestamp()
