"""Directories made and reached one name at a time, so that root follows nobody's links but its own.

Below a directory of a service's user, that user may put a link wherever a name is expected. What is made, given away or
opened to others by its path would then be what the link leads to.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import deque
from pathlib import Path, PurePosixPath

from secreg_host.base.errors import SecregError
from secreg_host.base.paths import DESCRIPTORS

FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def make(path: Path, mode: int, owner: tuple[int, int] | None = None, *, durable: bool = True) -> None:
    """Make directory `path` (and its parents, 0755) with `mode` and `owner` (uid, gid); an existing one is mended.

    A name that is new is on disk then, if it is to be `durable`: that what is in the directory was synced is of no use
    without (fsync(2)). Raises OSError, and SecregError where a link on the way is not root's (or ours).
    """
    descriptor = _reach(path.absolute(), mode if owner is None else mode & 0o700, durable=durable)
    try:
        found, itself = os.fstat(descriptor), DESCRIPTORS / str(descriptor)
        if owner is not None and os.geteuid() == 0 and (found.st_uid, found.st_gid) != owner:
            os.chown(itself, *owner)
        if found.st_mode & 0o7777 != mode:
            itself.chmod(mode)
    finally:
        os.close(descriptor)


def _reach(path: Path, mode: int, *, durable: bool) -> int:
    """A descriptor (O_PATH) of directory `path`, which is made if there is none."""
    names = deque(path.parts)  # the first one is /
    at = os.open("/", FLAGS)
    for _ in range(len(names) + 256):  # links have names, too
        if not names:
            return at
        step = _step(at, names.popleft(), 0o755 if names else mode, durable=durable)
        found = os.fstat(step)
        if stat.S_ISDIR(found.st_mode):
            os.close(at)
            at = step
            continue
        if not stat.S_ISLNK(found.st_mode):
            os.close(step)
            os.close(at)
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        target = os.readlink("", dir_fd=step)  # noqa: PTH115 (Path knows no descriptors)
        os.close(step)
        if os.geteuid() == 0 and found.st_uid != 0:
            os.close(at)
            what = f"the way to {path} leads by a link that user {found.st_uid} made, to {target}"
            raise SecregError(what, "make it as root, or name the directory that it leads to")
        names.extendleft(reversed(PurePosixPath(target).parts))
    os.close(at)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _step(at: int, name: str, mode: int, *, durable: bool) -> int:
    """A descriptor of `name`, a directory or a link in the directory `at`; a directory is made if it is not there."""
    try:
        return os.open(name, FLAGS, dir_fd=at)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, mode, dir_fd=at)  # noqa: PTH102
            if durable:
                _sync(at)
    return os.open(name, FLAGS, dir_fd=at)


def _sync(at: int) -> None:
    """Make the names in the directory `at` (O_PATH) durable, if we may read it."""
    with contextlib.suppress(PermissionError):
        readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=at)
        try:
            os.fsync(readable)
        finally:
            os.close(readable)
