"""Reading blobs again: whether they are what they are called, several at once."""

from __future__ import annotations

import errno
import itertools
import os
import stat
from collections.abc import Callable, Iterable, Iterator

from secreg_host.base import marks
from secreg_host.upkeep.place import Place
from secreg_host.upkeep.pool import OTHER_BYTES, PIECE, Blob, Failed, Open, batched, ignored, room, side_by_side

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
NO_BYTES = "its bytes are not there"


def check(named: Iterable[Blob], opened: Open, tell: Callable[[int], None] = ignored) -> Iterator[Failed]:
    """Those of the blobs `named` that are not as they should be: each is read, and hashed."""

    def work(batch: list[Blob]) -> list[Failed]:
        buffer = room()
        found = (Failed(one.digest, _wrong(one, opened, buffer, tell)) for one in batch)
        return [failed for failed in found if failed.why]

    for failed in side_by_side(work, batched(named)):
        yield from failed


def _wrong(one: Blob, opened: Open, buffer: memoryview, tell: Callable[[int], None]) -> str:
    """Why what is opened is not the blob; "": it is."""
    try:
        size, digest = hashed(opened(one.digest), one.digest.partition(":")[0], buffer, tell)
    except FileNotFoundError:
        return NO_BYTES
    except OSError as error:
        return f"it can't be read: {error.strerror}"
    if size != one.size:
        return f"it has {size} bytes instead of {one.size}"
    return "" if digest == one.digest else OTHER_BYTES


def hashed(source: int, algorithm: str, buffer: memoryview, tell: Callable[[int], None] = ignored) -> tuple[int, str]:
    """The size and the digest of the regular file that is open as `source`, read by way of `buffer`; it is closed.
    Raises OSError."""
    made, size = marks.hashing(algorithm), 0
    try:
        if not stat.S_ISREG(os.fstat(source).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        while count := os.readv(source, [buffer]):
            made.update(buffer[:count])
            size += count
            tell(count)
    finally:
        os.close(source)
    return size, f"{algorithm}:{made.hexdigest()}"


def opener(place: Place) -> Open:
    """What opens the blobs of a pool."""
    return lambda digest: opened(place.blob(digest))


def opened(path: str) -> int:
    """A descriptor of the file `path`: nothing is waited for, and no link in its place followed. Raises OSError."""
    return os.open(path, READ)


def content(place: Place, digest: str, limit: int) -> bytes | None:
    """The first `limit` bytes of blob `digest`; None: it is not there, or can't be read."""
    try:
        descriptor = opened(place.blob(digest))
    except OSError:
        return None
    try:
        pieces = iter(lambda: os.read(descriptor, PIECE), b"")
        taken = itertools.islice(pieces, limit // PIECE + 1)
        return b"".join(taken)[:limit]
    except OSError:
        return None
    finally:
        os.close(descriptor)
