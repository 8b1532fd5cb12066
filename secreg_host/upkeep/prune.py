"""Removing backups, and the blobs that no other one names."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from secreg_host.base import files, quoting
from secreg_host.base.errors import SecregError
from secreg_host.upkeep import holding, inside, listing
from secreg_host.upkeep import place as places
from secreg_host.upkeep.listing import Damaged
from secreg_host.upkeep.place import Place


@dataclass(frozen=True)
class Plan:
    """What stays and what goes: backups, by name, and of blobs that none of those names that stay, how many and their
    bytes."""

    keep: tuple[str, ...]
    remove: tuple[str, ...]
    blobs: int = 0
    size: int = 0


def kept(names: Sequence[str], last: int, within: timedelta | None, always: Collection[str] = ()) -> tuple[str, ...]:
    """Which of the backups `names`, the oldest first, stay: so many of the `last` ones, and those that are young. The
    newest one stays `always`, and so do those. The clock has no say. Pure."""
    young = set() if within is None else _young(names, within)
    return tuple(name for name in names if name in names[-max(last, 1) :] or name in young or name in always)


def _always(place: Place) -> set[str]:
    """Whatever came since, without images or with broken ones: the newest with images, and the newest whole one."""
    return {listing.newest(place), listing.newest(place, whole=True)}


def _young(names: Sequence[str], within: timedelta) -> set[str]:
    """Those of `names` that are no older, `within`, than the newest one. Where that is further than so from the one
    before, it may have been made by a clock that was ahead: then those that are young beside that one stay, too,
    as does what nobody knows the age of."""
    made = {name: time for name in names if (time := places.made_at(name)) is not None}
    times = sorted(set(made.values()))
    ends = times[-2:] if len(times) > 1 and times[-1] - times[-2] > within else times[-1:]
    young = {name for name, time in made.items() if any(time >= end or end - time <= within for end in ends)}
    return young | (set(names) - made.keys())


def plan(place: Place, last: int, within: timedelta | None) -> Plan:
    """What would stay and go. Raises SecregError."""
    keep = kept(place.names(), last, within, _always(place))
    count, size = _free(place, keep, remove=False)
    return Plan(keep, tuple(name for name in place.names() if name not in keep), count, size)


def prune(place: Place, last: int, within: timedelta | None) -> Plan:
    """Remove what does not stay: backups first, then blobs, so that a run that is killed leaves none without its blobs.
    Raises SecregError, with nothing removed where a list that stays can't be read."""
    with holding.held(place.lock, "backup prune"):
        place.check_folders()
        places.sweep(place)
        names = place.names()
        keep = kept(names, last, within, _always(place))
        named = _named(place, keep)
        remove = tuple(name for name in names if name not in keep)
        with files.explained(place.lists, "remove"):
            for name in remove:
                inside.unlink(place.path, place.lists / name)
            places.sync(place.lists)
        with files.explained(place.configs, "remove"):
            for path in map(Path, inside.regular(place.path, place.configs)):
                if (
                    path.suffix in (places.PLAIN, places.SEALED)
                    and places.BACKUP.fullmatch(path.stem)
                    and path.stem not in keep
                ):
                    inside.unlink(place.path, place.configs / path)
            places.sync(place.configs)
        count, size = _free(place, keep, remove=True, named=named)
    return Plan(keep, remove, count, size)


def _named(place: Place, names: Sequence[str]) -> set[bytes]:
    """The digests, as bytes, of all blobs that the backups `names` need. Raises SecregError where a list can't be read:
    nobody knows what it names."""
    found: set[bytes] = set()
    for name in names:
        path = place.lists / name
        try:
            with files.explained(path, "read"):
                found.update(_key(one.digest) for one in listing.blobs(path))
        except Damaged as error:
            hint = f"nothing is removed as long as it is there; to give it up: rm {quoting.shell(path)}"
            raise SecregError(f"the list of backup {name} is damaged: {error}", hint) from error
    return found


def _free(place: Place, keep: Sequence[str], *, remove: bool, named: set[bytes] | None = None) -> tuple[int, int]:
    """How many blobs, and bytes, no backup of `keep` names; they are removed, if that is to be."""
    needed = _named(place, keep) if named is None else named
    count = size = 0
    with files.explained(place.pool, "remove" if remove else "read"):
        for digest, path in places.blobs(place):
            if _key(digest) not in needed:
                count += 1
                size += os.lstat(path).st_size
                if remove:
                    inside.unlink(place.path, path)
    return count, size


def _key(digest: str) -> bytes:
    return bytes.fromhex(digest.partition(":")[2])
