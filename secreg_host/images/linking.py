"""Links as the registry writes them: in place. A file renamed to the name of one would take from a push, which has the
old one open, what it writes just now."""

from __future__ import annotations

import os
from pathlib import Path

from secreg_host.base import files, marks

MODE = 0o660
"""Of links, but for the umask: the registry writes them so."""

FLAGS = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def write(link: str, digest: str) -> None:
    """Let the file `link` hold `digest`, on disk; its directory is there. No link in its place is followed. Raises
    OSError."""
    _filled(os.open(link, FLAGS | os.O_CREAT, MODE), digest)
    files.sync_directory(Path(link).parent)


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
