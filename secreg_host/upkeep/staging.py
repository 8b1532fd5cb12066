"""Writing what comes back of a configuration beside its place, on disk before it gets there.

A few files are waited for one by one; of many, all at once (sync(2)): a disk takes a millisecond or more for each wait.
"""

from __future__ import annotations

import contextlib
import os
import tarfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from secreg_host.base import files, leftovers, reading
from secreg_host.base.errors import Note, Problem
from secreg_host.base.paths import Paths
from secreg_host.upkeep import owning, present
from secreg_host.upkeep.archived import Item, Sorted
from secreg_host.upkeep.configuration import LINKED

FEW = 1000
"""Files that are waited for one by one."""

SHOWN = 20
"""Links that are told to lead to nothing that is here."""


@dataclass
class Beside:
    """Where what is in an archive is written, for root alone. count: how many files of /etc were; notes: what of it is
    not as it was, more: of how many links that is not told; durable: whether each is on disk at once."""

    paths: Paths
    found: Sorted
    count: int = 0
    notes: list[Problem] = field(default_factory=list)
    more: int = 0
    durable: bool = True
    _made: set[str] = field(default_factory=set)

    def etc(self) -> None:
        """Write all of /etc. Raises SecregError."""
        to, etc = leftovers.restoring(self.paths).etc, present.names(self.paths)[0]
        files.make_directory(self.paths.etc.parent, 0o755)
        with files.explained(to):
            files.make_directory(to, 0o700)
            for item in self.found.below(etc):
                self._write(to / item.name.removeprefix(f"{etc}/"), item)
            top = self.found.items.get(etc)
            if top is not None:
                owning.give(to, top.mode, owning.owner(top))
            else:
                to.chmod(0o755)
            for folder, _, _ in os.walk(to) if self.durable else ():
                files.sync_directory(Path(folder))

    def state(self, left_out: Collection[str]) -> dict[Path, Path]:
        """Write what the program remembered where that is other on this host, or not there, but what is `left_out`;
        what is to be at which path. Raises SecregError."""
        folder, written = leftovers.restoring(self.paths).state, dict[Path, Path]()
        for item in self.found.below(present.names(self.paths)[1]):
            path = self.paths.root / item.name
            if item.kind != tarfile.REGTYPE or path.relative_to(self.paths.state).parts[0] in left_out:
                continue
            if present.content(path) != item.data:
                if not written:
                    files.make_directory(folder, 0o700)
                written[path] = folder / str(len(written))
                files.create(written[path], item.data, item.mode & 0o700, durable=self.durable)
        return written

    def _write(self, path: Path, item: Item) -> None:
        """Make one file, link or directory."""
        if (above := item.name.rpartition("/")[0]) not in self._made:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(above)
        if item.kind == tarfile.DIRTYPE:
            path.mkdir(exist_ok=True)
            owning.give(path, item.mode, owning.owner(item))
            return
        if item.kind == tarfile.SYMTYPE:
            self._link(path, item)
        else:
            files.create(path, item.data, item.mode & 0o777, owning.owner(item), durable=self.durable)
            self.count += 1

    def _link(self, path: Path, item: Item) -> None:
        """Make a link, or what it led to in its place, where that is not on this host."""
        if _leads_somewhere(self.paths.root, item):
            path.symlink_to(item.target)
            return
        name, what = f"{LINKED}/{item.name}", f"led to {item.target}, which is not on this host"
        behind = [one for one in self.found.below(name) if one.kind == tarfile.REGTYPE]
        linked = self.found.items.get(name)
        if linked is None and not behind:
            path.symlink_to(item.target)
            self._tell(Problem, item.name, f"it {what}, nor in the backup", "bring that back, or remove the link")
            return
        hint = "make the link again when that is there"
        self._tell(Note, item.name, f"it {what}: what that held is in its place", hint)
        for one in behind:
            self._write(path / one.name.removeprefix(f"{name}/"), one)
        if linked is not None:
            self._write(path, linked)

    def _tell(self, kind: type[Problem], *said: str) -> None:
        if len(self.notes) < SHOWN:
            self.notes.append(kind(*said))
        else:
            self.more += 1


@contextlib.contextmanager
def writing(paths: Paths, items: Mapping[str, Item]) -> Iterator[Beside]:
    """What writes what is in an archive; all of it is on disk at the end of the block."""
    found = Beside(paths, Sorted(items), durable=len(items) <= FEW)
    yield found
    if found.more:
        found.notes.append(Problem(str(paths.etc), f"{found.more} more links are so", f"find {paths.etc} -xtype l"))
    if not found.durable:
        os.sync()


def _leads_somewhere(root: Path, item: Item) -> bool:
    """Whether the link `item` leads to something: beside it, where all comes back, or on this host."""
    target = PurePosixPath(item.target)
    if not target.is_absolute() and ".." not in target.parts:
        return True
    return reading.status((root / item.name).parent / target) is not None
