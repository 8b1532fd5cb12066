"""What the journal has for the log of who did what, from wherever it was read to: journald keeps it while we are away,
is restarted, or the host is.

journald itself says as whom somebody wrote (_UID, systemd.journal-fields(7)): of manifests only the registry's user is
heard, and of what an administrator changed only root.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from secreg_host.base import process, records, utf8
from secreg_host.observe.audit import entries
from secreg_host.observe.audit.entries import Entry
from secreg_host.push import audit

log = logging.getLogger(__name__)

PREFIX = "SECREG_"
FIELDS = (
    *("KIND", "USER", "ADDRESS", "METHOD", "REPOSITORY", "REFERENCE", "DIGEST", "WAS", "STATUS"),
    *("ADDED", "REMOVED", "CHANGED", "PART", "SAID", "BY"),
)
BLOCK = 1 << 20
"""Bytes that are read at a time, and held as the line that is coming at the most."""

TRIES = 3
"""How often journalctl may end without a word before it is asked by the time: the cursor may be none that it knows."""


class Heard(NamedTuple):
    """An entry of the journal: its cursor, its time (microseconds since the epoch), and what it is about."""

    cursor: str
    at: int
    entries: tuple[Entry, ...]


def asked(cursor: str, since: int, registry: int) -> list[str]:
    """The command that tells what comes after `cursor`, of whatever boot; without one, what is newer than `since`
    (microseconds since the epoch; 0: all of it). registry: the number of the registry's user."""
    fields = ",".join(["MESSAGE", *(PREFIX + name for name in FIELDS)])
    how = ["--quiet", "--all", "--output=json", f"--output-fields={fields}"]
    begin = [f"--after-cursor={cursor}"] if cursor else [f"--since=@{(since + 1) / entries.MICRO:.6f}"] if since else []
    which = [f"{PREFIX}KIND={audit.KIND}", f"_UID={registry}"]
    for kind in (entries.USERS, entries.CHANGE):
        which += ["+", f"{PREFIX}KIND={kind}", "_UID=0"]
    return ["journalctl", *how, *begin, *which]


def read(line: bytes) -> Heard | None:
    """What a line of `asked` says (`journalctl -o json`); None: it is none of an entry. Pure."""
    found = records.parsed(line)
    if not isinstance(found, dict) or "__CURSOR" not in found:
        return None
    stamp = str(found.get("__REALTIME_TIMESTAMP", ""))
    at = int(stamp) if stamp.isascii() and stamp.isdecimal() and len(stamp) < 19 else 0
    said = {name.removeprefix(PREFIX): _text(value) for name, value in found.items()}
    return Heard(str(found["__CURSOR"]), at, tuple(entries.of_journal(said, at)))


def _text(value: Any) -> str:
    """A field's value: journalctl gives bytes that aren't text as a list of numbers (systemd.journal-fields(7))."""
    if isinstance(value, list) and all(isinstance(one, int) and 0 <= one < 256 for one in value):
        return utf8.shown(bytes(value))
    return value if isinstance(value, str) else ""


def _output(child: Any) -> int:
    return int(child.stdout.fileno())


class Journal:
    """Lines of the journal, as they come; registry: the number of the registry's user."""

    def __init__(self, registry: int) -> None:
        self.registry = registry
        self.child: Any = None
        self.rest = b""
        self.silent = 0

    @property
    def descriptor(self) -> int | None:
        """What can be read when there is more; None: journalctl does not run."""
        return None if self.child is None else _output(self.child)

    def read(self, cursor: str, since: int) -> Iterator[Heard]:
        """What is there by now after what was read before; at the first call, and whenever journalctl has ended, what
        comes after `cursor`, which is of the time `since`. Raises SecregError where it can't be run."""
        if (child := self.child) is None:
            known = cursor if self.silent < TRIES else ""
            child = self.child = process.spawn(asked(known, since, self.registry))
            os.set_blocking(_output(child), False)
            self.rest = b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(_output(child), BLOCK)
            if not data:
                self._ended()
            *whole, self.rest = (self.rest + data).split(b"\n")
            if len(self.rest) > BLOCK:
                self.rest = b""
            for line in whole:
                if (found := read(line)) is not None:
                    self.silent = 0
                    yield found
                elif line.strip():
                    log.warning(f"journalctl: {utf8.shown(line)[:200]}")

    def _ended(self) -> None:
        self.end()

    def end(self) -> None:
        """Let nothing of it run any more; what was not read is read by the next one."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.child.stdout.close()
            self.child = None
