"""Uploads that nobody ended: `_uploads/UUID` of a repository, which the registry leaves there for days."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from secreg_host.base import marks
from secreg_host.base.marks import Stamp
from secreg_host.images.layout import Repository, Tree
from secreg_host.images.trash import Trash


def stale(one: Repository, old: Callable[[Stamp], bool]) -> Iterator[tuple[str, int]]:
    """The uploads of repository `one` in which nothing was written for so long that all is `old`, and their bytes."""
    above = one.uploads
    for name in _names(one):
        stamps, size = [marks.stamp(f"{above}/{name}")], 0
        for folder, _, inner in os.walk(f"{above}/{name}"):
            stamps.append(marks.stamp(folder))
            for each in inner:
                stamps.append(marks.stamp(f"{folder}/{each}"))
                size += _size(f"{folder}/{each}")
        if all(stamp is not None and old(stamp) for stamp in stamps):
            yield name, size


def are_going_on(one: Repository, old: Callable[[Stamp], bool]) -> bool:
    """Whether somebody uploads to repository `one`: the registry may be about to write a link there. An upload is there
    until its link is."""
    return len(_names(one)) > len(list(stale(one, old)))


def remove(tree: Tree, one: Repository, name: str) -> bool:
    """Remove the upload `name` of repository `one`: away at once, so that nobody goes on with half of it."""
    return Trash(tree).driver.purge_folder(f"{one.uploads}/{name}")


def _names(one: Repository) -> list[str]:
    try:
        return sorted(os.listdir(one.uploads))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except FileNotFoundError:
        return 0
