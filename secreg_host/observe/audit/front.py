"""What the front wrote for the log of who did what, from wherever it was read to: in its file of requests, and in those
that this was before it was rotated. Each is known by its first line, whatever it is called by now.

The file is the front's user's: it is read, and nothing of it is believed that is no line of its form.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from secreg_host.base import appended, marks
from secreg_host.observe.audit import entries
from secreg_host.observe.audit.entries import Entry

ROTATED = 9
"""How many older files there may be (logrotate.d/secure-registry keeps eight)."""

MOST = 1 << 20
"""Bytes that are read at a time."""

Known = Mapping[str, int]
"""How many bytes were read of the file that begins with a line of that digest."""


class Read(NamedTuple):
    """entries: what the lines are about that were read; known: what was read by then; more: whether there was more than
    could be taken at once."""

    entries: tuple[Entry, ...]
    known: dict[str, int]
    more: bool = False


def key(path: Path) -> str:
    """By what the file at `path` is known; "": it has no line yet, or can't be read."""
    line = appended.first(path)
    return marks.digest(line) if line else ""


def older(log: Path, known: Known) -> list[Path]:
    """The files that `log` was before, the oldest first, as far back as some of them were `known`; all of them, if none
    is."""
    found: list[Path] = []
    far = 0
    if (now := key(log)) and now in known:
        return found
    for number in range(1, ROTATED + 1):
        for path in (log.with_name(f"{log.name}.{number}"), log.with_name(f"{log.name}.{number}.gz")):
            if name := key(path):
                found.append(path)
                far = len(found) if name in known else far
    return found[: far or None][::-1]


class Front:
    """The front's file `log`."""

    def __init__(self, log: Path, known: Known) -> None:
        self.log = log
        self.waiting = older(log, known)

    def read(self, known: Known) -> Read:
        """What is there after what is `known`."""
        last = self.log.with_name(f"{self.log.name}.1")  # some of nginx's processes write there a moment longer
        left = MOST
        done, found = dict[str, int](), list[Entry]()
        for path in dict.fromkeys([*self.waiting, last, self.log]):
            name = key(path)
            if not name:
                continue
            begin = known.get(name, done.get(name, 0))
            data = b""
            with contextlib.suppress(OSError, EOFError):
                data = appended.after(path, begin, left) if left else b""
            done[name] = begin + len(data)
            left -= len(data)
            found += [one for line in data.splitlines() if (one := entries.of_front(line)) is not None]
            if left <= 0 or (len(data) and left < appended.BLOCK):
                return Read(tuple(found), {**known, **done}, more=True)
        self.waiting = []
        return Read(tuple(found), done)
