"""Which files the current state was read from, and whether they are still the same: a fingerprint is a digest of their
marks, of each file along its path."""

from __future__ import annotations

import contextlib
import functools
import glob
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from secreg_host.base import distant, patterns, quoting
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.marks import along, digest, leads, mark
from secreg_host.base.paths import Paths

FILES, FOLDERS = 1000, 50
"""What is looked at in /etc/secure-registry at the most: somebody may have put a link to / there."""

IGNORED = (".new", ".swp", ".swx", "~", ".dpkg-new", ".dpkg-tmp")
"""Endings of files that are never read: our own temporaries and those of editors."""


def own_files(paths: Paths) -> tuple[Path, ...]:
    """Everything in /etc/secure-registry (and below), as it is now: those that have a meaning, and of others not more
    than can be looked at in a moment."""
    try:
        return distant.ask(paths.etc, lambda: _files_below(paths.etc, paths.wanted))
    except SecregError:
        return ()


def _files_below(top: Path, wanted: Iterable[Path]) -> tuple[Path, ...]:
    found: set[Path] = set()
    folders = [top]
    for folder in folders:
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.name.endswith(IGNORED):
                continue
            if not entry.is_dir(follow_symlinks=False):
                found |= {Path(entry)} if len(found) < FILES else set()
            elif len(folders) < FOLDERS:
                folders.append(Path(entry))
    found |= {path for path in wanted if path not in found and os.path.lexists(path)}
    return tuple(sorted(found))


def directories(paths: Paths, sources: Iterable[str]) -> tuple[Path, ...]:
    """The directories to watch: /etc/secure-registry with its parent, and those of every step to each source; none
    before one above it. Also files that can be written by another name: no directory on the way to them tells.

    For one that does not exist, the nearest above it that does: there it will turn up. Not those on network file
    systems, whose changes the kernel of this host can't tell (inotify(7)).
    """
    sources = tuple(sources)
    found, points = set(), distant.mounts()
    for source in (str(paths.etc), *map(str, own_files(paths)), str(paths.conf), *sources, *_matches(sources)):
        for step in along(Path(source), far=False):
            found.add(next((path for path in step.parents if _is_directory(path)), step))
            if _links(step) > 1 or (str(step) in points and not _is_directory(step)):
                found.add(step)
    return tuple(sorted(found))


def open_to_watchdog(path: Path) -> bool:
    """Whether root without any capability, as the watchdog is, gets to `path`, links followed: others may own it.
    What it can't see would be a change at each look. Not where nobody answers."""

    def through(directory: Path) -> bool:
        found = directory.stat()
        rights = stat.S_IXUSR if found.st_uid == 0 else stat.S_IXGRP if found.st_gid == 0 else stat.S_IXOTH
        return bool(found.st_mode & rights)

    try:
        return distant.ask(path, lambda: all(through(above) for step in along(path) for above in step.parents))
    except FileNotFoundError:
        return True
    except (OSError, SecregError):
        return False


def mounted(paths: Paths) -> tuple[Problem, ...]:
    """What is mounted upon /etc/secure-registry, or upon something in it, in words: it hides what was there before."""
    found = {Path(point): mount.kind for point, mount in distant.mounts().items()}
    return tuple(
        Problem(
            str(point),
            f"a file system ({found[point]}) is mounted there, which hides what it is mounted upon",
            f"if that is not meant: umount {quoting.shell(str(point))}",
        )
        for point in sorted(found)
        if point.is_relative_to(paths.etc)
    )


def _links(path: Path) -> int:
    """How many names the file `path` has; 0: it is none."""
    try:
        status = path.lstat()
    except OSError:
        return 0
    return status.st_nlink if stat.S_ISREG(status.st_mode) else 0


def _is_directory(path: Path) -> bool:
    """Whether `path` is a directory, or one that we may not see."""
    try:
        return path.is_dir()
    except PermissionError:
        return True


def _matches(sources: Iterable[str]) -> set[str]:
    """The files for which those of `sources` stand that are patterns (`include conf.d/*.conf`)."""
    found = set()
    for source in sources:
        if glob.has_magic(source):
            with contextlib.suppress(SecregError):  # an apply tells
                found |= set(map(str, patterns.expand(source)))
    return found


def users_mark(paths: Paths, known: Mapping[str, str] | None = None) -> str:
    """What changes whenever .htpasswd or robots does; known: marks of before, by path."""
    known = known or {}
    return "\n".join(known.get(str(path)) or mark(path) for path in (paths.htpasswd, paths.robots))


def marks(paths: Paths, sources: Iterable[str], own: Iterable[Path] | None = None) -> dict[str, str]:
    """For each of the files what changes whenever it does. own: `own_files`, where they are known already."""
    sources = tuple(sources)
    names = map(str, own_files(paths) if own is None else own)
    link = functools.cache(leads)
    return {source: mark(source, link) for source in {*names, *sources, *_matches(sources)}}


def fingerprint(paths: Paths, sources: Iterable[str]) -> str:
    """A digest that changes whenever one of the files does; the same files give the same one."""
    return fingerprint_of(marks(paths, sources))


def fingerprint_of(marks: Mapping[str, str]) -> str:
    """The fingerprint of files with these `marks`."""
    whole = "\n".join(f"{source} {marks[source]}" for source in sorted(marks))
    return digest(os.fsencode(whole))  # of names that may be no text
