"""What was deleted, or collected, and can come back: links of a store, moved away.

    _trash/clock                                    a file by which the file system says what time it is
    _trash/RUN/run.json                             why, when, and whether it was looked at again
    _trash/RUN/repositories/NAME/_layers/ALGORITHM-HEX      a link of a blob
    _trash/RUN/repositories/NAME/_revisions/ALGORITHM-HEX   ... of a manifest
    _trash/RUN/repositories/NAME/_tags/T/                   a tag with all that it ever was
    _trash/purging/                                 bytes on their way out (purging)

It lies beside blobs and repositories, so it goes where they go, and a rename gets there; the registry never looks. Each
run has a name that no other one has, so what was deleted twice is there twice. The bytes stay where they are: without
its link a repository does not have a blob, and who pushes it uploads it and has a new link.
"""

from __future__ import annotations

import functools
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from secreg_host.base import files, marks, records
from secreg_host.base.marks import Stamp
from secreg_host.images import layout, moving
from secreg_host.images.clocks import LATEST, QUIET
from secreg_host.images.driver import Driver, Move
from secreg_host.images.filesystem import FOLDER, MODE, Filesystem
from secreg_host.images.layout import Repository, Tree

LAYER, REVISION, TAG = "_layers", "_revisions", "_tags"
RECORD: dict[Any, records.Shape] = {"why": str, "made": int, "day": int, "open": bool}
CURRENT = "current/link"
"""Of the directory of a tag: what it is."""

NAMED = re.compile(r"\d+-[0-9TZ]+-[0-9a-f]+")
CLOCK, DAYS, RUN = "clock", "days.json", "run.json"
COUNT: dict[Any, records.Shape] = {"days": int}


class Item(NamedTuple):
    """What is in the trash: by which run, of which repository, what (LAYER, REVISION, TAG), and its digest or tag."""

    run: str
    repository: str
    kind: str
    name: str


@dataclass(frozen=True)
class Run:
    """Whoever put something into the trash. why: what was typed; made: when (seconds since the epoch); day: how many
    daily runs there had been; open: what it hid was not looked at again yet."""

    name: str
    why: str = ""
    made: int = 0
    day: int = 0
    open: bool = True


@dataclass(frozen=True)
class Trash:
    """The trash of the store `tree`. All is done as the store's user."""

    tree: Tree

    @property
    def path(self) -> str:
        """Its directory."""
        return f"{self.tree.base}/{FOLDER}"

    @functools.cached_property
    def driver(self) -> Driver:
        """By what something goes there, and comes back."""
        return Filesystem(self.tree)

    def now(self) -> int:
        """What time it is by the file system's own clock (nanoseconds): a file that is written now is not older."""
        path = f"{self.path}/{CLOCK}"
        moving.made(self.path, MODE)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, files.PRIVATE)
        try:
            os.utime(descriptor)
            return marks.stamp_of(os.fstat(descriptor)).written
        finally:
            os.close(descriptor)

    def begin(self, why: str, *, open: bool = True) -> Run:
        """A new run, with a name that no other one has; open: it looks again at what it hid."""
        seconds, last = self.now() // 10**9, max(map(number_of, self._names()), default=0)
        name = f"{last + 1:06}-{datetime.fromtimestamp(seconds, UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        Path(self.path, name).mkdir(MODE)
        run = Run(name, why, seconds, self.days(), open)
        self._record(run)
        moving.synced([self.path])
        return run

    def close(self, run: Run) -> None:
        """What `run` hid was looked at again: nothing that is there needs it."""
        self._record(Run(run.name, run.why, run.made, run.day, open=False))

    def _record(self, run: Run) -> None:
        said = {"why": run.why, "made": run.made, "day": run.day, "open": run.open, "version": records.VERSION}
        files.write(Path(self.path, run.name, RUN), json.dumps(said).encode(), files.PRIVATE)

    def runs(self) -> list[Run]:
        """All of them, the oldest first. One whose record is lost is as if it were of today, and open."""
        found = []
        for name in self._names():
            said = records.peek(Path(self.path, name, RUN), RECORD)
            said = said if 0 <= said.get("made", 0) < LATEST else {}
            if RECORD.keys() - said.keys():
                said = {"why": "", "made": self.now() // 10**9, "day": self.days(), "open": True} | said
            found.append(Run(name, said["why"], said["made"], said["day"], said["open"]))
        return found

    def _names(self) -> list[str]:
        """The names of the runs that there are, the oldest first: for who is asked thousands of times, records are many
        to read."""
        folders = (one.name for one in _entries(self.path) if one.is_dir(follow_symlinks=False))
        return sorted(filter(NAMED.fullmatch, folders), key=number_of)

    def days(self) -> int:
        """How many daily runs there were."""
        return int(records.peek(Path(self.path, DAYS), COUNT).get("days", 0))

    def one_more_day(self) -> None:
        """A daily run began."""
        moving.made(self.path, MODE)
        said = {"days": self.days() + 1, "version": records.VERSION}
        files.write(Path(self.path, DAYS), json.dumps(said).encode(), files.PRIVATE)

    def due(self, days: int) -> list[Run]:
        """Runs that were so many `days` ago by the clock, and as many daily runs ago: a clock that jumps empties
        nothing."""
        today, now = self.days(), self.now() // 10**9
        return [run for run in self.runs() if now - run.made >= days * 86400 and today - run.day >= days]

    def repositories(self, run: Run) -> Iterator[str]:
        """The repositories of which there is something in the trash by `run`."""
        yield from (one.name for one in Tree(Path(self.path), run.name).repositories(lambda _: None))

    def items(self, run: Run, repository: str) -> Iterator[Item]:
        """What is in the trash of `repository` by `run`; nothing by a name that nobody here gave it."""
        for kind in (TAG, REVISION, LAYER):
            wanted = layout.TAG if kind == TAG else layout.DIGEST
            for one in sorted(entry.name for entry in _entries(self._folder(run.name, repository, kind))):
                if wanted.fullmatch(name := one if kind == TAG else _digest(one)):
                    yield Item(run.name, repository, kind, name)

    def all(self, runs: Iterable[Run]) -> Iterator[Item]:
        """What is in the trash by any of `runs`."""
        for run in runs:
            for repository in self.repositories(run):
                yield from self.items(run, repository)

    def digests(self) -> Iterator[str]:
        """What the links in the trash lead to."""
        yield from (item.name for item in self.all(self.runs()) if item.kind != TAG)

    def place(self, item: Item) -> str:
        """Where `item` lies."""
        name = item.name if item.kind == TAG else item.name.replace(":", "-")
        return f"{self._folder(item.run, item.repository, item.kind)}/{name}"

    def home(self, item: Item) -> str:
        """Where it was, and comes back to."""
        one = Repository(self.tree, item.repository)
        if item.kind == TAG:
            return f"{one.tagged}/{item.name}"
        return one.layer(item.name) if item.kind == LAYER else one.revision(item.name)

    def _folder(self, run: str, repository: str, kind: str) -> str:
        return f"{self.path}/{run}/repositories/{repository}/{kind}"

    def hide(self, run: Run, repository: str, kind: str, links: Mapping[str, Stamp]) -> list[Item]:
        """Move the `links` of a repository, by their digests, into the trash; those that went. One that is not what was
        seen any more, by its stamp, stays: somebody wrote it since."""
        items = [Item(run.name, repository, kind, digest) for digest in links]
        moves = {Move(self.home(item), self.place(item), links[item.name]): item for item in items}
        return [moves[one] for one in self.driver.hide(moves)]

    def hide_tag(self, run: Run, repository: str, tag: str) -> Item | None:
        """Move a tag, with all that it ever was, into the trash, at once; None: it is gone."""
        item = Item(run.name, repository, TAG, tag)
        return item if self.driver.move_folder(self.home(item), self.place(item), CURRENT) else None

    def forget(self, item: Item) -> None:
        """Take `item` out of the trash for good; a tag with all that it ever was, at once."""
        if item.kind == TAG:
            self.driver.purge_folder(self.place(item))
        else:
            self.driver.purge(self.place(item))

    def back(self, item: Item) -> bool:
        """Bring `item` back to where it was; whether something is there now. A link that was written anew stays."""
        place, home = self.place(item), self.home(item)
        if item.kind != TAG:
            return self.driver.restore(place, home)
        if self.driver.look(f"{home}/{CURRENT}") is not None:
            return False  # there is such a tag again
        return self.driver.move_folder(place, home, CURRENT)

    def mend(self, run: Run) -> None:
        """Take out of the trash what a run that was killed had not moved away yet, and what is there again."""
        for item in self.all([run]):
            if item.kind != TAG and self.driver.look(self.home(item)) is not None:
                self.forget(item)

    def sweep(self, own: Run | None = None) -> None:
        """Remove the directories of runs of which nothing is left: of our `own`, and of such as began a while ago, for
        somebody may be about to fill one."""
        now = self.now() // 10**9
        for run in self.runs():
            if ((own is not None and run.name == own.name) or abs(now - run.made) > QUIET) and next(
                self.all([run]), None
            ) is None:
                files.remove_tree(Path(self.path, run.name))

    def find(self, repository: str, kind: str, names: Sequence[str]) -> dict[str, Item]:
        """Which of `names` are in the trash of `repository`, each as it was put there last."""
        found: dict[str, Item] = {}
        for run in self._names():
            for name in names:
                item = Item(run, repository, kind, name)
                if self.driver.look(self.place(item)) is not None:
                    found[name] = item
        return found


def number_of(name: str) -> int:
    """By which the run that is called `name` comes after others, whatever clocks said."""
    return int(name.partition("-")[0])


def _digest(name: str) -> str:
    return name.replace("-", ":", 1)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [one for one in entries if not one.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []


def tagged(trash: Trash, item: Item) -> str:
    """What the tag that is `item` was; "": that can't be read."""
    try:
        return layout.linked(f"{trash.place(item)}/{CURRENT}") or ""
    except (layout.Malformed, OSError):
        return ""
