"""Files that get another name in the store, so that neither a kill nor a power cut leaves them without any.

A file gets its second name first, which is on disk before the first one goes: a rename between two directories is one
change on most file systems, but no standard says so. Whoever is killed in between leaves both names, of one file.
Where there are no second names (CIFS, FAT) it is renamed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from secreg_host.base import files

MODE = 0o750
"""Of directories of the store, as the registry makes them in its unit."""

NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def second(source: str, target: str) -> bool:
    """Give the file `source` the second name `target`, too, where there are such; False: it is gone, or another file
    is at `target`, which stays. Raises OSError."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        return _same(source, target)
    except FileNotFoundError:
        if os.path.lexists(source):
            raise
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
    return True


def away(source: str, target: str) -> bool:
    """Take the name `source` from a file that has the name `target`, too, or rename it; False: it is gone."""
    try:
        if os.path.lexists(target):
            os.unlink(source)  # noqa: PTH108
        else:
            os.rename(source, target)  # noqa: PTH104
    except FileNotFoundError:
        return False
    return True


def made(folder: str, mode: int) -> None:
    """Have the directory `folder`, with its name on disk, and those above it. (By relative paths: the store's user need
    not be let into what is above the store.)"""
    if not os.path.isdir(folder):  # noqa: PTH112
        above = str(Path(folder).parent)
        made(above, mode)
        Path(folder).mkdir(mode, exist_ok=True)
        synced([above])


def synced(folders: Iterable[str]) -> None:
    """Have the names in `folders` on disk."""
    for folder in folders:
        files.sync_directory(Path(folder))


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except FileNotFoundError:
        return False
