"""Opening what others wrote: nothing but regular files of bounded size, and never waiting.

Who may put a file somewhere may put a pipe, a device or a link to a dead server there, too. Everything that is not our
own is opened here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from secreg_host.base import distant
from secreg_host.base.distant import WAIT_SECONDS
from secreg_host.base.errors import BadInput, SecregError, bad_input

BLOCK, MB = 1 << 12, 1 << 20
SETTINGS, YAML, PEM, JSON = MB >> 4, MB, MB, MB
"""Bytes of secure-registry.conf and openssl.cnf; docker-registry.yml; a certificate with its issuers, or a key; other
programs' configuration. Each is a few thousand in practice."""

NGINX = 4 * MB
"""nginx.conf, and each file that it includes: lists of addresses may be long."""

HTPASSWD = 8 * MB
"""Some 60,000 users, or 30,000 robots."""

RECORD = 64 * MB
"""What we wrote ourselves: holds copies of all of these."""

OTHER = 64 * MB
"""What nginx reads by itself, such as lists of revoked certificates."""

FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

KINDS = {
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
}
REMEDIES = {
    errno.EACCES: "run this as root (sudo), or give --root DIR for an instance of your own",
    errno.EPERM: "run this as root (sudo)",
    errno.ELOOP: "links lead in a circle there: remove one of them",
    errno.EIO: "the disk or the server that holds it fails: see dmesg",
    errno.ESTALE: "the server that holds it knows it no more: mount it anew",
}


def read(path: Path, limit: int, wait: float = WAIT_SECONDS) -> bytes | None:
    """The bytes of the regular file `path`, links followed; None if there is no such file.

    Raises SecregError, which names the file and says what to do: for what is no regular file, has more than `limit`
    bytes, is a link to nothing, can't be read, or lies where nobody answers within `wait` seconds.
    """
    return distant.ask(path, lambda: _read(path, limit), wait)


def tail(path: Path, size: int) -> bytes:
    """The last bytes, at most `size`, of the regular file `path`, links followed; nothing where it can't be read."""

    def look() -> bytes:
        with _opened(path, sys.maxsize) as (descriptor, length):
            return os.pread(descriptor, size, max(0, length - size))

    try:
        return distant.ask(path, look)
    except (OSError, ValueError, SecregError):
        return b""


def peek(path: Path, limit: int) -> bytes:
    """What can be read of `path`: nothing where `read` returns None or raises."""
    try:
        return read(path, limit) or b""
    except SecregError:
        return b""


def content(path: Path) -> bytes | None:
    """The bytes of the file at `path`, behind links too; None when there is no regular file, or one that is far too
    large. Raises SecregError when it can't be read."""
    try:
        return read(path, NGINX)
    except BadInput:
        return None


def begins(path: Path, magic: bytes) -> bool:
    """Whether the regular file at `path`, links followed, begins with `magic`; no where that can't be told."""

    def look() -> bool:
        with _opened(path, sys.maxsize) as (descriptor, _):
            return os.read(descriptor, len(magic)) == magic

    try:
        return distant.ask(path, look)
    except (OSError, ValueError, SecregError):
        return False


@contextlib.contextmanager
def _opened(path: Path, limit: int) -> Iterator[tuple[int, int]]:
    """The descriptor of the regular file `path` of at most `limit` bytes, and its size."""
    _check(path, path.stat(), limit)  # before it is opened: that alone makes some devices act
    descriptor = os.open(path, FLAGS)
    with os.fdopen(descriptor, "rb", buffering=0):
        found = os.fstat(descriptor)
        _check(path, found, limit)
        yield descriptor, found.st_size


def _read(path: Path, limit: int) -> bytes | None:
    try:
        with _opened(path, limit) as (descriptor, expected):
            pieces, size = [], 0
            while piece := os.read(descriptor, min(max(expected + 1, BLOCK), MB)):
                pieces.append(piece)
                size += len(piece)
                if size > limit:
                    raise _too_large(path, size, limit)
            return b"".join(pieces)
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            hint = "bring back what it leads to, or remove the link"
            raise bad_input(str(path), f"is a link to {path.readlink()}, which does not exist", hint) from None
        return None
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError | ValueError) -> SecregError:
    """`error`, met when `path` was to be read or looked at, in words. (ValueError: a NUL in the path.)"""
    if not isinstance(error, OSError):
        return SecregError(f"cannot read {str(path)!r}: {error}", "name another file")
    return SecregError(
        f"cannot read {path}: {error.strerror}", REMEDIES.get(error.errno or 0, f"see what is there: ls -ld {path}")
    )


def _check(path: Path, found: os.stat_result, limit: int) -> None:
    kind = KINDS.get(stat.S_IFMT(found.st_mode))
    if kind is not None:
        raise bad_input(str(path), f"is {kind}, not a file", "put a plain file in its place, or a link to one")
    if found.st_size > limit:
        raise _too_large(path, found.st_size, limit)


def _too_large(path: Path, size: int, limit: int) -> SecregError:
    what = f"has {size} bytes or more, and at most {limit} are read"
    return bad_input(str(path), what, "is it the right file? If so, make it smaller")


def status(path: Path, wait: float = WAIT_SECONDS) -> os.stat_result | None:
    """stat(2) of `path`; None if there is nothing, or nothing that we may see. Raises BadInput when nobody answers."""

    def look() -> os.stat_result | None:
        try:
            return path.stat()
        except (OSError, ValueError):
            return None

    return distant.ask(path, look, wait)


def is_file(path: Path) -> bool:
    """Whether `path` is a regular file, or leads to one. One that does not answer is none."""
    return _is(path, stat.S_ISREG)


def is_directory(path: Path) -> bool:
    """Whether `path` is a directory, or leads to one. One that does not answer is none."""
    return _is(path, stat.S_ISDIR)


def is_there(path: Path) -> bool:
    """Whether there is anything at `path`, even a link to nothing. What does not answer is."""
    try:
        return distant.ask(path, lambda: os.path.lexists(path))
    except SecregError:
        return True


def _is(path: Path, kind: object) -> bool:
    try:
        found = status(path)
    except SecregError:
        return False
    return found is not None and bool(kind(found.st_mode))  # type: ignore[operator]
