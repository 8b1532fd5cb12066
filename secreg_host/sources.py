"""Which files the current state was read from, and whether they are still the same: stat(2), no reading.

A fingerprint holds of each file along its path what any way of saving changes: device, inode, size, times, mode and
owner. Links are followed one by one, so that a new target of any of them is seen (certbot's live/ -> archive/).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from secreg_host.paths import Paths

LINKS = 40
"""Links followed for one path, as many as the kernel does (path_resolution(7))."""

IGNORED = (".new", ".swp", ".swx", "~", ".dpkg-new", ".dpkg-tmp")
"""Endings of files that are never read: our own temporaries and those of editors."""


def own_files(paths: Paths) -> tuple[Path, ...]:
    """Everything in /etc/secure-registry (and below), as it is now."""
    found = []
    for folder, folders, names in os.walk(paths.etc):
        folders.sort()
        found += [Path(folder, name) for name in names if not name.endswith(IGNORED)]
        found += [Path(folder, name) for name in folders if Path(folder, name).is_symlink()]
    return tuple(sorted(found))


def along(path: Path) -> Iterator[Path]:
    """`path` and every link on the way to where its bytes are, as absolute paths without links in front."""
    pending = [path]
    for _ in range(LINKS):
        if not pending:
            return
        current = pending.pop()
        for parent in reversed(current.parents):
            if parent.is_symlink():
                yield parent
                target = parent.parent / parent.readlink()
                current = Path(os.path.normpath(target)) / current.relative_to(parent)
                pending.append(current)
                break
        else:
            yield current
            if current.is_symlink():
                pending.append(Path(os.path.normpath(current.parent / current.readlink())))


def directories(paths: Paths, sources: Iterable[str]) -> frozenset[Path]:
    """The directories to watch: /etc/secure-registry with its parent, and those of every step to each source.

    For one that does not exist, the nearest above it that does: there it will turn up.
    """
    found = {paths.etc.parent}
    for source in (*map(str, own_files(paths)), str(paths.conf), *sources):
        found |= {next(path for path in step.parents if path.is_dir()) for step in along(Path(source))}
    return frozenset(path for path in found if path.is_dir())


def fingerprint(paths: Paths, sources: Iterable[str]) -> str:
    """A digest that changes whenever one of the files does; the same files give the same digest."""
    marks = []
    for source in sorted({*map(str, own_files(paths)), *sources}):
        for step in along(Path(source)):
            try:
                status = step.lstat()
            except OSError as error:
                marks.append(f"{step} {error.errno}")
                continue
            times = (status.st_mtime_ns, status.st_ctime_ns) if not stat.S_ISDIR(status.st_mode) else ()
            marks.append(
                f"{step} {status.st_dev} {status.st_ino} {status.st_size} {times} "
                f"{status.st_mode:o} {status.st_uid} {status.st_gid}"
            )
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()
