"""Proving what is in a directory of backups, from it alone: lists are as they were written, each blob is hashed, and
each image of each backup is whole."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from secreg_host.images.closure import Flaw
from secreg_host.images.survey import Entry
from secreg_host.upkeep import hashing, judging, listing, pool
from secreg_host.upkeep.judging import Broken, Read
from secreg_host.upkeep.listing import Damaged
from secreg_host.upkeep.place import Place
from secreg_host.upkeep.pool import Blob
from secreg_host.upkeep.progress import Progress


@dataclass
class Verdict:
    """What was found of backup `name`. damaged: why its list, or its configuration, is not as it was written; broken:
    images that are not whole any more; before: those that were not when it was made; counts: of entries, by their
    word; size: bytes of its blobs; away: it was removed meanwhile."""

    name: str
    damaged: list[str] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    before: list[Broken] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    size: int = 0
    away: bool = False

    @property
    def whole(self) -> bool:
        """Whether it is as it was made, with each image."""
        return not (self.damaged or self.broken or self.before)

    def count(self, entry: Entry) -> None:
        """Count one more entry of its list."""
        self.counts[entry[0]] += 1
        if entry[0] == "blob":
            self.size += int(entry[2])


def verify(place: Place, names: Sequence[str], progress: Progress) -> Iterator[Verdict]:
    """Prove the backups by the `names`. Blobs that several have are read once."""
    named = _Once()
    sizes = {name: _size(place, name, named) for name in names}
    good = [name for name, size in sizes.items() if size is not None]
    bad: dict[str, str] = {}
    with progress.of(sum(size or 0 for size in sizes.values()), "hashed") as tell:
        named = _Once()
        for name in good:
            bad.update(hashing.check(named.of(_blobs(place, name)), hashing.opener(place), tell))
    read = judging.remembered(judging.reader(place))
    for name in names:
        found = Verdict(name)
        _judge(place, found, bad, read)
        yield found if os.path.lexists(place.lists / name) else Verdict(name, away=True)


def _size(place: Place, name: str, named: _Once) -> int | None:
    """How many bytes backup `name` has that no earlier one has; None: its list is damaged."""
    try:
        return sum(one.size for one in named.of(listing.blobs(place.lists / name)))
    except (Damaged, OSError):
        return None


def _blobs(place: Place, name: str) -> Iterator[Blob]:
    """The blobs of backup `name`; none if it was removed meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        yield from listing.blobs(place.lists / name)


class _Once:
    """Blobs, each once, by the bytes of their digests."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def of(self, blobs: Iterator[Blob]) -> Iterator[Blob]:
        """Those of `blobs` that have not been there yet."""
        for one in blobs:
            key = bytes.fromhex(one.digest.partition(":")[2])
            if key not in self._seen:
                self._seen.add(key)
                yield one


def read(place: Place, name: str) -> Verdict:
    """What backup `name` says of itself; no blob is read."""
    found, path = Verdict(name), place.lists / name
    try:
        for entry in listing.entries(path):
            found.count(entry)
    except OSError as error:
        found.damaged.append(f"its list {path}: {error.strerror}")
    except Damaged as error:
        found.damaged.append(f"its list {path}: {error}")
    return found


def _judge(place: Place, found: Verdict, bad: Mapping[str, str], read: Read) -> None:
    """Find out what is wrong with one backup, of whose blobs those are `bad`."""
    path = place.lists / found.name
    try:
        for section in listing.sections(listing.entries(path)):
            for entry in section.entries:
                found.count(entry)
                if entry[0] == "config":
                    found.damaged += _config(place, found.name, int(entry[1]), entry[2])
            found.before += _of(section.name, section.broken)
            found.broken += _of(section.name, judging.judge(section, bad, read))
        found.broken += _unnamed(found, path, bad)
    except OSError as error:
        found.damaged.append(f"its list {path}: {error.strerror}")
    except Damaged as error:
        found.damaged.append(f"its list {path}: {error}")
        found.broken.clear()  # of a list that is none


def _of(repository: str, flaws: Sequence[Flaw]) -> list[Broken]:
    return [Broken(repository, *flaw) for flaw in flaws]


def _unnamed(found: Verdict, path: Path, bad: Mapping[str, str]) -> list[Broken]:
    """Blobs that are bad, and that no repository names: there should be none."""
    if not bad:
        return []
    named = {one.digest for one in found.broken}
    return [
        Broken("", "", one.digest, bad[one.digest]) for one in listing.blobs(path) if one.digest in bad.keys() - named
    ]


def _config(place: Place, name: str, size: int, digest: str) -> list[str]:
    """What is wrong with the configuration of backup `name`."""
    path = place.config(name)
    try:
        seen = hashing.hashed(hashing.opened(str(path)), digest.partition(":")[0], pool.room())
    except OSError as error:
        return [f"its configuration {path}: {error.strerror}"]
    return [] if seen == (size, digest) else [f"its configuration {path}: it is not as it was written"]
