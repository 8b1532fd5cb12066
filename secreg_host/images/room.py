"""Room in a store for freeing room there: on a full disk no directory can be made, and no link gets a second name.

So some is kept beside the trash, and given up by who comes to delete or to free space; the next run keeps it anew.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from secreg_host.base.reserve import FULL, Reserve
from secreg_host.images.filesystem import FOLDER
from secreg_host.images.layout import Tree

SIZE, PARTS = 1 << 20, 12
"""Bytes, and directories of a few inodes each: a tag that goes to the trash takes more than ten with its history."""

FEW = 64
"""Inodes, fewer than which may be too few."""


def make(tree: Tree) -> None:
    """Give up what is kept, if nearly nothing is left besides."""
    if _is_low(tree, 1):
        for one in _kept(tree):
            one.give_up()


def keep(tree: Tree) -> None:
    """Keep some, where that takes it from nobody."""
    if not _is_low(tree, 16):
        for one in _kept(tree):
            one.keep()


def lacks(error: OSError) -> bool:
    """Whether `error` says that there is none."""
    return error.errno in FULL


def _kept(tree: Tree) -> list[Reserve]:
    return [Reserve(Path(tree.base / FOLDER / "reserve" / str(number)), SIZE // PARTS) for number in range(PARTS)]


def _is_low(tree: Tree, times: int) -> bool:
    try:
        found = os.statvfs(tree.root)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOSYS):
            raise
        return False
    return found.f_bavail * found.f_frsize < SIZE * times or (found.f_files > 0 and found.f_favail < FEW * times)
