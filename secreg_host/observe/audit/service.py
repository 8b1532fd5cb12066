"""The service that copies what the front and the others said of who did what into one file of root's.

It can end at any moment: how far it has read is kept once the lines are on disk, and whoever is started next leaves out
those that are there already. What can't be written is tried again; nothing more is read until then, so nothing piles up
here, and all of it stays where it came from.
"""

from __future__ import annotations

import logging
import select
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from secreg_host.base import files, logs, marks, records, waiting
from secreg_host.base.errors import SecregError
from secreg_host.base.journal import notify
from secreg_host.base.paths import Paths
from secreg_host.generation import generations
from secreg_host.host import host as hosts
from secreg_host.host.host import Host
from secreg_host.observe.audit import entries
from secreg_host.observe.audit.front import Front
from secreg_host.observe.audit.heard import Journal
from secreg_host.observe.audit.trail import Trail
from secreg_host.wanted.settings import Settings

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks at what the front wrote; of what is in the journal it hears at once."""

AGAIN_SECONDS = 60.0
"""Between two looks whether a day is over, and what is older than AUDIT_DAYS."""

PLACE: dict[Any, records.Shape] = {"cursor": str, "time": int, "front": {str: int}, "size": int, "packing": str}


@dataclass(frozen=True)
class Place:
    """How far was read, when the file was `size` long. cursor, time: of the last entry of the journal (microseconds
    since the epoch); front: how much of which of the front's files; packing: what the file is being packed as."""

    cursor: str = ""
    time: int = 0
    front: dict[str, int] = field(default_factory=dict)
    size: int = 0
    packing: str = ""


def read_place(paths: Paths) -> Place:
    """How far the last one had read."""
    return Place(**records.peek(logs.place(paths), PLACE))


@dataclass(eq=False)
class Copier:
    """Copies, from where the last one had come to. days: for how many days it is kept."""

    paths: Paths
    journal: Journal
    days: Callable[[], int]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    told: str = ""

    def __post_init__(self) -> None:
        self.trail, self.place = Trail(self.paths), read_place(self.paths)
        self.front = Front(logs.requests(self.paths), self.place.front)
        self.unsaved: list[bytes] = []
        self.next = self.place
        self.due = waiting.within(0)
        self.again: Counter[bytes] = Counter()

    def begin(self) -> None:
        """Finish what was begun, and see what was written after it was said how far. Raises SecregError."""
        with files.explained(self.trail.path):
            self.trail.begin()
            if self.place.packing:
                self._packed(self.place.packing)
            self.again = self.trail.tail(self.place.size)

    def once(self) -> bool:
        """Copy what is there, as much as is taken at a time; whether there may be more."""
        more = True
        try:
            if self.next is self.place:  # else there is what could not be written before
                more = self._gather()
            if self.trail.size < self.place.size and self.next is self.place:
                self.next = replace(self.place)  # so that it is told
            if self.next is not self.place:
                self._write()
            self._tend()
        except (OSError, SecregError) as error:
            said = error.message if isinstance(error, SecregError) else f"{self.trail.path}: {error.strerror}"
            if said != self.told:
                log.warning(f"who did what can't be written now, and is once that works: {said}")
            self.told = said
            return False
        if self.told:
            log.info("who did what is written again")
            self.told = ""
        return more

    def _gather(self) -> bool:
        """Read what there is, and hold it in `unsaved`, and how far that is in `next`."""
        found: list[entries.Entry] = []
        cursor, at = self.place.cursor, self.place.time
        heard = 0
        try:
            for one in self.journal.read(cursor, at):
                cursor, at, heard = one.cursor, one.at, heard + 1
                found += one.entries
            seen = self.front.read(self.place.front)
        except BaseException:
            self.journal.end()  # what was heard and is not held is heard again
            raise
        found += seen.entries
        if heard or dict(seen.known) != self.place.front:
            self.next = replace(self.place, cursor=cursor, time=at, front=seen.known)
        for entry in found:
            line = entry.line
            if self.again[line] > 0:
                self.again[line] -= 1
            else:
                self.unsaved.append(line)
        return bool(heard) or seen.more

    def _write(self) -> None:
        """Have what is `unsaved` on disk, then how far that is."""
        lines, lost = self.unsaved, max(0, self.place.size - self.trail.size)
        if lost:
            log.warning(f"{self.trail.path} was removed, cut or replaced: {lost} bytes of it are gone")
            lines = [entries.cut(time.time_ns() // 1000, lost).line, *lines]
        size = self.trail.append(lines) if lines else self.trail.size
        self.unsaved, self.place = [], replace(self.next, size=size)
        self.next = self.place
        self._save()

    def _save(self) -> None:
        records.save(logs.place(self.paths), asdict(self.place))

    def _tend(self) -> None:
        """Now and then: pack what is of another day, or large, and remove what is too old."""
        if not self.due.over:
            return
        self.due, now = waiting.within(AGAIN_SECONDS), self.now()
        if self.trail.is_due(now):
            name = self.trail.name(now)
            self.place = self.next = replace(self.place, packing=name)
            self._save()
            self._packed(name)
        self.trail.forget(self.days(), now)

    def _packed(self, name: str) -> None:
        self.trail.pack(name)
        self.place = self.next = replace(self.place, packing="", size=0)
        self._save()


def days(host: Host) -> int:
    """For how many days it is kept: AUDIT_DAYS as it serves."""
    try:
        generation = generations.load(host, generations.current_name(host))
    except SecregError:
        return Settings().audit_days
    return (generation.settings if generation else Settings()).audit_days


def main(paths: Paths) -> int:
    """What secure-registry-audit.service runs, until a signal ends it, or a new version was installed: systemd starts
    that."""
    host, code = hosts.discover(paths), marks.mark(__file__)
    heard = Journal(host.accounts.registry.uid)
    copier = Copier(paths, heard, lambda: days(host))
    copier.begin()
    notify("READY=1")
    more = False
    while marks.mark(__file__) == code:
        if not more:
            waits = [] if heard.descriptor is None else [heard.descriptor]
            select.select(waits, [], [], LOOK_SECONDS)
        more = copier.once()
        notify("WATCHDOG=1")
    heard.end()
    return 0
