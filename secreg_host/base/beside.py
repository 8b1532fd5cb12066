"""What stands where something is to be written: what it is, and how it is kept beside before it is replaced."""

from __future__ import annotations

import os
import stat
from datetime import datetime
from pathlib import Path

from secreg_host.base import files, reading
from secreg_host.base.errors import Problem

KINDS = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}


def obstacle(path: Path) -> Problem | None:
    """Why nothing can be put at `path`: something stands there that is neither a file nor a link. None: it can."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return None
    if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
        return None
    kind = KINDS.get(stat.S_IFMT(mode), "a device")
    return Problem(str(path), f"is {kind}, where a file belongs", f"move it away: mv {path} {path}.old")


def keep(path: Path, now: datetime, *, private: bool = False) -> Path | None:
    """Keep what stands at `path` beside it, as NAME.bak-YYYYMMDD-HHMMSS (UTC); returns where (None: there is nothing).

    A file is copied with its mode and owner (of a `private` one only what its owner may), a link as a link. Nothing
    that is there is overwritten: a name that is taken gets a number. Raises SecregError.
    """
    target = _free(path.with_name(f"{path.name}.bak-{now:%Y%m%d-%H%M%S}"))
    if path.is_symlink():
        with files.explained(target):
            target.symlink_to(path.readlink())
            files.sync_directory(target.parent)
        return target
    data = reading.content(path)
    if data is None:
        return None
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode) & (0o600 if private else 0o777)
    files.create(target, data, mode, (status.st_uid, status.st_gid))
    files.sync_directory(target.parent)
    return target


def _free(wanted: Path) -> Path:
    """`wanted`, or the first of `wanted`-2, -3 and so on that does not exist."""
    found, number = wanted, 1
    while os.path.lexists(found):
        number += 1
        found = wanted.with_name(f"{wanted.name}-{number}")
    return found
