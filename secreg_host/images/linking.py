"""Links as the registry writes them: in place. A file renamed to the name of one would take from a push, which has the
old one open, what it writes just now. One that is not there yet nobody has open, so it comes to be as a whole."""

from __future__ import annotations

import os
import stat
import uuid
from pathlib import Path

from secreg_host.base import files, marks
from secreg_host.images import layout, moving

MODE = 0o660
"""Of links, but for the umask: the registry writes them so."""

PIECE = 1 << 20
FLAGS = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def write(link: str, digest: str) -> None:
    """Let the file `link` hold `digest`, on disk; its directory is there. No link in its place is followed. Raises
    OSError."""
    _filled(os.open(link, FLAGS | os.O_CREAT, MODE), digest)
    files.sync_directory(Path(link).parent)


def write_new(link: str, digest: str) -> bool:
    """Have a new file `link` that holds `digest`, on disk; its directory is there. False: there is a file. Raises
    OSError."""
    beside = f"{link}.{uuid.uuid4()}.tmp"  # if it stays: tidying.LEFT
    _filled(os.open(beside, FLAGS | os.O_CREAT | os.O_EXCL, MODE), digest)
    made = moving.second(beside, link)
    if made:
        moving.away(beside, link)
    else:
        Path(beside).unlink()
    files.sync_directory(Path(link).parent)
    return made


def write_again(link: str, digest: str) -> bool:
    """The same of a file that is there, with the date that it has; False: it is gone. Raises OSError."""
    try:
        descriptor = os.open(link, FLAGS)
    except FileNotFoundError:
        return False
    _filled(descriptor, digest, marks.stamp_of(os.fstat(descriptor)).written)
    return True


def _filled(descriptor: int, digest: str, date: int | None = None) -> None:
    try:
        os.pwrite(descriptor, digest.encode(), 0)
        os.ftruncate(descriptor, len(digest))
        if date is not None:
            os.utime(descriptor, ns=(date, date))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_right(path: str, digest: str) -> bool:
    """Whether the regular file `path` holds what its `digest` says. Raises OSError."""
    algorithm, _, value = digest.partition(":")
    hashed = marks.hashing(algorithm)
    try:
        descriptor = os.open(path, layout.FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return False
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        while piece := file.read(PIECE):
            hashed.update(piece)
    return hashed.hexdigest() == value
