"""Whether the images of a store are whole, asked while it serves: by a survey, which follows each tag to its bytes; by
the sizes that manifests say; and, if wanted, by hashing all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from secreg_host.base import deputies
from secreg_host.host.host import Host
from secreg_host.images import looking, readable, usage
from secreg_host.images.layout import HERE
from secreg_host.images.mending import Cut
from secreg_host.images.overview import Overview
from secreg_host.images.survey import NONE
from secreg_host.upkeep import create, hashing
from secreg_host.upkeep.judging import Broken
from secreg_host.upkeep.pool import Blob
from secreg_host.upkeep.progress import Progress


@dataclass
class Checked:
    """What a check found. counts, size: entries by their word, bytes of blobs; broken: what is not whole; cut: tags
    that say nothing, and what they were; foreign: what the registry can't write, and what to do (None: nothing);
    rotten: digests of which there are bytes, and not the right ones; hashed: those that were read, and why."""

    counts: Counter[str] = field(default_factory=Counter)
    size: int = 0
    broken: list[Broken] = field(default_factory=list)
    cut: list[Cut] = field(default_factory=list)
    foreign: tuple[str, str] | None = None
    rotten: set[str] = field(default_factory=set)
    hashed: dict[str, str] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.broken and not self.cut and self.foreign is None


def check(
    host: Host, place: Path, progress: Progress, *, read_data: bool, hashed: Mapping[str, str] = MappingProxyType({})
) -> Checked:
    """Check the store in the directory `place`; read_data: hash all bytes, too; hashed: which were not right when that
    was done before. Raises SecregError where it can't be read."""
    found, blobs, repository = Checked(hashed=dict(hashed)), dict[str, int](), ""
    for word, *values in create.surveyed(host, place):
        found.counts[word] += 1
        if word == "repository":
            repository = values[0]
        elif word == "blob":
            blobs[values[0]] = int(values[1])
        elif word == "broken":
            tag, digest, why = ("" if value == NONE else value for value in values)
            found.broken.append(Broken(repository, tag, digest, why))
    found.size = sum(blobs.values())
    overview = looking.everything(host, place)
    bad = sizes(overview, blobs)
    if read_data:
        found.hashed |= _hashed(
            host, place, {digest: size for digest, size in blobs.items() if digest not in bad}, progress
        )
    bad |= found.hashed
    found.broken += needing(overview, bad)
    found.cut = looking.cut(host, place, _nothing(overview, found.broken))
    cut = {(one.repository, one.tag) for one in found.cut}
    found.broken = [one for one in found.broken if one.digest or (one.repository, one.tag) not in cut]
    found.rotten = {*bad, *looking.rotten(host, place, {one.digest for one in found.broken if one.digest} - bad.keys())}
    found.foreign = looking.foreign(host, place)
    return found


def sizes(overview: Overview, blobs: Mapping[str, int]) -> dict[str, str]:
    """Which of the `blobs` have other sizes than manifests say, and that. Pure."""
    bad = {}
    for said in overview.blobs.values():
        for digest, size in said.items():
            there = blobs.get(digest, size)
            if size and there != size:
                bad[digest] = f"it has {there} bytes instead of {size}"
    return bad


def needing(overview: Overview, bad: Mapping[str, str]) -> Iterator[Broken]:
    """The images that need what is `bad`: by their tags, or, where they have none, by their repositories. Pure."""
    needs = usage.Needs(overview)
    for name, one in overview.repositories.items() if bad else ():
        told = set()
        for tag, (digest, _) in one.tags.items():
            for each in needs.of(digest).keys() & bad.keys():
                told.add(each)
                yield Broken(name, tag, each, bad[each])
        for digest in one.revisions:
            for each in (needs.of(digest).keys() & bad.keys()) - told:
                told.add(each)
                yield Broken(name, "", each, bad[each])


def _hashed(host: Host, place: Path, blobs: Mapping[str, int], progress: Progress) -> dict[str, str]:
    """Which of the `blobs` are not what their digests say, and why."""
    named = (Blob(digest, size) for digest, size in blobs.items())
    opening = deputies.opening(host.accounts.registry, place, shut=readable.closed)
    with opening as opened, progress.of(sum(blobs.values()), "read") as tell:
        return dict(hashing.check(named, lambda digest: opened(HERE.blob(digest)), tell))


def _nothing(overview: Overview, broken: list[Broken]) -> list[tuple[str, str]]:
    """The tags that may say nothing, each with its repository."""
    found = {(name, tag) for name, one in overview.repositories.items() for tag in one.odd}
    return sorted(found | {(one.repository, one.tag) for one in broken if one.tag and not one.digest})
