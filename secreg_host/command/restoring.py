"""Bringing a backup back: what it would be, doing it, and proving it, step by step."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from secreg_host import __version__
from secreg_host.apply import apply
from secreg_host.apply.activate import Stage
from secreg_host.apply.wish import Wish
from secreg_host.base import files, quoting
from secreg_host.base.errors import BadInput, Exit, Note, Problem, SecregError, bad_input
from secreg_host.base.snapshot import Snapshot
from secreg_host.command import backups, printing
from secreg_host.command.instance import InForeground, Instance
from secreg_host.generation import generations
from secreg_host.images import imagesplace, marker, readable
from secreg_host.observe import look
from secreg_host.upkeep import configuration, holding, listing, pulling, refill, source, unpacking, verify
from secreg_host.upkeep.archived import Item
from secreg_host.upkeep.listing import Damaged
from secreg_host.upkeep.place import Place
from secreg_host.upkeep.progress import Progress
from secreg_host.upkeep.refill import Wanted
from secreg_host.wanted.parts import registry

ONLY = re.compile(r"(?P<repository>[^:]+)(?::(?P<tag>[^:]+))?")


@dataclass(frozen=True)
class Order:
    """What is to be brought back of backup `name`: configuration, images (of them only a `repository`, or a `tag` of
    it); force: over what is there, which is moved aside."""

    name: str
    config: bool = True
    images: bool = True
    repository: str = ""
    tag: str = ""
    force: bool = False


@dataclass
class Plan:
    """What an order comes to. items: of the configuration; way: what stands in its way; store: where images go (None:
    none do); full: whether images are there that are not of this restore; away: that the disk for them is not there."""

    about: dict[str, Any]
    items: dict[str, Item] = field(default_factory=dict)
    way: list[Path] = field(default_factory=list)
    store: Path | None = None
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
    if order.repository and not _has(place, order):
        raise bad_input("--only", "the backup has no such image", f"see what is in it: less {place.lists / order.name}")
    if not (order.config or order.repository or counted.counts["blob"]):
        hint = f"take one with images, with --at NAME: secure-registry backup list {place.path}"
        raise bad_input("--images-only", f"backup {order.name} has no images", hint)
    if order.config:
        found.items = unpacking.read(place, order.name, passphrase)
        found.way = unpacking.in_the_way(one.host.paths, found.items)
    if order.images and found.about.get("images") is not None:
        found.store = _store(one, found.items, found.about)
        found.away = source.unmounted(one.host, found.store) if found.store is not None else ""
    if found.store is not None and not order.repository:
        unfinished = found.store / f"{source.UNFINISHED}{order.name}"
        going_on = unfinished.exists()
        found.full = marker.look(str(found.store)).images and not going_on
        if not going_on:
            _check_room(found.store, counted.size)
    return found


def _check_room(store: Path, size: int) -> None:
    """Raise SecregError where there is no room for so many bytes: before anything is stopped or moved."""
    place = next(path for path in (store, *store.parents) if path.is_dir())
    found = os.statvfs(place)
    if size > found.f_bavail * found.f_frsize:
        what = f"the images need {backups.bytes_of(size)}, and {place} has no room for that"
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


def _has(place: Place, order: Order) -> bool:
    for section in listing.sections(listing.entries(place.lists / order.name)):
        if section.name == order.repository:
            return not order.tag or order.tag in section.tags
    return False


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
        if found.away:
            yield f"  {found.away}"
    elif order.images:
        yield "images: the backup has none"


def check(place: Place, order: Order, found: Plan) -> None:
    """Raise BadInput where something of somebody's is in the way."""
    problems = list(unpacking.refuse(place, found.way).problems) if found.way else []
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


def restore(one: Instance, place: Place, order: Order, found: Plan, progress: Progress) -> int:
    """Bring it back, prove it, and let it serve; the exit code. Raises SecregError where that can't be done."""
    paths = one.host.paths
    _check_possible(one, order, found)
    if (order.config or found.full) and one.running():
        print("stopping secure-registry; if this does not come to its end, type it again, or: secure-registry start")
        one.stop()
    if order.config:
        same = found.about.get("machine", "") == configuration.machine(paths) != ""
        stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
        with files.lock(paths.lock, "restore"):
            done = unpacking.put(paths, found.items, stamp, same_machine=same)
        print(f"configuration: {backups.numbered(done.count, 'files')}")
        for path in done.aside:
            print(f"what was there is in {path}")
        printing.warnings(done.notes)
        if not same:
            printing.warnings([_clients()])
    good = _images(one, place, order, found, progress) if found.store is not None else True
    served = _serve(one, place, order, found) if not order.repository or one.running() else True
    return Exit.DONE if good and served else Exit.DEGRADED


def _check_possible(one: Instance, order: Order, found: Plan) -> None:
    """Raise SecregError for what would fail once all is stopped and half of it replaced."""
    if found.store is not None and (wrong := imagesplace.unwritable(one.host, str(found.store))):
        raise SecregError(*wrong)
    etc = one.host.paths.etc
    moved = [etc] if order.config and not unpacking.is_there(one.host.paths, found.items) else []
    moved += [found.store / Path(readable.TREE).parts[0]] if found.store is not None and found.full else []
    for path in moved:
        if os.path.ismount(path):
            hint = f"unmount it for as long as this takes, or empty the disk: findmnt {quoting.shell(path)}"
            raise SecregError(f"{path} is to be replaced, and something is mounted there", hint)


def _clients() -> Note:
    what = "what was put into files of clients on the old machine is not put into those of this one"
    return Note("trust", what, "see which clients of this host trust it: secure-registry trust check")


def _images(one: Instance, place: Place, order: Order, found: Plan, progress: Progress) -> bool:
    """Put images back and prove them; whether all is as it was."""
    host, store = one.host, found.store
    assert store is not None
    wanted = Wanted(order.name, order.repository, order.tag, force=order.force)
    with holding.shared(host.paths.space, "restore"):
        done = refill.refill(host, place, store, wanted, progress, clear=found.full)
        if done.aside:
            print(f"the images that were there are in {store / done.aside}")
        broken = refill.proof(host, place, store, wanted, progress)
        anew = frozenset(one.digest for one in broken if one.digest not in ("", *done.failed) and not one.repository)
        if anew:  # of its size, and with other bytes
            done.size += refill.refill(host, place, store, wanted, progress, clear=False, anew=anew).size
            broken = refill.proof(host, place, store, wanted, progress)
        refill.finish(host, store, wanted)
    printing.warnings([_kept(tag, force=order.force) for tag in done.kept])
    broken = [
        flaw._replace(why=done.failed.get(flaw.digest, flaw.why))
        for flaw in broken
        if f"{flaw.repository}:{flaw.tag}" not in done.kept
    ]
    printing.warnings(
        backups.problems(broken, "it is not as it should be", f"secure-registry backup verify {place.path}")
    )
    size = backups.bytes_of(done.size)
    repositories, tags = backups.numbered(done.repositories, "repositories"), backups.numbered(done.tags, "tags")
    print(f"images: {repositories}, {tags}, {size} copied; {'not all' if broken else 'all'} proven")
    return not broken and not done.kept


def _kept(tag: str, *, force: bool) -> Problem:
    if force:
        return Problem(tag, "is not whole in the backup: it stays the image that it is here", "take another one: --at")
    return Problem(tag, "is another image here, and stays that", "to take that of the backup: --force")


def _serve(one: Instance, place: Place, order: Order, found: Plan) -> bool:
    """Let it serve, and pull an image as a client; whether that came."""
    if isinstance(one, InForeground):
        if one.running():
            one.start()
        else:
            print("start it as before: secure-registry start --foreground")
        return True
    if order.config or not one.running():
        wish = Wish("restore", {}, create=True, new_store=True)
        report = apply.apply(Stage(one.host, one.services), wish, one.follow)
        printing.findings(report.findings)
        one.start()
        if one.enable():
            print("secure-registry starts with the host from now on")
    code = printing.serving(one.host)
    generation = generations.load(one.host, generations.current_name(one.host))
    if generation is not None and order.config:
        printing.warnings(look.moved(one.host, Snapshot(one.host.paths), generation.settings))
    if found.store is None or generation is None:
        return code == Exit.DONE
    image = pulling.image(place, Wanted(order.name, order.repository, order.tag))
    if image is None:
        return code == Exit.DONE
    if wrong := pulling.pull(one.host, generation, found.store, image):
        printing.warnings([Problem(image.name, f"can't be pulled: {wrong}", "secure-registry status")])
        return False
    print(f"pulled {image.name} through the public port: {backups.bytes_of(image.size)}, each byte as it was")
    return code == Exit.DONE


def later(about: dict[str, Any]) -> Problem | None:
    """That the backup is of a later version than this one, which may not know all of it."""
    numbers = [tuple(map(int, re.findall(r"\d+", said))) for said in (str(about.get("version", "")), __version__)]
    if numbers[0] <= numbers[1]:
        return None
    what = (
        f"the backup was made by version {about.get('version')}, and this is {__version__}: it may not know all of it"
    )
    return Problem("restore", what, "install that version, or a later one")
