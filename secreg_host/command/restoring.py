"""What bringing a backup back would be, and whether it can be done; bringback does it."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from secreg_host import __version__
from secreg_host.base import distant, files, quoting, reading
from secreg_host.base.errors import BadInput, Problem, SecregError, bad_input
from secreg_host.base.snapshot import Snapshot
from secreg_host.command import amounts
from secreg_host.command.instance import Instance
from secreg_host.images import imagesplace, marker, site
from secreg_host.images.site import Found, Site
from secreg_host.upkeep import configuration, hashing, listing, present, source, unpacking, verify
from secreg_host.upkeep import place as places
from secreg_host.upkeep.archived import Item
from secreg_host.upkeep.listing import Damaged
from secreg_host.upkeep.place import Place
from secreg_host.upkeep.pool import room
from secreg_host.wanted.parts import registry

SHOWN = 40
"""Characters of a version that a foreign list says."""

IF_NOBODY = "if nobody else gets there, say --insecure-destination"
ONLY = re.compile(r"(?P<repository>[^:]+)(?::(?P<tag>[^:]+))?")


@dataclass(frozen=True)
class Order:
    """What is to be brought back of backup `name`: configuration, images (of them only a `repository`, or a `tag` of
    it); force: over what is there, which is moved aside; sealed: by no configuration that is not."""

    name: str
    config: bool = True
    images: bool = True
    repository: str = ""
    tag: str = ""
    force: bool = False
    sealed: bool = False


@dataclass
class Plan:
    """What an order comes to. items: of the configuration; way: what stands in its way; store: where images go (None:
    none do); site: where all of them are put together; there: what is there of that by now; full: whether images are in
    its place that are not of this restore; away: that the disk for them is not there."""

    about: dict[str, Any]
    items: dict[str, Item] = field(default_factory=dict)
    way: list[Path] = field(default_factory=list)
    store: Path | None = None
    site: Site | None = None
    there: Found = field(default_factory=Found)
    full: bool = False
    away: str = ""


def of(said: str) -> tuple[str, str]:
    """The repository and the tag ("": all of them) that --only names. Raises BadInput."""
    found = ONLY.fullmatch(said)
    if not found:
        what = f"{said!r} is no repository, with a tag or without"
        raise bad_input("--only", what, "write REPOSITORY or REPOSITORY:TAG")
    return found["repository"], found["tag"] or ""


def plan(one: Instance, place: Place, order: Order, passphrase: Callable[[], str]) -> Plan:
    """What `order` comes to; nothing is changed. Raises SecregError where it can't be done."""
    found = Plan(_about(one, place, order.name))
    counted = verify.read(place, order.name)
    if counted.damaged:
        hint = f"take another backup, with --at NAME: secure-registry backup list {place.path}"
        raise SecregError(counted.damaged[0], hint)
    if order.repository and not _has(place, order, order.name):
        raise _missing(place, order)
    if not (order.config or order.repository or counted.counts["blob"]):
        hint = f"take one with images, with --at NAME: secure-registry backup list {place.path}"
        raise bad_input("--images-only", f"backup {order.name} has no images", hint)
    if order.config:
        found.items = unpacking.read(place, order.name, passphrase, sealed=order.sealed)
        found.way = present.in_the_way(one.host.paths, found.items)
    if order.images and found.about.get("images") is not None:
        found.store = _store(one, found.items, found.about)
        found.away = source.unmounted(one.host, found.store) if found.store is not None else ""
    if found.store is not None and not order.repository:
        _build(one, place, order, found)
        if not (found.there.begun or found.there.placed):
            _check_room(found.store, counted.size)
    return found


def _build(one: Instance, place: Place, order: Order, found: Plan) -> None:
    """Where the images of `found` are put together, and what is there."""
    assert found.store is not None
    with files.explained(place.lists / order.name, "read"):
        digest = hashing.hashed(hashing.opened(str(place.lists / order.name)), "sha256", room())[1]
    found.site = site.known(one.host.paths, order.name, found.store, digest)
    found.there = site.look(one.host, found.site)
    if order.force:  # what serves by now may be another one again
        found.there = replace(found.there, placed=False)
    found.full = marker.look(str(found.store)).images and not found.there.placed


def trusted(place: Place) -> Place:
    """The directory of backups without links on the way there. Raises BadInput where others can put something into it,
    or another one in its place."""
    real = replace(place, path=distant.ask(place.path, place.path.resolve))
    for path in real.path.parents:
        if _is_others(path, sticky=True):
            what = f"whoever owns {path}, or can write there, can put another directory in its place"
            raise bad_input(str(place.path), what, f"move it to where nobody else can (mv); or, {IF_NOBODY}")
    for path in (real.path, *(real.path / one for one in places.FOLDERS)):
        if _is_others(path):
            quoted = quoting.shell(place.path)
            hint = (
                f"see that all in it is what you put there: chown -R {os.geteuid()}: {quoted}; chmod -R go-w {quoted}"
            )
            what = "others can write there: what comes back, users and keys, may be theirs"
            raise bad_input(str(path), what, f"{hint}; or, {IF_NOBODY}")
    return real


def _is_others(path: Path, *, sticky: bool = False) -> bool:
    """Whether somebody else can change what is in directory `path`; sticky: one in which everybody may write, and each
    remove what is his own (/tmp), is none of these."""
    status = reading.status(path)
    if status is None:
        return False
    writable = status.st_mode & 0o022 and not (sticky and status.st_mode & stat.S_ISVTX)
    return status.st_uid not in (0, os.geteuid()) or bool(writable)


def _check_room(store: Path, size: int) -> None:
    """Raise SecregError where there is no room for so many bytes: before anything is stopped or moved."""
    place = next(path for path in (store, *store.parents) if path.is_dir())
    found = os.statvfs(place)
    if size > found.f_bavail * found.f_frsize:
        what = f"the images need {amounts.bytes_of(size)}, and {place} has no room for that"
        raise SecregError(what, f"free some space (see: df -h {place})")


def _about(one: Instance, place: Place, name: str) -> dict[str, Any]:
    try:
        about = listing.about(place.lists / name)
    except (Damaged, OSError) as error:
        hint = f"secure-registry backup verify {place.path}"
        raise SecregError(f"backup {name} can't be read: {error}", hint) from None
    root = str(one.host.paths.root)
    if about.get("root") != root:
        said = f"the backup is of an instance below {about.get('root')}, and this one is below {root}"
        raise bad_input(str(place.path), said, f"add --root {quoting.shell(str(about.get('root')))}")
    return about


def _has(place: Place, order: Order, name: str) -> bool:
    """Whether backup `name` has what is ordered."""
    for section in listing.sections(listing.entries(place.lists / name)):
        if section.name == order.repository:
            return not order.tag or order.tag in section.tags
    return False


def _missing(place: Place, order: Order) -> BadInput:
    """That the backup has no such image, and which other one has: whoever deleted it did so before the last backup."""
    image = f"{order.repository}:{order.tag}" if order.tag else order.repository
    hint = f"see what is in it: less {quoting.shell(place.lists / order.name)}"
    for name in reversed(place.names()):
        with contextlib.suppress(Damaged, OSError):
            if name != order.name and _has(place, order, name):
                hint = f"backup {name} has it: --at {name}"
                break
    return bad_input("--only", f"backup {order.name} has no such image: {image}", hint)


def _store(one: Instance, items: dict[str, Item], about: dict[str, Any]) -> Path | None:
    """Where images go: what docker-registry.yml says, that of the backup if it comes back, too."""
    paths = one.host.paths
    item = items.get(str(paths.registry_yml.relative_to(paths.root)))
    if item is not None:
        data = items.get(f"{configuration.LINKED}/{item.name}", item).data
        root = source.told(data, str(paths.registry_yml), about)
    elif paths.registry_yml.exists():
        root = registry.parse(Snapshot(paths)).root
    else:
        root = str(paths.storage)
    return Path(imagesplace.resolved(root)) if root is not None else None


def told(one: Instance, order: Order, found: Plan) -> Iterator[str]:
    """What a restore would do, line by line."""
    about, here = found.about, socket.gethostname()
    yield f"backup {order.name} of {about.get('host')}, made {about.get('made')} by version {about.get('version')}"
    if about.get("host") != here:
        yield f"this host is called {here}: clients go on by the names that the certificate is for"
    if order.config:
        yield f"configuration: {one.host.paths.etc}, {one.host.paths.state}"
        if found.way:
            yield f"  in the way: {', '.join(map(str, found.way[:5]))}{' …' if len(found.way) > 5 else ''}"
    if found.store is not None:
        what = f"{order.repository}{f':{order.tag}' if order.tag else ''}" if order.repository else "all of them"
        yield f"images: {what}, to {found.store}"
        if found.full:
            yield "  images are there already"
        if found.there.begun:
            yield "  it was begun, and is gone on with"
        for name in found.there.others:
            yield f"  given up, and in nobody's way but that of room: {found.store / name}"
        if found.away:
            yield f"  {found.away}"
    elif order.images:
        yield "images: the backup has none"


def check(place: Place, order: Order, found: Plan) -> None:
    """Raise BadInput where something of somebody's is in the way."""
    problems = list(present.refuse(place, found.way).problems) if found.way else []
    if found.full:
        what = f"there are images in {found.store}"
        hint = (
            "one repository beside them: --only REPOSITORY; to move them aside (docker.NAME, there) and go on: --force"
        )
        problems.append(Problem(str(place.path), what, hint))
    if found.away:
        hint = "mount it, and type this again; to put images onto the disk below: --force"
        problems.append(Problem(str(found.store), found.away, hint))
    if problems and not order.force:
        raise BadInput(problems)


def later(about: dict[str, Any]) -> Problem | None:
    """That the backup is of a later version than this one, which may not know all of it."""
    said = str(about.get("version", ""))
    if _parts(said) <= _parts(__version__):
        return None
    shown = quoting.plain(said[:SHOWN])
    what = f"the backup was made by version {shown}, and this is {__version__}: it may not know all of it"
    return Problem("restore", what, "install that version, or a later one")


def _parts(version: str) -> list[tuple[int, str]]:
    """The numbers of `version` in an order that holds for any length: a foreign list may have thousands of digits, of
    which int() makes no number."""
    numbers = [found.lstrip("0") for found in re.findall(r"[0-9]+", version)]
    return [(len(number), number) for number in numbers]
