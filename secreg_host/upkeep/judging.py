"""Whether the images of a backup are whole, by its list and what is wrong in the pool."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

from secreg_host.base.quoting import plain
from secreg_host.images import closure, manifests
from secreg_host.images.closure import Flaw
from secreg_host.images.manifests import Manifest, Unreadable
from secreg_host.images.survey import NONE, Entry
from secreg_host.upkeep import hashing
from secreg_host.upkeep.listing import Section
from secreg_host.upkeep.place import Place


class Broken(NamedTuple):
    """What is wrong with an image of `repository`: see closure.Flaw."""

    repository: str
    tag: str
    digest: str
    why: str

    def __str__(self) -> str:
        where = f"{self.repository}:{self.tag}" if self.tag else self.repository
        return ": ".join(one for one in (where, self.digest, plain(self.why)) if one)


Read = Callable[[str], Manifest]


def reader(place: Place) -> Read:
    """What reads a manifest of the pool. It raises Unreadable."""

    def read(digest: str) -> Manifest:
        data = hashing.content(place, digest, manifests.LARGEST + 1)
        if data is None:
            raise Unreadable("its bytes are not there")
        return manifests.read(data)

    return read


def judge(section: Section, bad: Mapping[str, str], read: Read) -> tuple[Flaw, ...]:
    """What is wrong with the images of a repository, besides what was when it was backed up. bad: why which blobs are
    not in the pool."""
    revisions = [digest for digest in section.revisions if digest not in bad]
    layers = {digest for digest in section.layers if digest not in bad}
    known = {(one.tag, one.digest) for one in section.broken}
    said = closure.flaws(section.tags, revisions, layers, read)
    found = [flaw for flaw in said if (flaw.tag, flaw.digest) not in known]
    named = {flaw.digest for flaw in found}
    alone = [one for one in (*section.revisions, *section.layers) if one in bad and one not in named]
    found += [Flaw("", digest, "") for digest in dict.fromkeys(alone)]
    return tuple(flaw._replace(why=bad.get(flaw.digest, flaw.why)) for flaw in found)


def mended(section: Section, bad: Mapping[str, str], read: Read) -> list[Entry]:
    """The entries of a repository without links to what is `bad`, which is said instead."""
    if not any(digest in bad for digest in (*section.revisions, *section.layers)):
        return [entry for entry in section.entries if entry[0] != "blob" or entry[1] not in bad]
    said: list[Entry] = [
        ("broken", flaw.tag or NONE, flaw.digest or NONE, flaw.why) for flaw in judge(section, bad, read)
    ]
    return [entry for entry in section.entries if not _names(entry, bad)] + said


def _names(entry: Entry, bad: Mapping[str, str]) -> bool:
    """Whether `entry` is a link to what is bad, or its bytes."""
    word, *values = entry
    return word in ("tag", "was", "revision", "layer", "blob") and values[word in ("tag", "was")] in bad


def remembered(read: Read, size: int = 4096) -> Read:
    """`read` that remembers so many manifests: repositories often share them."""
    return functools.lru_cache(size)(read)
