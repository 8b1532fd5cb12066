"""Whose what comes back from a backup is, and what others may do with it."""

from __future__ import annotations

import functools
import grp
import os
import pwd
import stat
import tarfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from secreg_host.base import attributes, quoting
from secreg_host.base.errors import Note, Problem
from secreg_host.base.paths import Paths
from secreg_host.upkeep import present
from secreg_host.upkeep.archived import Item, Sorted
from secreg_host.upkeep.configuration import LINKED

ROOT = (0, 0)


def owner(item: Item) -> tuple[int, int]:
    """The owner and the group of that name here; where there are none, root."""
    return _uid(item.owner[0]), _gid(item.owner[1])


@functools.lru_cache(256)
def _uid(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return 0


@functools.lru_cache(256)
def _gid(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return 0


def give(path: Path, mode: int, to: tuple[int, int]) -> None:
    """Give the file or directory `path`, which is no link, to whom it belongs, if we may, with its mode."""
    if os.geteuid() == 0:
        os.chown(path, *to)
    path.chmod(mode)


def mend(paths: Paths, items: Mapping[str, Item], left_out: Collection[str], *, etc: bool) -> Iterator[Problem]:
    """Let what stands on the host, with the bytes that it has in the archive, be whose a fresh restore would let it be,
    with that mode; what was other is told. left_out: what of the state does not come back; etc: whether /etc is among
    what does."""
    inside, state = present.names(paths)
    found = Sorted(items)
    for item in [*filter(None, [items.get(inside)]), *found.below(inside)] if etc else ():
        path = paths.root / item.name
        if item.kind != tarfile.SYMTYPE:
            yield from _mended(path, item, item.mode, owner(item))
        elif not path.is_symlink():  # what that led to came back in its place
            linked = items.get(f"{LINKED}/{item.name}")
            for one in [*filter(None, [linked]), *found.below(f"{LINKED}/{item.name}")]:
                if one.kind == tarfile.REGTYPE:
                    yield from _mended(paths.root / one.name.removeprefix(f"{LINKED}/"), one, one.mode, owner(one))
    for item in found.below(state):
        path = paths.root / item.name
        if item.kind != tarfile.REGTYPE or path.relative_to(paths.state).parts[0] in left_out:
            continue
        if present.content(path) == item.data:
            yield from _mended(path, item, item.mode & 0o700, ROOT)


def _mended(path: Path, item: Item, mode: int, to: tuple[int, int]) -> Iterator[Problem]:
    kinds = {tarfile.REGTYPE: stat.S_ISREG, tarfile.DIRTYPE: stat.S_ISDIR}
    try:
        found = path.lstat()
        now, whose = stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid)
        if not kinds[item.kind](found.st_mode) or (now == mode and (whose == to or os.geteuid() != 0)):
            return
        give(path, mode, to)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        what = f"a fresh restore gives it mode {mode:04o}, user {to[0]}, group {to[1]}: that can't be done"
        command = f"chmod {mode:04o} {quoting.shell(path)}; chown {to[0]}:{to[1]} {quoting.shell(path)}"
        let_go = attributes.fixed(path)
        yield Problem(str(path), f"{what}: {error.strerror}", f"{let_go}; {command}" if let_go else command)
        return
    had = f"its mode was {now:04o}" if now != mode else f"it was of user {whose[0]}, group {whose[1]}"
    what = f"{had}; now it is as a fresh restore gives it: mode {mode:04o}, user {to[0]}, group {to[1]}"
    yield Note(str(path), what, f"see: ls -ln {quoting.shell(path)}")
