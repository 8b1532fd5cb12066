"""Files that grow by whole lines, ours and other users': what was written stays, and what is cut short is taken back.

They may lie in a directory of somebody else's: no link is followed, nothing is waited for, and what is no file of ours
in the place of one is moved away.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from secreg_host.base import files
from secreg_host.base.errors import SecregError

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
WRITE = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
END = b"\n"
BLOCK = 1 << 16
"""Bytes of a line at the most."""

FOREIGN = ".foreign"
"""What the name of a file that was moved away ends with."""


def append(path: Path, data: bytes, mode: int) -> int:
    """Add the lines `data` to our file `path`, which is made if there is none, and have them on disk; how long it is
    then. Raises OSError, and it is as it was."""
    descriptor, made = _ours(path, mode)
    try:
        before = _whole(descriptor)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):  # what is left of it has no end, or is found by who begins anew
                os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)
    if made:
        with contextlib.suppress(OSError):
            files.sync_directory(path.parent)
    return before + len(data)


def _ours(path: Path, mode: int) -> tuple[int, bool]:
    """A descriptor of our regular file `path`, with one name, and whether it was made."""
    made = not os.path.lexists(path)
    with contextlib.suppress(OSError):
        descriptor = os.open(path, WRITE, mode)
        if is_ours(os.fstat(descriptor)):
            if made:
                os.fchmod(descriptor, mode)
            return descriptor, made
        os.close(descriptor)
    if (foreign := _status(path)) is not None and not is_ours(foreign):
        path.replace(path.with_name(path.name + FOREIGN))
    descriptor = os.open(path, WRITE | os.O_EXCL if foreign is not None else WRITE, mode)
    os.fchmod(descriptor, mode)
    return descriptor, True


def is_ours(found: os.stat_result) -> bool:
    """Whether what is `found` (fstat(2)) is a regular file of whoever runs this, by one name."""
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1


def _status(path: Path) -> os.stat_result | None:
    with contextlib.suppress(OSError):
        return path.lstat()
    return None


def _whole(descriptor: int) -> int:
    """How long a file is, once what has no end of line at its end was cut off."""
    size = at = os.fstat(descriptor).st_size
    while at > 0:
        begin = max(0, at - BLOCK)
        found = os.pread(descriptor, at - begin, begin).rfind(END)
        if found >= 0:
            at = begin + found + 1
            break
        at = begin
    if at != size:
        os.ftruncate(descriptor, at)
    return at


def size(path: Path) -> int:
    """How long our file `path` is; 0: there is none."""
    found = _status(path)
    return found.st_size if found is not None and is_ours(found) else 0


def empty(path: Path) -> None:
    """Let our file `path` begin anew. It is the same file: who looks at it by its name, or holds it, goes on. Raises
    OSError."""
    descriptor, _ = _ours(path, stat.S_IRUSR)
    try:
        os.ftruncate(descriptor, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The regular file `path`, unpacked if its name ends with .gz. Raises OSError."""
    descriptor = os.open(path, READ)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is no file", str(path))
        if path.suffix != ".gz":
            yield stream
            return
        with gzip.GzipFile(fileobj=stream) as unpacked:
            yield cast(BinaryIO, unpacked)


def first(path: Path) -> bytes:
    """The first line of `path`, or the beginning of it; nothing where there is none (yet)."""
    with contextlib.suppress(OSError, EOFError), _opened(path) as stream:
        line = stream.readline(BLOCK)
        return line if line.endswith(END) or len(line) == BLOCK else b""
    return b""


def after(path: Path, begin: int, most: int) -> bytes:
    """The whole lines of `path` after its first `begin` bytes, at most `most` bytes of them; what is longer without an
    end is no line, and comes as it is. Raises OSError."""
    with _opened(path) as stream:
        stream.seek(begin)
        data = stream.read(most)
    end = data.rfind(END) + 1
    return data if not end and len(data) == most else data[:end]


def lines(path: Path) -> Iterator[bytes]:
    """The lines of `path`, one after the other, as far as they can be read. Raises SecregError where it can't be
    opened."""
    try:
        with _opened(path) as stream:
            while line := stream.readline(BLOCK):
                yield line
    except FileNotFoundError:
        return
    except (OSError, EOFError) as error:
        raise SecregError(f"cannot read {path}: {error}", f"see what is there: ls -l {path}") from error
