"""Whether a file is still the same, in two notions: its mark, which is what stat(2) says of it and costs no reading,
and the digest of its content.

A mark holds what any way of saving changes: device, inode, size, times, mode and owner. Links are followed one by one,
so that a new target of any of them is seen (certbot's live/ -> archive/). What does not answer is the same for as long
as it does not.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from secreg_host.base import distant
from secreg_host.base.errors import SecregError

COARSE = 2.0
"""Seconds in which two changes may leave the same time, on whatever file system (FAT has the coarsest)."""

Link = Callable[[Path], Path | None]


def digest(*pieces: bytes) -> str:
    """SHA-256 of `pieces`, one after the other, in hexadecimal."""
    return hashlib.sha256(b"".join(pieces)).hexdigest()


def hashing(algorithm: str = "sha256") -> hashlib._Hash:
    """What makes a digest of `algorithm` piece by piece, of what is too large to be held at once. (Other threads go on
    while a piece of more than 2 KB is digested.)"""
    return hashlib.new(algorithm, usedforsecurity=False)


def mark(path: Path | str, link: Link | None = None) -> str:
    """What changes whenever the file at `path` does, or a link on the way to it, or whether it is there."""
    try:
        return distant.ask(path, lambda: "\n".join(f"{step} {_here(step)}" for step in along(Path(path), link=link)))
    except SecregError:
        return f"{path} does not answer"


def came_after(seen: os.stat_result, since: float) -> bool:
    """Whether what is `seen` was changed after `since` (seconds since the epoch). What the clock has yet to come to, as
    it was set back, was not."""
    return since <= seen.st_ctime <= time.time()


def _here(step: Path) -> str:
    try:
        return of(step.lstat())
    except OSError as error:
        return str(error.errno)


def of(status: os.stat_result) -> str:
    """The mark of one file by itself, of which stat(2) said `status`. What is in a directory is no part of its mark."""
    content = () if stat.S_ISDIR(status.st_mode) else (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    owner = f"{status.st_uid} {status.st_gid}"
    return f"{status.st_dev} {status.st_ino} {content} {status.st_mode:o} {owner}"


class Stamp(NamedTuple):
    """What tells a file from another one in its place, and from itself once it was written anew; or a directory from
    itself once a name in it came or went: by lstat(2) (device, inode, size), when it was written, and when anything of
    it changed (nanoseconds of the file system's clock, which is a coarse one)."""

    device: int
    inode: int
    size: int
    written: int
    changed: int

    @property
    def latest(self) -> int:
        """When something became of it last."""
        return max(self.written, self.changed)

    def is_same(self, other: Stamp | None) -> bool:
        """Whether `other` is of the same file with the same bytes, wherever its name is by now: a new name changes the
        time of change."""
        return other is not None and self[1:4] == other[1:4]

    def lasting(self, since: float) -> str:
        """The same as text, to be remembered; "": it changed so shortly before `since` (seconds since the epoch), or by
        a clock so far ahead, that another change might not show."""
        if self.changed > (since - COARSE) * 10**9:
            return ""
        return " ".join(map(str, self))


def of_all(paths: Iterable[str], since: float) -> str:
    """One mark of all that is at `paths` itself: another one whenever one of them has another stamp, comes or goes; "":
    of one of them that can't be told (Stamp.lasting). Raises OSError. Written for many: nothing is made for each but
    its line."""
    said, latest, look = [], (since - COARSE) * 10**9, os.lstat
    for path in paths:
        try:
            one = look(path)
        except (FileNotFoundError, NotADirectoryError):
            said.append("-")
            continue
        changed = one.st_ctime_ns
        if changed > latest:
            return ""
        said.append(f"{one.st_dev} {one.st_ino} {one.st_size} {one.st_mtime_ns} {changed}")
    return digest("\n".join(said).encode())


def stamp(path: str) -> Stamp | None:
    """The stamp of what is at `path` itself; None: nothing is. Raises OSError."""
    try:
        return stamp_of(os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return None


def stamp_of(status: os.stat_result) -> Stamp:
    """The stamp of what stat(2) said `status` of."""
    return Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def stream(descriptor: int) -> str:
    """What `descriptor` leads to, as systemd says it of what it gave a unit (systemd.exec(5), JOURNAL_STREAM). Raises
    OSError."""
    found = os.fstat(descriptor)
    return f"{found.st_dev}:{found.st_ino}"


def along(path: Path, *, far: bool = True, link: Link | None = None) -> Iterator[Path]:
    """`path` and every link on the way to where its bytes are, as absolute paths without links in front; unless `far`,
    only as far as it leads through file systems that answer. link: `leads`, or what remembers it for many paths."""
    target = link or leads
    pending = [path]
    for _ in range(distant.LINKS):
        if not pending:
            return
        current = pending.pop()
        if not far and distant.below(current):
            return
        step = next((parent for parent in reversed(current.parents) if target(parent)), None) or current
        yield step
        if (found := target(step)) is not None:
            pending.append(found / current.relative_to(step))


def leads(link: Path) -> Path | None:
    """Where `link` leads; None if it is none, or not to be seen."""
    try:
        return Path(os.path.normpath(link.parent / link.readlink()))
    except OSError:
        return None
