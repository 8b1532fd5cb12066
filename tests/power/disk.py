"""A model of what is on disk when the power goes: less than the program saw.

It promises no more than POSIX does, and so less than any one file system keeps:

- Bytes and mode of a file are on disk once it was synced (fsync(2)). Until then it may be as it was when it was synced
  last (of a new file: empty), as it is now, as long as it is now with zeros in blocks that are new (delayed
  allocation), or each of its blocks as it was or is.
- A name is on disk once its *directory* was synced: "Calling fsync() does not necessarily ensure that the entry in the
  directory containing the file has also reached disk" (fsync(2)).
- Changes of names in one directory reach the disk in order; those of two directories, or of names and of bytes, in any
  order. A rename is one change, and never half there, if both names are in one directory (rename(2)). Only that order
  is taken from journals of ext4, XFS and btrfs; that ext4 syncs what is renamed over (auto_da_alloc) is not counted on.

Sources: Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014 (whose tool is ALICE); fsync(2); ext4(5).
Owners, times and attributes are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from tests.power.trace import Change

BLOCK = 4096


@dataclass(eq=False)
class File:
    """now: what a program reads; kept: what surely is on disk; each with its mode. least: its shortest length since it
    was synced: what is below is written over, what is above to blocks that are new."""

    now: bytes = b""
    mode: int = 0o600
    kept: bytes = b""
    kept_mode: int = 0o600
    least: int = 0

    @property
    def dirty(self) -> bool:
        """Whether a power cut may lose something of it."""
        return (self.now, self.mode) != (self.kept, self.kept_mode)

    def sync(self) -> None:
        """All of it is on disk."""
        self.kept, self.kept_mode, self.least = self.now, self.mode, len(self.now)

    @property
    def hollow(self) -> bytes:
        """As long as it is now, with nothing of what was written since it was synced."""
        return self.kept[: self.least].ljust(len(self.now), b"\0")[: len(self.now)]


@dataclass(eq=False)
class Link:
    """A symlink, which is on disk with its name."""

    target: Path


@dataclass(eq=False)
class Folder:
    """kept: the names that surely are on disk; pending: what became of them since, in order (None: removed). A rename
    within the directory is one entry of `pending`: two names that change at once."""

    mode: int = 0o755
    kept: dict[str, Node] = field(default_factory=dict)
    pending: list[dict[str, Node | None]] = field(default_factory=list)
    now: dict[str, Node] = field(default_factory=dict)

    def change(self, names: Mapping[str, Node | None]) -> None:
        """`names` change at once."""
        self.pending.append(dict(names))
        self.now = replayed(self.now, [names])

    def after(self, number: int) -> dict[str, Node]:
        """Its names, with the first `number` of what is pending."""
        return replayed(self.kept, self.pending[:number])

    def sync(self) -> None:
        """All its names are on disk."""
        self.kept, self.pending = dict(self.now), []


Node: TypeAlias = File | Link | Folder


def replayed(names: Mapping[str, Node], changes: Sequence[Mapping[str, Node | None]]) -> dict[str, Node]:
    """`names` after `changes`."""
    merged: dict[str, Node | None] = dict(names)
    for one in changes:
        merged |= one
    return {name: node for name, node in merged.items() if node is not None}


class Disk:
    """What is below the directory `root`, of which everything that is there now is on disk. What is below `memory`
    (relative) is gone with the power, and not looked at."""

    def __init__(self, root: Path, memory: tuple[str, ...] = ()) -> None:
        self.root = root
        self.memory = memory
        self.top = _read(root, root, memory)

    def apply(self, one: Change) -> bool:
        """Let `one` happen; whether that is of any matter here. Raises LookupError for what can't have happened."""
        if one.kind == "all":
            for node in every(self.top):
                if not isinstance(node, Link):
                    node.sync()
            return True
        if not self._is_ours(one.path):
            return False
        if one.kind == "unknown":
            raise LookupError(f"{one.path} is written to in a way that is not known here")
        if one.kind in ("rename", "link"):
            return self._moved(one)
        if one.kind in ("mkdir", "symlink", "unlink", "rmdir"):
            folder = self._folder(one.path.parent)
            made: Mapping[str, Node | None] = {
                "mkdir": Folder(one.mode),
                "symlink": Link(one.other),
            }
            folder.change({one.path.name: made.get(one.kind)})
            return True
        return self._changed(one)

    def _changed(self, one: Change) -> bool:
        """A change of what is in a file or of a mode, or a sync."""
        if one.kind == "make":
            folder = self._folder(one.path.parent)
            if one.path.name in folder.now:
                return False
            folder.change({one.path.name: File(mode=one.mode, kept_mode=one.mode)})
            return True
        node = self._node(one.path)
        if one.kind == "sync":
            assert not isinstance(node, Link)
            node.sync()
        elif one.kind == "mode":
            assert not isinstance(node, Link)
            node.mode = one.mode
        else:
            assert isinstance(node, File), one
            node.now = _rewritten(node.now, one)
            node.least = min(node.least, len(node.now))
        return True

    def _moved(self, one: Change) -> bool:
        if not self._is_ours(one.other):
            raise LookupError(f"{one.path} is moved to {one.other}, which is on another disk")
        node, source, target = self._node(one.path), self._folder(one.path.parent), self._folder(one.other.parent)
        gone: dict[str, Node | None] = {one.path.name: None} if one.kind == "rename" else {}
        if source is target:
            source.change({**gone, one.other.name: node})
        else:
            target.change({one.other.name: node})
            source.change(gone)
        return True

    def _is_ours(self, path: Path) -> bool:
        if self.root not in path.parents:
            return path == self.root
        relative = path.relative_to(self.root)
        return not any(relative.is_relative_to(one) for one in self.memory)

    def _node(self, path: Path) -> Node:
        """What is at `path`. Raises LookupError."""
        if path == self.root:
            return self.top
        if path == path.parent:
            raise LookupError(f"{path} is not of {self.root}")
        found = self._folder(path.parent).now.get(path.name)
        if found is None:
            raise LookupError(f"{path} is not there")
        return found

    def _folder(self, path: Path) -> Folder:
        """The directory at `path`, or to which a link there leads."""
        node = self._node(path)
        if isinstance(node, Link):
            return self._folder(_normal(path.parent / node.target))
        if isinstance(node, File):
            raise LookupError(f"{path} is no directory")
        return node


def _normal(path: Path) -> Path:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return Path(*parts)


def _rewritten(before: bytes, one: Change) -> bytes:
    if one.kind == "cut":
        return before[: one.size].ljust(one.size, b"\0")
    if one.kind == "room":
        return before.ljust(one.size, b"\0")
    at = len(before) if one.at is None else one.at
    return before[:at].ljust(at, b"\0") + one.data + before[at + len(one.data) :]


def _read(path: Path, root: Path, memory: tuple[str, ...]) -> Folder:
    """What is in the directory `path`, all of it on disk."""
    found = Folder(path.stat().st_mode & 0o7777)
    for entry in sorted(path.iterdir()):
        if str(entry.relative_to(root)) in memory:
            continue
        if entry.is_symlink():
            found.kept[entry.name] = Link(entry.readlink())
        elif entry.is_dir():
            found.kept[entry.name] = _read(entry, root, memory)
        elif entry.is_file():
            file = File(entry.read_bytes(), entry.stat().st_mode & 0o7777)
            file.sync()
            found.kept[entry.name] = file
    found.now = dict(found.kept)
    return found


def every(folder: Folder) -> Iterator[Node]:
    """All that is, or may be, below `folder`, itself first: also what is removed, as long as that is not on disk."""
    seen: set[int] = set()
    todo: list[Node] = [folder]
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, Folder):
            todo += [*node.now.values(), *node.kept.values()]
            todo += [one for change in node.pending for one in change.values() if one is not None]
