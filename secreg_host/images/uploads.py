"""Uploads that nobody ended: `_uploads/UUID` of a repository, which the registry leaves there for days."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from secreg_host.base import marks
from secreg_host.base.marks import Stamp
from secreg_host.images import moving
from secreg_host.images.layout import Repository, Tree
from secreg_host.images.purging import Purge
from secreg_host.images.trash import MODE, REST


def stale(one: Repository, old: Callable[[Stamp], bool]) -> Iterator[tuple[str, int]]:
    """The uploads of repository `one` in which nothing was written for so long that all is `old`, and their bytes."""
    above = one.uploads
    try:
        names = sorted(os.listdir(above))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        stamps, size = [marks.stamp(f"{above}/{name}")], 0
        for folder, _, inner in os.walk(f"{above}/{name}"):
            stamps.append(marks.stamp(folder))
            for each in inner:
                stamps.append(marks.stamp(f"{folder}/{each}"))
                size += _size(f"{folder}/{each}")
        if all(stamp is not None and old(stamp) for stamp in stamps):
            yield name, size


def remove(tree: Tree, one: Repository, name: str) -> bool:
    """Remove the upload `name` of repository `one`: away at once, so that nobody goes on with half of it."""
    purge = Purge(tree)
    moving.made(purge.path, MODE)
    aside = f"{purge.path}/{REST}{name}"
    try:
        Path(f"{one.uploads}/{name}").rename(aside)
    except FileNotFoundError:
        return False
    shutil.rmtree(aside, ignore_errors=True)
    return True


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except FileNotFoundError:
        return 0
