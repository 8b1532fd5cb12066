"""Files that take another one's place at once, and what killed runs left of such.

A file is written under a name of its own beside the one that it is to replace: `.NAME.XXXXXXXX.secreg.new`. Who writes
it holds flock(2) on it, and the kernel drops that lock with its holder: one that nobody holds was left by a run that
was killed. It may hold a key or hashes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from secreg_host.base import distant
from secreg_host.base.errors import SecregError

MARK = ".secreg.new"
FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def instead_of(path: Path) -> Iterator[int]:
    """A descriptor of a new file, 0600 from the first byte, that takes the place of `path` when the block ends, once it
    is on disk; if the block raises, it is removed and `path` is untouched. Raises OSError."""
    sweep(path.parent)
    descriptor, temporary = _new(path)
    try:
        yield descriptor
        os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def _new(path: Path) -> tuple[int, Path]:
    while True:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=MARK, dir=path.parent)
        if _lock(descriptor) and os.fstat(descriptor).st_nlink:
            return descriptor, Path(name)
        os.close(descriptor)  # another run took it for a leftover before it was locked


def _lock(descriptor: int) -> bool:
    """Whether nobody else holds the lock of this file. On file systems without locks nobody does, and nobody sweeps."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def sweep(directory: Path, *, ours: bool = False) -> None:
    """Remove what killed runs left in `directory`: what bears our mark; if nobody else writes there (it is `ours`) any
    `.NAME.new`, also links, which only who holds the instance's lock may be making. Best effort."""
    with contextlib.suppress(OSError, SecregError):
        distant.ask(directory, lambda: _sweep(directory, ours=ours))


def _sweep(directory: Path, *, ours: bool) -> None:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith(".") and entry.name.endswith(".new" if ours else MARK):
                with contextlib.suppress(OSError):
                    _remove(Path(entry), links=ours)


def _remove(path: Path, *, links: bool) -> None:
    """Remove `path` if it is a file that nobody is writing. (Or a link, which is made by one call.)"""
    mode = path.lstat().st_mode
    if links and stat.S_ISLNK(mode):
        path.unlink()
    if not stat.S_ISREG(mode):
        return
    descriptor = os.open(path, FLAGS)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.lstat()):
            path.unlink()
    finally:
        os.close(descriptor)
