"""The marker of a store: a file in the directory of images whose name holds an id, so that an empty store, or what lies
below a disk that is not mounted, is told from the store that served.

Its name begins with a dot and it stands above docker/registry/v2, so neither the registry's catalog nor the front sees
it. It belongs to the registry's user, who may write there on network file systems, too.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from secreg_host.base import distant, files, reading
from secreg_host.host.host import Host
from secreg_host.images.readable import TREE

PREFIX = ".secure-registry-store-"
NAMED = re.compile(re.escape(PREFIX) + r"([0-9a-f]{32})")
TEXT = b"secure-registry tells by this file that the disk with these images is mounted. Copy it along with them.\n"

LOOKED_AT = 1000
"""Entries of the directory of images in which a marker is looked for: the registry makes one, `docker`."""


@dataclass(frozen=True)
class Store:
    """A store that served. id: that of its marker ("": it has none); base: the topmost directory above it on the same
    file system, which is where that is mounted."""

    id: str = ""
    base: str = ""

    @property
    def name(self) -> str:
        """The name of its marker; "": it has none."""
        return PREFIX + self.id if self.id and self != ANY else ""


ANY = Store("any")
"""In the place of the store that served: whatever is there may serve, with a registry that is started there."""


@dataclass(frozen=True)
class Here:
    """What is in a directory now: ids of the markers (several where stores were copied into one), `base` as above, and
    whether there are images; odd: ids of what has a marker's name and is no regular file."""

    ids: tuple[str, ...]
    base: str
    images: bool
    odd: tuple[str, ...] = ()


def look(place: str) -> Here:
    """What is in the directory `place`, which need not exist. Raises SecregError when that can't be told."""
    return distant.ask(place, lambda: _look(Path(place)))


def _look(place: Path) -> Here:
    try:
        with os.scandir(place) as entries:
            named = ((NAMED.fullmatch(entry.name), entry) for entry, _ in zip(entries, range(LOOKED_AT), strict=False))
            regular = {name[1]: entry.is_file(follow_symlinks=False) for name, entry in named if name}
    except (FileNotFoundError, NotADirectoryError):
        regular = {}
    except OSError as error:
        raise reading.unreadable(place, error) from error
    ids, odd = (tuple(sorted(key for key, is_file in regular.items() if is_file is wanted)) for wanted in (True, False))
    return Here(ids, str(_base(place)), _holds_images(place), odd)


def _base(place: Path) -> Path:
    """The topmost directory above `place`, or the nearest above it that exists, on the same file system."""
    while not place.is_dir() and place != place.parent:
        place = place.parent
    device = place.stat().st_dev
    while place != place.parent and place.parent.stat().st_dev == device:
        place = place.parent
    return place


def _holds_images(place: Path) -> bool:
    """Whether any blob is there: no image is without."""
    try:
        with os.scandir(place / TREE / "blobs/sha256") as entries:
            return next(entries, None) is not None
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return False
        raise reading.unreadable(place, error) from error


def lost(before: Store, here: Here) -> str:
    """Why what is `here` must not serve in the place of the store of `before`; "": it may. That is so when the marker
    is there, and for images that somebody put there; not for those that a disk hides when it is mounted upon them."""
    if not before.name or before.id in here.ids:
        return ""
    nothing = "" if here.images else "it is empty, and not the store that served before"
    return unmounted(before, here) or nothing


def unmounted(before: Store, here: Here) -> str:
    """That the disk with the store of `before` is not mounted where what is `here` is; "": it is, or that was none."""
    if not before.name or before.id in here.ids or Path(here.base) not in Path(before.base).parents:
        return ""
    return f"nothing is mounted at {before.base}, where the images were"


def settle(host: Host, place: str, before: Store, here: Here, *, write: bool) -> Store:
    """The store in `place`, which may serve: with the marker that it has, or is given now, if we may `write`; best
    effort. One that was copied to another file system gets another one: the copy that the mount hides is not meant."""
    before = before if before.name else Store()
    same = before.base in ("", here.base)
    known = before.id if before.id in here.ids else next(iter(here.ids), "")
    if known and (same or known != before.id):
        return Store(known, here.base)
    new = Store(before.id if same and before.id else secrets.token_hex(16), here.base)
    return new if write and _put(host, Path(place), new.name) else Store(known, here.base)


def moved(old: Store, new: Store) -> bool:
    """Whether what is in the directory of `old` by now, `new`, is another store, or on another file system."""
    return bool(old.id) and (old.base != new.base or new.id not in ("", old.id))


def _put(host: Host, place: Path, name: str) -> bool:
    """Put the marker `name` into the directory `place`, as the registry's user; whether that could be done."""

    def write() -> bool:
        files.write(Path(name), TEXT, files.PUBLIC)
        return True

    account = host.accounts.registry
    return bool(distant.ask_as(account.name, account.uid, account.gid, write, place))
