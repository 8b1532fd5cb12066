"""One run of the collector: what is spare is hidden, what is due is freed, while clients push and pull.

    1  what a run that was killed left: bytes come back, and what it hid is looked at again
    2  repository by repository: a look, what is spare goes to the trash; after each so many links all is waited for
       that may have seen them, and looked at again
    3  what was in the trash for its days leaves it; with `purge` what this run hid, too
    4  bytes that no link names any more go (purging)
    5  uploads that nobody ended, and directories in which nothing is

It can be killed anywhere. The journal is the trash itself: a run whose second look is due is open, and bytes on their
way out are in `purging`. What is told is a row of entries, as of a survey:

    hidden REPOSITORY KIND DIGEST   moved to the trash; by a dry run: it would be
    back REPOSITORY KIND DIGEST     needed by the second look
    held REPOSITORY WHY             nothing of it is spare, for that can't be told
    freed COUNT BYTES               bytes that are gone; by a dry run: that would be, by this run or when they are due
    kept COUNT                      bytes that came back, for a push had come to need them
    uploads COUNT BYTES             uploads that were removed
    emptied COUNT                   what left the trash, for it was due
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from secreg_host.base.marks import Stamp
from secreg_host.formats.users import PROBE
from secreg_host.images import clocks, flight, hiding, marking, room, sighting, tidying, uploads
from secreg_host.images.emptying import Choice
from secreg_host.images.hiding import Hidden
from secreg_host.images.layout import Repository, Tree
from secreg_host.images.marking import Spare
from secreg_host.images.naming import Digests, Naming
from secreg_host.images.purging import Purge
from secreg_host.images.survey import Entry
from secreg_host.images.trash import LAYER, REVISION, Item, Run, Trash

BATCH = 50_000
"""Links that are hidden, and bytes that are moved, before all that is under way is waited for."""


@dataclass(frozen=True)
class Wish:
    """What is asked of a run. Ages are in seconds. grace: nothing younger goes; untagged: manifests without a tag that
    are older go (None: they stay); purge: free what this run hides at once; days: how long something is in the trash;
    uploads: uploads in which nothing was written for so long go; daily: it is the timer's; why: what was typed."""

    grace: int = 86400
    untagged: int | None = None
    purge: bool = False
    days: int = 14
    uploads: int = 168 * 3600
    daily: bool = False
    why: str = "gc"


@dataclass
class Collector:
    """A run over the store `tree`. settle: waits for what is under way in the registry, and has it forget what it
    remembers of blobs; where it raises, all comes back that went before. doing: is told how far it is. names: the
    repositories that there are; untidy: those in which directories may be empty."""

    tree: Tree
    wish: Wish
    settle: Callable[[], None]
    doing: Callable[[str], object] = lambda _: None
    trash: Trash = field(init=False)
    purge: Purge = field(init=False)
    names: list[str] = field(default_factory=list)
    untidy: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.trash, self.purge = Trash(self.tree), Purge(self.tree)

    @functools.cached_property
    def naming(self) -> Naming:
        """What links name, by all looks of this run."""
        return Naming(self.tree)

    def collect(self) -> Iterator[Entry]:
        """Do it. Raises OSError for what can't be read or written; then, too, the store is whole."""
        room.make(self.tree)
        yield from self.go_on()
        if self.wish.daily:
            self.trash.one_more_day()
        run = self.trash.begin(self.wish.why)
        yield from self._hide(run)
        self.trash.close(run)
        due = self.trash.due(self.wish.days)
        yield from self._emptied(self.trash.all([*due, run] if self.wish.purge else due))
        yield from self._freed()
        yield from self._tidied()
        self.trash.sweep(run)
        room.keep(self.tree)

    def go_on(self) -> Iterator[Entry]:
        """What a run that was killed left."""
        if back := self.purge.undo():
            yield "kept", str(len(back))
        runs = [run for run in self.trash.runs() if run.open]
        if repositories := {name for run in runs for name in self.trash.repositories(run)}:
            try:
                self.settle()
                landed = flight.landed(self.tree, sorted(repositories))
            except Exception:
                for run in runs:
                    hiding.undo(self.trash, run)
                raise
        for run in runs:
            again = hiding.go_on if not repositories or landed else hiding.undo
            yield from (("back", *item[1:]) for item in again(self.trash, run))

    def _hide(self, run: Run) -> Iterator[Entry]:
        hidden, wrong = Hidden(self.trash, run), list[OSError]()
        before = self.trash.now()
        for number, one in enumerate(self._repositories(wrong.append)):
            self.doing(f"looking for what nothing needs: {number} repositories done")
            mark = self.naming.mark(one)
            spare = self._spare(one, before)
            self.names.append(one.name)
            if spare.hollow or spare.held or not spare.stays:
                self.untidy.add(one.name)
            elif not spare:
                self.naming.add(one.name, mark, spare.stays)
            if spare.held:
                yield "held", one.name, spare.held
            try:
                if spare and not hidden.hide(one.name, spare):
                    yield "held", one.name, "manifests keep coming"
            except OSError as error:
                if not room.lacks(error):
                    raise
                yield "held", one.name, "the disk is full: once more frees more"
                self.trash.mend(run)
                break
            yield from (("hidden", *item[1:]) for item in hidden.items.get(one.name, ()))
            if hidden.count >= BATCH:
                yield from self._second_look(hidden)
                hidden = Hidden(self.trash, run)
        yield from self._second_look(hidden)
        yield from (("held", str(error.filename), str(error.strerror)) for error in wrong)

    def _second_look(self, hidden: Hidden) -> Iterator[Entry]:
        if hidden.count:
            try:
                self.settle()
                landed = flight.landed(self.tree, hidden.items)
            except Exception:
                hidden.undo()
                raise
            yield from (("back", *item[1:]) for item in (hidden.look_again() if landed else hidden.undo()))

    def _spare(self, one: Repository, before: int) -> Spare:
        """What is spare of repository `one`, by a look at it; before: what the file system's clock said before it."""
        untagged = None if self.wish.untagged is None else clocks.older(before, self.wish.untagged)
        old = clocks.older(before, self.wish.grace)
        return marking.spare(sighting.look(one), hiding.reader(self.tree), old, untagged)

    def _emptied(self, items: Iterable[Item]) -> Iterator[Entry]:
        count = 0
        for item in list(items):
            self.doing(f"emptying the trash: {count} links gone")
            self.trash.forget(item)
            count += 1
        if count:
            yield "emptied", str(count)

    def empty(self, choice: Choice) -> Iterator[Entry]:
        """Take what is chosen out of the trash for good, and free what no link names any more."""
        room.make(self.tree)
        yield from self.go_on()
        yield from self._emptied(choice.items(self.trash))
        yield from self._freed()
        self.trash.sweep()
        room.keep(self.tree)

    def plan_emptying(self, choice: Choice) -> Iterator[Entry]:
        """What would leave the trash; nothing is removed."""
        yield "emptied", str(sum(1 for _ in choice.items(self.trash)))

    def _freed(self) -> Iterator[Entry]:
        old = clocks.older(self.trash.now(), self.wish.grace)
        self.doing("looking for bytes that no link names")
        while batch := list(itertools.islice(self.purge.spare(old, self.naming.look()), BATCH)):
            repositories = [one.name for one in self._repositories()]
            try:
                self.purge.away(batch)
                self.settle()
            except Exception:
                self.purge.undo()
                raise
            if not flight.landed(self.tree, repositories):
                yield "kept", str(len(self.purge.undo()))
                return
            count, size, back = self.purge.settle(self.naming.look())
            yield "freed", str(count), str(size)
            if back:
                yield "kept", str(len(back))
            if len(batch) < BATCH:
                return

    def _tidied(self) -> Iterator[Entry]:
        count = size = 0
        now = self.trash.now()
        old, long_ago = clocks.older(now, max(self.wish.grace, clocks.QUIET)), clocks.older(now, self.wish.uploads)
        for number, name in enumerate(self.names):
            one = Repository(self.tree, name)
            self.doing(f"looking for pushes that nobody ended: {number} repositories done")
            for upload, found in list(uploads.stale(one, long_ago)):
                if uploads.remove(self.tree, one, upload):
                    count, size = count + 1, size + found
            self._forget_gone(one, clocks.older(now, self.wish.grace))
            if name in self.untidy:
                tidying.tidy(one, old)
        if count:
            yield "uploads", str(count), str(size)

    def _forget_gone(self, one: Repository, old: Callable[[Stamp], bool]) -> None:
        """What a tag was that nobody can bring back: else one that is moved each hour is a file for each hour."""
        if tidying.gone(self.tree, one, old):
            with flight.still(self.tree, one.name, flight.BUSY_SECONDS) as still:
                tidying.forget(tidying.gone(self.tree, one, old) if still else ())

    def _repositories(self, wrong: Callable[[OSError], object] = lambda _: None) -> Iterator[Repository]:
        """All of them; wrong: is told of what can't be read, which is left alone."""
        return (one for one in self.tree.repositories(wrong) if one.name != PROBE)

    def plan(self) -> Iterator[Entry]:
        """What `collect` would do; nothing is written."""
        now = time.time_ns()
        kept, spare_digests = Digests(), dict[str, None]()
        for one in self._repositories():
            spare = self._spare(one, now)
            if spare.held:
                yield "held", one.name, spare.held
            yield from (("hidden", one.name, REVISION, digest) for digest in spare.revisions)
            yield from (("hidden", one.name, LAYER, digest) for digest in spare.layers)
            kept.add(spare.stays)
            spare_digests.update(dict.fromkeys((*spare.revisions, *spare.layers)))
        sizes = [self.tree.size(digest) for digest in spare_digests if digest not in kept]
        yield "freed", str(len(sizes)), str(sum(size or 0 for size in sizes))
