"""Images that are put together beside those that serve, and then take their place at once.

    docker                  what serves
    docker.NAME.new         what is built of backup NAME, until all of it is there and proven
    docker.NAME             what served before, afterwards

Two renames in one directory, so whoever is killed leaves the old images or the new ones. In between, where there are
neither, the marker is away, by which nothing empty serves; the next apply finishes it. What a restore left that was cut
is told from what somebody else put there by an id, in a file of that directory and in root's own memory.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from secreg_host.base import deputies, distant, files, quoting, records, utf8
from secreg_host.base.errors import SecregError, bad_input
from secreg_host.base.paths import Paths
from secreg_host.host.host import Host
from secreg_host.images import layout, marker, readable
from secreg_host.images.layout import Tree
from secreg_host.images.readable import TREE

TOP, INNER = TREE.split("/", 1)
MARK = ".secure-registry-restore"
NAMED = re.compile(re.escape(TOP) + r"\.(?P<name>[0-9TZ-]+)\.new")
UMASK = 0o007
"""Of the registry's unit: the front, a member of its group, may read."""

RECORD: dict[Any, records.Shape] = {"id": str, "name": str, "images": str, "list": str, "moving": bool}


@dataclass(frozen=True)
class Site:
    """Where the images of backup `name`, whose list has that digest, are put together for the directory `images`; id:
    of this restore ("": it is the first that is heard of it)."""

    name: str
    images: Path
    list: str
    id: str = ""

    @property
    def folder(self) -> str:
        """What is built, beside what serves."""
        return f"{TOP}.{self.name}.new"

    @property
    def tree(self) -> Tree:
        """The same as a store, in the directory of images."""
        return Tree(Path(), f"{self.folder}/{INNER}")

    @property
    def path(self) -> Path:
        """The whole path of it."""
        return self.images / self.folder


@dataclass(frozen=True)
class Found:
    """What is there of a restore already: whether it was begun, or is in its place; others: what was given up."""

    begun: bool = False
    placed: bool = False
    others: tuple[str, ...] = ()


def _record(paths: Paths) -> Path:
    return paths.state / "restore.json"


def known(paths: Paths, name: str, images: Path, digest: str) -> Site:
    """Where backup `name`, whose list has that `digest`, is put together for the directory `images`, as is remembered
    if a restore of it was cut."""
    said = records.peek(_record(paths), RECORD)
    is_it = (said.get("name"), said.get("images"), said.get("list")) == (name, str(images), digest)
    return Site(name, images, digest, said.get("id", "") if is_it else "")


def look(host: Host, site: Site) -> Found:
    """What is there of it. Raises BadInput where something is in its place that we know nothing of."""
    if not os.path.lexists(site.images):
        return Found()

    def work() -> Iterable[str]:
        yield from sorted(name for name in os.listdir() if NAMED.fullmatch(name))  # noqa: PTH208
        yield f"begun {_id(site.folder)}"
        yield f"placed {_id(TOP)}"
        yield f"empty {not _entries(site.folder)}"

    others, said = [], dict[str, str]()
    with (
        contextlib.suppress(OSError),
        deputies.telling(host.accounts.registry, site.images, work, shut=readable.closed) as lines,
    ):
        for line in lines:
            word, space, value = line.partition(" ")
            if space:
                said[word] = value
            elif word != site.folder:
                others.append(word)
    begun = said.get("begun", "") == site.id != ""
    if not begun and said.get("empty", "True") != "True":
        what = "something is there that no restore of this backup, as far as is known here, has begun"
        raise bad_input(str(site.path), what, f"if nobody needs it: rm -rf {quoting.shell(site.path)}")
    return Found(begun, said.get("placed", "") == site.id != "", tuple(others))


def _entries(folder: str) -> list[str]:
    """What is in `folder`, but for marks."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return [name for name in os.listdir(folder) if not name.startswith(".")]  # noqa: PTH208
    return []


def _id(folder: str) -> str:
    """The id that is in `folder`; "": there is none."""
    with contextlib.suppress(OSError):
        found = layout.content(f"{folder}/{MARK}", 64)
        return utf8.shown(found[0]).strip() if found and found[0].strip().isalnum() else ""
    return ""


def begin(host: Host, site: Site) -> Site:
    """Make it, and remember it. Raises SecregError."""
    site = site if site.id else replace(site, id=secrets.token_hex(16))
    _remember(host.paths, site, moving=False)

    def work() -> list[str]:
        os.umask(UMASK)
        Path(site.folder).mkdir(exist_ok=True)
        if _id(site.folder) != site.id:
            files.write(Path(site.folder, MARK), site.id.encode(), files.PRIVATE)
        files.sync_directory(Path())
        return []

    _do(host, site, work)
    return site


def _remember(paths: Paths, site: Site, *, moving: bool) -> None:
    files.make_directory(paths.state, 0o700)
    said = {"id": site.id, "name": site.name, "images": str(site.images), "list": site.list, "moving": moving}
    records.save(_record(paths), said)


def place(host: Host, site: Site) -> Path | None:
    """Put what was built, which is on disk, in its place; where what was there is now (None: nothing was). Nothing may
    serve it meanwhile. Raises SecregError; then all is where it was."""
    _remember(host.paths, site, moving=True)
    (aside,) = _do(host, site, lambda: [_placed(site.folder, site.name)])
    return site.images / aside if aside else None


def _placed(folder: str, name: str) -> str:
    """In the directory of images, as their user: the same, by names."""
    aside = ""
    shown = [one for one in os.listdir() if marker.NAMED.fullmatch(one)]  # noqa: PTH208
    shown = [one for one in shown if Path(one).is_file() and not Path(one).is_symlink()]
    try:
        if os.path.lexists(TOP):
            for one in shown:
                Path(one).unlink()
            free = _free(f"{TOP}.{name}")
            Path(TOP).rename(free)
            aside = free
        Path(folder).rename(TOP)
    except OSError:
        if aside:
            Path(aside).rename(TOP)
        raise
    finally:
        for one in shown:
            with contextlib.suppress(SecregError):  # the next apply does it, too
                files.write(Path(one), marker.TEXT, files.PUBLIC)
    files.sync_directory(Path())
    if aside and not Path(aside).is_symlink() and not any(names for _, _, names in os.walk(aside)):
        shutil.rmtree(aside, ignore_errors=True)  # a registry that never stored anything
    return aside if os.path.lexists(aside) else ""


def _free(wanted: str) -> str:
    found, number = wanted, 1
    while os.path.lexists(found):
        number += 1
        found = f"{wanted}-{number}"
    return found


def done(host: Host, site: Site) -> None:
    """Forget it: it is in its place, and so is all else of the restore."""

    def work() -> list[str]:
        if _id(TOP) == site.id:
            Path(TOP, MARK).unlink()
        return []

    _do(host, site, work)
    files.remove(_record(host.paths))


def finish(host: Host) -> None:
    """Put in its place what a run that was killed between the two renames left beside; best effort."""
    said = records.peek(_record(host.paths), RECORD)
    if not said.get("moving") or {*RECORD} - {*said}:
        return
    site, account = Site(said["name"], Path(said["images"]), said["list"], said["id"]), host.accounts.registry

    def work() -> None:
        if not os.path.lexists(TOP) and _id(site.folder) == site.id:
            Path(site.folder).rename(TOP)
            files.sync_directory(Path())

    distant.ask_as(account.name, account.uid, account.gid, work, site.images)


def unplaced(host: Host, images: Path) -> str:
    """The backup of which a restore put together images that are not in their place, where there are none; "": all is
    well."""

    def work() -> list[str]:
        names = [found["name"] for one in os.listdir() if (found := NAMED.fullmatch(one))]  # noqa: PTH208
        return [] if Path(TREE, "blobs/sha256").is_dir() else names

    with deputies.telling(host.accounts.registry, images, work, shut=readable.closed) as lines:
        return next(iter(sorted(lines)), "")


def _do(host: Host, site: Site, work: Callable[[], list[str]]) -> list[str]:
    """What `work` finds as the registry's user in the directory of images. Raises SecregError."""
    account = host.accounts.registry
    try:
        with deputies.telling(account, site.images, work, shut=readable.closed) as lines:
            return list(lines)
    except OSError as error:
        what = f"cannot write in {site.images}: {error.strerror} ({error.filename})"
        hint = f"see what is there, as user {account.name}: ls -ld {quoting.shell(site.images)}/*"
        raise SecregError(what, hint) from error
