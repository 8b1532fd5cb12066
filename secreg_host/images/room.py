"""Room for the trash on a disk that is full: what is deleted or collected needs names there, before anything is freed.

It is kept beside the trash (base/reserve) by whoever frees space, and given up by the next one who finds the disk full.
"""

from __future__ import annotations

import os

from secreg_host.base.reserve import FULL, Reserve
from secreg_host.images.layout import Tree
from secreg_host.images.trash import FOLDER

SIZE = 1 << 20
MORE = 11
"""Reserves of inodes alone: a tag that goes to the trash takes more than ten, with its history."""

FEW = 64
"""Inodes, fewer than which may be too few."""


def make(tree: Tree) -> bool:
    """Give up what is kept, if the disk is full; whether it is."""
    found = os.statvfs(tree.root)
    full = found.f_bavail * found.f_frsize < SIZE or (found.f_files > 0 and found.f_favail < FEW)
    if full:
        _reserve(tree).give_up()
    return full


def keep(tree: Tree) -> None:
    """Keep it again, as far as there is room."""
    _reserve(tree).keep()
    for number in range(MORE):
        Reserve(_reserve(tree).directory / f"more-{number}", 0).keep()


def lacks(error: OSError) -> bool:
    """Whether `error` says that there is none."""
    return error.errno in FULL


def _reserve(tree: Tree) -> Reserve:
    return Reserve(tree.base / FOLDER / "reserve", SIZE)
