"""Making a backup while everything runs.

First what a new host needs (configuration), then the survey of the store, which is the list, then the blobs that are
not in the pool yet. Last the list gets its name: what is in `backups` is whole, whatever happens before or after.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from secreg_host import __version__
from secreg_host.base import deputies, files, quoting
from secreg_host.base.errors import Note, Problem, SecregError
from secreg_host.host.host import Host
from secreg_host.images import readable
from secreg_host.images.layout import HERE, Tree
from secreg_host.images.readable import TREE
from secreg_host.images.survey import NONE, Entry, Survey
from secreg_host.upkeep import configuration, holding, inside, judging, listing, pool, source, whose
from secreg_host.upkeep import place as places
from secreg_host.upkeep.configuration import Saved
from secreg_host.upkeep.judging import Broken
from secreg_host.upkeep.listing import Damaged, Writer
from secreg_host.upkeep.place import PLAIN, SEALED, Place
from secreg_host.upkeep.progress import Progress

KEPT_FREE = 1 << 30
"""Bytes of the disk of the images that a backup leaves free, or a twentieth of it, if that is less."""

LOCK_SECONDS = 20.0
"""How long an apply is waited for, so that no file of /etc is taken with half of a change."""


@dataclass
class Made:
    """A backup that was made. counts: of entries, by their word; size: bytes of its blobs; new, new_size: how many of
    them were copied, and their bytes; broken, gone: what is not whole, and the tags that were deleted meanwhile;
    problems: of the configuration."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    size: int = 0
    new: int = 0
    new_size: int = 0
    broken: list[Broken] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    problems: tuple[Problem, ...] = ()

    @property
    def degraded(self) -> bool:
        """Whether something is not in it as it should be."""
        return bool(self.broken) or any(not isinstance(one, Note) for one in self.problems)

    def counting(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """`entries`, which are counted as they pass; nothing else is in it."""
        self.counts, self.size, self.broken, self.gone = Counter(), 0, [], []
        repository = ""
        for entry in entries:
            word = entry[0]
            self.counts[word] += 1
            if word == "repository":
                repository = entry[1]
            elif word == "blob":
                self.size += int(entry[2])
            elif word == "gone":
                self.gone.append(f"{repository}:{entry[1]}")
            elif word == "broken":
                tag, digest, why = ("" if value == NONE else value for value in entry[1:])
                self.broken.append(Broken(repository, tag, digest, why))
            yield entry


def create(
    host: Host,
    place: Place,
    images: Path | None,
    now: datetime,
    progress: Progress,
    passphrase: str = "",
    *,
    take_over: bool = False,
) -> Made:
    """Make a backup of the instance `host` in `place`, with the store in the directory `images` (None: without); the
    configuration is sealed by the `passphrase`, if there is one; take_over: even where backups of another one are.

    Raises SecregError where it can't be written, or the store can't be read; what was there before is whole then.
    """
    with holding.held(place.lock, "backup create"), holding.shared(host.paths.space, "backup create"):
        if images is not None:
            source.check_restored(host, images)
        before = place.names()
        made = Made(places.next_name(before, now, place.lists))
        about = _about(host, made.name, now, images)
        told = whose.check(place, about, take_over=take_over)
        places.sweep(place)
        try:
            saved = _configuration(host, place, about, passphrase)
            made.problems = (*told, *saved.problems)
            entries = _entries(about, saved, surveyed(host, images) if images else ())
            _make(host, place, images, entries, made, progress)
            made.problems += _emptied(place, before, made, images)
        except SecregError:
            place.check()  # if it went, that is why
            _forget(place, made.name)
            raise
    return made


def _about(host: Host, name: str, now: datetime, images: Path | None) -> dict[str, Any]:
    """What the backup `name` says of itself."""
    return {
        "name": name,
        "made": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "host": socket.gethostname(),
        "machine": configuration.machine(host.paths),
        "version": __version__,
        "root": str(host.paths.root),
        "images": str(images) if images else None,
    }


def _forget(place: Place, name: str) -> None:
    """Remove the configuration of what became no backup: there are keys in it."""
    with contextlib.suppress(OSError):
        for suffix in (PLAIN, SEALED) if not os.path.lexists(place.lists / name) else ():
            inside.unlink(place.path, place.configs / f"{name}{suffix}", missing_ok=True)


def _make(
    host: Host, place: Place, images: Path | None, entries: Iterable[Entry], made: Made, progress: Progress
) -> None:
    first = place.incoming / f"{made.name}.first"
    with files.explained(place.path):
        _write(place, first, made.counting(entries))
    failed = _copied(host, place, images, first, made, progress) if images else {}
    if images is not None:
        source.check_restored(host, images)  # one may have begun meanwhile
    _name(place, first, made, failed)


def _emptied(place: Place, before: Sequence[str], made: Made, images: Path | None) -> tuple[Problem, ...]:
    """That there were images in the last backup of images among those `before`, and that there are none now."""
    if images is None or made.counts["repository"]:
        return ()
    for name in reversed(before):
        with contextlib.suppress(Damaged, OSError):
            if listing.about(place.lists / name).get("images") is None:
                continue
            if not listing.held(place.lists / name).images:
                return ()
            what = f"there are no images any more, and in backup {name} there are"
            hint = f"see whether their disk is mounted: findmnt -T {quoting.shell(images)}; prune leaves {name} there"
            return (Problem(str(images), what, hint),)
    return ()


def _configuration(host: Host, place: Place, about: Mapping[str, Any], passphrase: str) -> Saved:
    """Put what a new host needs into `place`; it is nobody's before the list of the backup has its name."""
    busy: tuple[Problem, ...] = ()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.lock(host.paths.lock, "backup create", LOCK_SECONDS))
        except SecregError as error:
            busy = error.at(str(host.paths.etc))
        written = configuration.save(host.paths, about, place.incoming / "config", passphrase, place.path)
    _forget(place, about["name"])  # that of a run that was killed, sealed or not
    with files.explained(place.configs):
        name = f"{about['name']}{SEALED if passphrase else PLAIN}"
        inside.replace(place.path, place.incoming / "config", place.configs / name)
        places.sync(place.configs)
    return Saved(written.size, written.digest, (*busy, *written.problems))


def surveyed(host: Host, images: Path, tree: Tree = HERE) -> Iterator[Entry]:
    """What is in the store, as its owner sees it. Raises SecregError where nothing of it can be read."""

    def lines() -> Iterable[str]:
        return (listing.line_of(_placed(entry, images)) for entry in Survey(tree).entries())

    with deputies.telling(host.accounts.registry, images, lines, shut=readable.closed) as told:
        found = map(listing.entry_of, told)
        while True:
            try:
                entry = next(found, None)
            except Damaged as error:
                hint = (
                    f"see what was put there: find {quoting.shell(images)} -newermt -1day -ls; all else: --config-only"
                )
                raise SecregError(f"cannot read the images in {images}: {error}", hint) from error
            except OSError as error:
                what = f"cannot read the images in {images}: {error.strerror} ({error.filename})"
                user, where = host.accounts.registry.name, quoting.shell(images / str(error.filename or ""))
                hint = (
                    f"see what its user sees there: runuser -u {user} -- ls -la {where}; the disk: findmnt -T {where}"
                )
                raise SecregError(what, f"{hint}, dmesg; all else: --config-only") from error
            if entry is None:
                return
            yield entry


def _placed(entry: Entry, images: Path) -> Entry:
    """`entry` of a survey below the working directory, with whole paths in what it says."""
    if entry[0] == "broken" and entry[3].startswith(("./", f"{TREE}/")):
        return (*entry[:3], f"{images}/{entry[3].removeprefix('./')}")
    return entry


def _entries(about: Mapping[str, Any], saved: Saved, surveyed: Iterable[Entry]) -> Iterator[Entry]:
    """What stands in the list."""
    yield "about", json.dumps(about, sort_keys=True)
    yield "config", str(saved.size), saved.digest
    yield from surveyed


def _write(place: Place, path: Path, entries: Iterable[Entry]) -> None:
    writer = Writer(path, place.path)
    try:
        for entry in entries:
            writer.add(entry)
        writer.finish()
    finally:
        writer.close()


def _copied(host: Host, place: Place, images: Path, first: Path, made: Made, progress: Progress) -> dict[str, str]:
    """Copy what is not in the pool yet; which blobs could not be had, and why. One that alone is larger than the room
    that there is, such as a file that is all holes, is left out, and keeps none of the others away."""
    free, left_out = _room(place)[0], dict[str, str]()
    for one in pool.wanting(place, listing.blobs(first)):
        if one.size > free:
            left_out[one.digest] = f"it has {one.size} bytes, and {place.path} has room for {free}"
        else:
            made.new, made.new_size = made.new + 1, made.new_size + one.size
    if not made.new:
        return left_out
    _check_room(place, images, made.new_size)
    tree, account = Tree(Path()), host.accounts.registry
    opening = deputies.opening(account, images, shut=readable.closed)
    with opening as opened, progress.of(made.new_size, "copied") as tell:
        wanted = (one for one in pool.wanting(place, listing.blobs(first)) if one.digest not in left_out)
        failed = dict(pool.copy(place, wanted, lambda digest: opened(tree.blob(digest)), tell))
    made.new -= len(failed)
    return left_out | failed


def _room(place: Place) -> tuple[int, int]:
    """For how many bytes there is room where the backups are, and how many that disk has at all. Raises SecregError."""
    with files.explained(place.path):
        found = os.statvfs(place.path)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def _check_room(place: Place, images: Path, size: int) -> None:
    """Raise SecregError where there is no room for `size` bytes: before the disk is full of half a backup. On the disk
    of the images some must stay free: on a full one, the registry destroys tags as it writes them."""
    free, all_of_it = _room(place)
    with files.explained(place.path):
        if size > free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place.path))
    if size + min(KEPT_FREE, all_of_it // 20) > free and _is_one_disk(place.path, images):
        what = f"{size} bytes are to be copied to {place.path}, the disk of the images, which has room for {free}"
        raise SecregError(what, f"name a directory on another disk, or free some space (see: df -h {place.path})")


def _is_one_disk(one: Path, other: Path) -> bool:
    try:
        return one.stat().st_dev == other.stat().st_dev
    except OSError:
        return False  # root may be nobody there


def _name(place: Place, first: Path, made: Made, failed: dict[str, str]) -> None:
    """Give the list its name, without what `failed`: the backup is whole."""
    whole = first
    if failed:
        whole = place.incoming / made.name
        with files.explained(place.path):
            _write(place, whole, made.counting(_mended(place, first, failed)))
    place.check()
    with files.explained(place.lists):
        inside.replace(place.path, whole, place.lists / made.name)
        places.sync(place.lists)
        inside.unlink(place.path, first, missing_ok=True)


def _mended(place: Place, first: Path, failed: Mapping[str, str]) -> Iterator[Entry]:
    read = judging.remembered(judging.reader(place))
    for section in listing.sections(listing.entries(first)):
        yield from judging.mended(section, failed, read)
