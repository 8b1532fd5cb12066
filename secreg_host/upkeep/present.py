"""What of a configuration in a backup stands on a host already, and what there is in its way."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from secreg_host.base import reading
from secreg_host.base.errors import BadInput, Problem
from secreg_host.base.paths import Paths
from secreg_host.upkeep.archived import Item, below
from secreg_host.upkeep.configuration import LINKED
from secreg_host.upkeep.place import Place


def in_the_way(paths: Paths, items: Mapping[str, Item]) -> list[Path]:
    """What stands on this host already and is other than in the archive: somebody's configuration, and keys."""
    state = names(paths)[1]
    found = []
    for path in sorted(paths.etc.rglob("*")) if paths.etc.is_dir() else ():
        if not _is_same(path, _item_of(paths, path, items), items):
            found.append(path)
    kept = [item for item in below(items, state) if item.kind != tarfile.DIRTYPE]
    found += [path for item in kept if os.path.lexists(path := paths.root / item.name) and _matters(path, item)]
    return found


def _item_of(paths: Paths, path: Path, items: Mapping[str, Item]) -> Item | None:
    """What is at `path` of /etc in the archive: itself, or, where a link came back as a directory, what that held."""
    name = str(path.relative_to(paths.root))
    return items.get(name) or items.get(f"{LINKED}/{name}")


def content(path: Path) -> bytes | None:
    """The bytes of the file at `path`; None: there is none, or one that is too large for a backup."""
    try:
        return reading.read(path, reading.OTHER)
    except BadInput:
        return None


def _matters(path: Path, item: Item) -> bool:
    """Whether what is at `path` in the program's state is a secret, or what a secret belongs to, and another one."""
    return path.name.startswith(("ca.", "http.secret")) and content(path) != item.data


def _is_same(path: Path, item: Item | None, items: Mapping[str, Item]) -> bool:
    if stat.S_ISDIR(path.lstat().st_mode):
        return True
    if item is None:
        return False
    if path.is_symlink():
        return item.kind == tarfile.SYMTYPE and str(path.readlink()) == item.target
    linked = items.get(f"{LINKED}/{item.name}")
    wanted = linked.data if linked is not None else item.data
    return reading.is_file(path) and content(path) == wanted


def is_there(paths: Paths, items: Mapping[str, Item]) -> bool:
    """Whether all of /etc is as in the archive already: a restore that was cut is gone on with."""
    found = {item: paths.root / item.name for item in below(items, names(paths)[0])}
    if any(not os.path.lexists(path) or (one.kind == tarfile.REGTYPE and path.is_dir()) for one, path in found.items()):
        return False
    return all(_is_same(path, _item_of(paths, path, items), items) for path in paths.etc.rglob("*"))


def replaced(paths: Paths, items: Mapping[str, Item]) -> Iterator[Path]:
    """What of this host gets another one in its place: all of /etc, and files of the program's state."""
    if not is_there(paths, items):
        yield paths.etc
    for item in below(items, names(paths)[1]):
        path = paths.root / item.name
        if item.kind == tarfile.REGTYPE and os.path.lexists(path) and content(path) != item.data:
            yield path


def names(paths: Paths) -> tuple[str, str]:
    """How paths below /etc and of the program's state begin in an archive."""
    return str(paths.etc.relative_to(paths.root)), str(paths.state.relative_to(paths.root))


def refuse(place: Place, found: list[Path]) -> BadInput:
    """That there is somebody's configuration on this host."""
    shown = ", ".join(map(str, found[:3])) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
    what = f"this host has a configuration of its own: {shown}"
    return BadInput([Problem(str(place.path), what, "to move that aside (NAME.bak-DATE) and go on: --force")])
