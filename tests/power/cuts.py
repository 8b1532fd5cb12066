"""The states that a power cut can leave, at each moment of what a program did.

There are more than can be tried: of what is not on disk for sure each part may be, or not. What is tried of each moment
are the corners (nothing of it; all names and no bytes; all), each single name and file that is there before, or after,
all others, and some mixes by chance, of a seed that is told.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.power.disk import BLOCK, Disk, File, Folder, Link, every
from tests.power.trace import Change

Entry = tuple[str, bytes, int]
"""What is at a path: "file", "link" or "folder", its bytes (of a link: where it leads), and its mode."""

Tree = dict[str, Entry]
"""What is below a directory, by relative paths."""

Bytes = Callable[[File], tuple[bytes, int]]
Names = Callable[[Folder], int]


@dataclass(frozen=True)
class Cut:
    """A state: after which change, which part of what is not on disk for sure is there, and all that is found then."""

    after: int
    said: str
    tree: Tree


def old(file: File) -> tuple[bytes, int]:
    """As it was synced last."""
    return file.kept, file.kept_mode


def new(file: File) -> tuple[bytes, int]:
    """As the program left it."""
    return file.now, file.mode


def hollow(file: File) -> tuple[bytes, int]:
    """As long as the program left it, where nothing of that was written."""
    return (file.hollow if file.dirty else file.now), file.mode


def torn(file: File) -> tuple[bytes, int]:
    """Its first block as the program left it, of the others nothing was written."""
    return file.now[:BLOCK] + file.hollow[BLOCK:], file.mode


def torn_late(file: File) -> tuple[bytes, int]:
    """The other way round."""
    return file.hollow[:BLOCK] + file.now[BLOCK:], file.mode


WAYS: tuple[Bytes, ...] = (old, new, hollow, torn, torn_late)


def tree(disk: Disk, names: Names = lambda folder: len(folder.pending), data: Bytes = new) -> Tree:
    """What is found when of what is pending in each folder as many as `names` says are on disk, and of each file what
    `data` says."""
    found: Tree = {}

    def walk(folder: Folder, at: str) -> None:
        for name, node in folder.after(names(folder)).items():
            path = f"{at}{name}"
            if isinstance(node, Link):
                found[path] = ("link", str(node.target).encode(), 0)
            elif isinstance(node, File):
                found[path] = ("file", *data(node))
            else:
                found[path] = ("folder", b"", node.mode)
                walk(node, f"{path}/")

    walk(disk.top, "")
    return found


def states(disk: Disk, chance: random.Random, mixes: int) -> Iterator[tuple[str, Tree]]:
    """States that a cut can leave now, each with its name; some of them are the same."""
    nodes = list(every(disk.top))
    folders = [node for node in nodes if isinstance(node, Folder) and node.pending]
    files = [node for node in nodes if isinstance(node, File) and node.dirty]
    for way in WAYS:
        yield f"all names, bytes {way.__name__}", tree(disk, data=way)
    yield "nothing that was not synced", tree(disk, lambda _: 0, old)
    for folder in folders:
        for number in range(len(folder.pending) + 1):
            yield f"{number} names of one folder, of others none", tree(disk, _one(folder, number, 0))
            yield f"{number} names of one folder, of others all", tree(disk, _one(folder, number, 1))
    for file in files:
        yield "all but the bytes of one file", tree(disk, data=_drawn({file: old}))
    for _ in range(mixes if len(folders) + len(files) > 1 else 0):
        depth = {folder: chance.randint(0, len(folder.pending)) for folder in folders}
        yield "by chance", tree(disk, _deep(depth), _drawn({file: chance.choice(WAYS) for file in files}))


def _one(folder: Folder, number: int, others: int) -> Names:
    return lambda one: number if one is folder else others * len(one.pending)


def _deep(depth: Mapping[Folder, int]) -> Names:
    return lambda folder: depth.get(folder, 0)


def _drawn(ways: Mapping[File, Bytes]) -> Bytes:
    return lambda file: ways.get(file, new)(file)


def cuts(disk: Disk, changes: Sequence[Change], seed: int, mixes: int = 2) -> Iterator[Cut]:
    """Every state that is another one than all before, of each moment of `changes`; the last is that after all."""
    chance = random.Random(seed)
    seen: set[int] = set()
    for number, change in enumerate(changes):
        if not disk.apply(change):
            continue
        for said, found in states(disk, chance, mixes):
            mark = hash(frozenset(found.items()))
            if mark not in seen:
                seen.add(mark)
                yield Cut(number, said, found)


def read(root: Path, memory: tuple[str, ...] = ()) -> Tree:
    """What is below the directory `root` now, without what is in `memory`."""
    return tree(Disk(root, memory))


def write(found: Tree, root: Path) -> None:
    """Let there be below the directory `root` what a cut left, and nothing else."""
    for entry in root.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    for name, (kind, data, mode) in found.items():  # each folder stands before what is in it
        path = root / name
        if kind == "link":
            path.symlink_to(data.decode())
        elif kind == "folder":
            path.mkdir()
            path.chmod(mode)
        else:
            path.write_bytes(data)
            path.chmod(mode)


def unlike(before: Tree, after: Tree) -> list[str]:
    """Where the two differ."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
