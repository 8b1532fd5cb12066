"""Copying blobs into a pool or a store, several at once.

A blob has its name once its bytes were hashed and are on disk. So what is there needs no second look, and a
run that is killed is gone on with where it was.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from secreg_host.base import files, marks
from secreg_host.upkeep import inside
from secreg_host.upkeep.place import Place

T = TypeVar("T")
R = TypeVar("R")
PIECE = 1 << 20
WORKERS = max(2, min(4, os.cpu_count() or 2))
MANY, MUCH = 64, 64 << 20
"""Blobs, and bytes, that one worker copies before it waits for the disk: one wait is hardly longer for many."""

AHEAD = 2 * WORKERS
"""Batches that wait for a worker."""

OTHER_BYTES = "its bytes are others than its digest says"
OTHER_SIZE = "its size is another one than it was a moment ago"
TOO_LARGE = "it is larger than a file may be there (FAT: 4 GiB)"

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


class Batch(NamedTuple):
    """Blobs that were copied, by their bytes, and those that could not be."""

    size: int
    failed: list[Failed]


class Target(Protocol):
    """Where blobs are copied to."""

    @property
    def path(self) -> Path:
        """All of it."""

    @property
    def mode(self) -> int:
        """The mode of their files, but for the umask."""

    def new(self, digest: str) -> str:
        """Where a blob is written."""

    def blob(self, digest: str) -> str:
        """Where it belongs."""

    def folders(self, digest: str) -> tuple[str, ...]:
        """The directories in which that is, from the top down, that are made if there are none. What is above is not:
        it may be on a disk that went."""

    def top(self, path: str) -> str:
        """The directory above `path` to which links are followed, and no further: below it somebody may put them."""

    def settle(self, touched: set[str]) -> None:
        """Make names durable that came to be in the directories `touched`. Raises OSError."""


def room() -> memoryview:
    """What a file is read by, piece by piece."""
    return memoryview(bytearray(PIECE))


def ignored(_: int) -> None:
    """In the place of what is told how many bytes went by."""


def copy(
    target: Target, wanted: Iterable[Blob], opened: Open, tell: Callable[[int], None] = ignored
) -> Iterator[Failed]:
    """Copy the blobs that are `wanted` to `target`; those that could not be had. tell: told of bytes as they go by,
    from several threads.

    Raises SecregError where they can't be written.
    """
    for batch in batches(target, wanted, opened, tell):
        yield from batch.failed


def batches(
    target: Target, wanted: Iterable[Blob], opened: Open, tell: Callable[[int], None] = ignored
) -> Iterator[Batch]:
    """The same, with what became of each batch."""
    touched: set[str] = set()

    def work(batch: list[Blob]) -> Batch:
        with files.explained(target.path):
            return Batch(sum(one.size for one in batch), _copy(target, batch, opened, tell, touched))

    yield from side_by_side(work, batched(wanted))
    with files.explained(target.path):
        target.settle(touched)


def batched(blobs: Iterable[Blob]) -> Iterator[list[Blob]]:
    """`blobs` in batches, for one worker each."""
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


def side_by_side(work: Callable[[T], R], given: Iterable[T]) -> Iterator[R]:
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
    target: Target, batch: list[Blob], opened: Open, tell: Callable[[int], None], touched: set[str]
) -> list[Failed]:
    """Copy a batch: all are written, then all are synced, then each gets its name. Raises OSError where that can't be
    done; what can't be read is only told."""
    failed: list[Failed] = []
    written: list[tuple[int, str, Blob]] = []
    unnamed = True
    buffer, kept = room(), inside.Kept(target.top)
    try:
        for one in batch:
            _make(target, target.folders(one.digest), touched)
            new = target.new(one.digest)
            descriptor = kept.new(new, target.mode)
            written.append((descriptor, new, one))
            why = _take(descriptor, one, opened, buffer, tell)
            if why:
                written.pop()
                os.close(descriptor)
                kept.unlink(new)
                failed.append(Failed(one.digest, why))
            else:  # the disk may begin
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        for descriptor, _, _ in written:
            os.fsync(descriptor)
        for _, new, one in written:
            kept.replace(new, target.blob(one.digest))
        unnamed = False
    finally:
        for descriptor, new, _ in written:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                if unnamed:
                    kept.unlink(new)
        kept.close()
    return failed


def _make(target: Target, folders: tuple[str, ...], touched: set[str]) -> None:
    """Make the `folders` of `target`, if they are not there, for whoever may read its files."""
    mode = target.mode | (target.mode & 0o444) >> 2
    if folders[-1] not in touched:
        for folder in folders:
            inside.make(target.top(folder), folder, mode)
        touched.update(folders)


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
            size += count
            tell(count)
            if size > one.size:  # whoever has no end would fill the disk
                return OTHER_SIZE
            piece = buffer[:count]
            digest.update(piece)
            while piece:
                piece = piece[os.write(descriptor, piece) :]
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        return TOO_LARGE
    finally:
        os.close(source)
    if digest.hexdigest() != one.digest.partition(":")[2]:
        return OTHER_BYTES
    return "" if size == one.size else OTHER_SIZE


def wanting(place: Place, blobs: Iterable[Blob]) -> Iterator[Blob]:
    """Those of `blobs` that are not in the pool with their size. Raises SecregError."""
    with files.explained(place.pool, "read"):
        yield from (one for one in blobs if place.size(one.digest) != one.size)
