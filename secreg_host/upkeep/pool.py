"""The pool of blobs: copying into it, and hashing what is there, several at once.

A blob has its name in the pool once its bytes were hashed and are on disk. So what is there needs no second look, and a
run that is killed is gone on with where it was.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from secreg_host.base import files, marks
from secreg_host.upkeep import place as places
from secreg_host.upkeep.place import Place

T = TypeVar("T")
R = TypeVar("R")
PIECE = 1 << 20
WORKERS = max(2, min(4, os.cpu_count() or 2))
MANY, MUCH = 64, 64 << 20
"""Blobs, and bytes, that one worker copies before it waits for the disk: one wait is hardly longer for many."""

AHEAD = 2 * WORKERS
"""Batches that wait for a worker."""

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
OTHER_BYTES = "its bytes are others than its digest says"
NO_BYTES = "its bytes are not there"
OTHER_SIZE = "its size is another one than it was a moment ago"

Open = Callable[[str], int]
"""What opens the blob of a digest for reading. Raises OSError."""


class Blob(NamedTuple):
    """A blob, and how many bytes it has."""

    digest: str
    size: int


class Failed(NamedTuple):
    """A blob that is not there as it should be, and why."""

    digest: str
    why: str


def room() -> memoryview:
    """What a file is read by, piece by piece."""
    return memoryview(bytearray(PIECE))


def ignored(_: int) -> None:
    """In the place of what is told how many bytes went by."""


def copy(place: Place, wanted: Iterable[Blob], opened: Open, tell: Callable[[int], None] = ignored) -> Iterator[Failed]:
    """Copy the blobs that are `wanted` into the pool; those that could not be had. tell: told of bytes as they go by,
    from several threads.

    Raises SecregError where they can't be written.
    """
    touched: set[str] = set()

    def work(batch: list[Blob]) -> list[Failed]:
        with files.explained(place.path):
            return _copy(place, batch, opened, tell, touched)

    for failed in _side_by_side(work, _batches(wanted)):
        yield from failed
    with files.explained(place.path):
        for folder in sorted(touched):
            places.sync(Path(folder))
        for folder in ("sha256", "sha512"):
            places.sync(place.pool / folder)


def check(place: Place, named: Iterable[Blob], tell: Callable[[int], None] = ignored) -> Iterator[Failed]:
    """Those of the blobs `named` that are not in the pool as they should be: each is read, and hashed."""

    def work(batch: list[Blob]) -> list[Failed]:
        buffer = room()
        found = (Failed(one.digest, _wrong(place, one, buffer, tell)) for one in batch)
        return [failed for failed in found if failed.why]

    for failed in _side_by_side(work, _batches(named)):
        yield from failed


def _batches(blobs: Iterable[Blob]) -> Iterator[list[Blob]]:
    batch: list[Blob] = []
    size = 0
    for one in blobs:
        batch.append(one)
        size += one.size
        if len(batch) >= MANY or size >= MUCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _side_by_side(work: Callable[[T], R], given: Iterable[T]) -> Iterator[R]:
    """What `work` makes of each that is `given`, in their order, of which only so many are taken ahead. What one raises
    is raised, and no other one is begun then."""
    pending: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(WORKERS)
    try:
        for one in given:
            pending.append(pool.submit(work, one))
            if len(pending) > AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _copy(
    place: Place, batch: list[Blob], opened: Open, tell: Callable[[int], None], touched: set[str]
) -> list[Failed]:
    """Copy a batch: all are written, then all are synced, then each gets its name. Raises OSError where that can't be
    done; what can't be read is only told."""
    failed: list[Failed] = []
    written: list[tuple[int, Path, Blob]] = []
    unnamed = True
    buffer = room()
    try:
        for one in batch:
            new = place.incoming / one.digest.replace(":", "-")
            descriptor = os.open(new, NEW, files.PRIVATE)
            written.append((descriptor, new, one))
            why = _take(descriptor, one, opened, buffer, tell)
            if why:
                written.pop()
                os.close(descriptor)
                new.unlink()
                failed.append(Failed(one.digest, why))
            else:  # the disk may begin
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        for descriptor, _, _ in written:
            os.fsync(descriptor)
        for _, new, one in written:
            target = Path(place.blob(one.digest))
            _make(target.parent, touched)
            new.replace(target)
        unnamed = False
    finally:
        for descriptor, new, _ in written:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                if unnamed:
                    new.unlink(missing_ok=True)
    return failed


def _make(folder: Path, touched: set[str]) -> None:
    """Make the `folder` of the pool, if there is none. What is above is never made here: it may be on a disk that
    went."""
    if str(folder) not in touched:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(0o700)
        touched.add(str(folder))


def _take(descriptor: int, one: Blob, opened: Open, buffer: memoryview, tell: Callable[[int], None]) -> str:
    """Write the bytes of a blob to `descriptor`, and hash them meanwhile; why that is not the blob, or "". Raises
    OSError where it can't be written."""
    try:
        source = opened(one.digest)
    except OSError as error:
        return f"it can't be read: {error.strerror}"
    digest, size = marks.hashing(one.digest.partition(":")[0]), 0
    try:
        while True:
            try:
                count = os.readv(source, [buffer])
            except OSError as error:
                return f"it can't be read: {error.strerror}"
            if not count:
                break
            piece = buffer[:count]
            digest.update(piece)
            while piece:
                piece = piece[os.write(descriptor, piece) :]
            size += count
            tell(count)
    finally:
        os.close(source)
    if digest.hexdigest() != one.digest.partition(":")[2]:
        return OTHER_BYTES
    return "" if size == one.size else OTHER_SIZE


def _wrong(place: Place, one: Blob, buffer: memoryview, tell: Callable[[int], None]) -> str:
    """Why what is in the pool is not the blob; "": it is."""
    try:
        size, digest = hashed(place.blob(one.digest), one.digest.partition(":")[0], buffer, tell)
    except FileNotFoundError:
        return NO_BYTES
    except OSError as error:
        return f"it can't be read: {error.strerror}"
    if size != one.size:
        return f"it has {size} bytes instead of {one.size}"
    return "" if digest == one.digest else OTHER_BYTES


def hashed(path: str, algorithm: str, buffer: memoryview, tell: Callable[[int], None] = ignored) -> tuple[int, str]:
    """The size and the digest of the regular file `path`, read by way of `buffer`. Raises OSError."""
    made, size = marks.hashing(algorithm), 0
    source = os.open(path, READ)
    try:
        if not stat.S_ISREG(os.fstat(source).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", path)
        while count := os.readv(source, [buffer]):
            made.update(buffer[:count])
            size += count
            tell(count)
    finally:
        os.close(source)
    return size, f"{algorithm}:{made.hexdigest()}"


def wanting(place: Place, blobs: Iterable[Blob]) -> Iterator[Blob]:
    """Those of `blobs` that are not in the pool with their size. Raises SecregError."""
    with files.explained(place.pool, "read"):
        yield from (one for one in blobs if place.size(one.digest) != one.size)


def content(place: Place, digest: str, limit: int) -> bytes | None:
    """The first `limit` bytes of blob `digest`; None: it is not there, or can't be read."""
    try:
        descriptor = os.open(place.blob(digest), READ)
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
