"""What of a repository is needed, and what is spare: pure, of what a look at it found.

Needed are the manifests that a tag leads to, those that an index of them names (multi-arch images, attestations), what
refers to one of them (`subject`: signatures, SBOMs), and every blob that one of these names. Tags that name what they
refer to (sha256-HEX.sig) are tags, so what they lead to stays.

Where a manifest that stays can't be read, nobody knows what it needs: then nothing of that repository is spare.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from secreg_host.base.marks import Stamp
from secreg_host.images.manifests import Manifest, Unreadable
from secreg_host.images.sighting import Sight

Read = Callable[[str], Manifest]
Old = Callable[[Stamp], bool]


@dataclass(frozen=True)
class Needed:
    """Manifests that stay, and the blobs that they name."""

    revisions: frozenset[str]
    blobs: frozenset[str]


@dataclass(frozen=True)
class Spare:
    """What nothing needs: manifests and blobs of a repository, with the stamps of their links; stays: digests that
    links of it name besides; held: why nothing of it is, though something may be; hollow: whether links are gone from
    their places."""

    revisions: Mapping[str, Stamp] = field(default_factory=dict)
    layers: Mapping[str, Stamp] = field(default_factory=dict)
    stays: Collection[str] = ()
    held: str = ""
    hollow: bool = False

    def __bool__(self) -> bool:
        return bool(self.revisions or self.layers)


def needed(roots: Iterable[str], there: Collection[str], read: Read) -> Needed:
    """What those manifests of `there` need that are among `roots`, or stay because of them. Raises Unreadable."""
    named = {digest: read(digest) for digest in there}
    about: dict[str, list[str]] = {}
    for digest, found in named.items():
        about.setdefault(found.subject, []).append(digest)
    kept: set[str] = set()
    todo = [digest for digest in roots if digest in named]
    while todo:
        digest = todo.pop()
        if digest not in kept:
            kept.add(digest)
            todo += [one for one in (*named[digest].children, *about.get(digest, ())) if one in named]
    blobs = {
        blob for digest in kept for blob in (*named[digest].blobs, *named[digest].foreign, *named[digest].children)
    }
    return Needed(frozenset(kept), frozenset(blobs))


def spare(sight: Sight, read: Read, old: Old, untagged: Old | None) -> Spare:
    """What nothing needs of the repository that was seen as `sight`, and is `old`; manifests only where it is said
    from when on those without a tag go (`untagged`)."""
    stays: Collection[str] = (*sight.layers.names, *sight.revisions)
    if sight.odd:
        return Spare(stays=stays, held=sight.odd[0])
    young = [one for one, stamp in sight.revisions.items() if untagged is None or not (untagged(stamp) and old(stamp))]
    try:
        those = needed((*sight.tags.values(), *young), sight.revisions, read)
    except Unreadable as error:
        return Spare(stays=stays, held=f"one of its manifests can't be read: {error}")
    revisions = {one: stamp for one, stamp in sight.revisions.items() if one not in those.revisions}
    loose = sight.layers.besides(those.blobs)
    layers = {one: stamp for one, stamp in loose.items() if old(stamp)}
    kept = [one for one in sight.layers.names if one in those.blobs]
    hollow = sight.hollow or len(kept) + len(loose) < len(sight.layers.names)
    kept += [*(loose.keys() - layers.keys()), *(sight.revisions.keys() - revisions.keys()), *sight.tags.values()]
    return Spare(revisions, layers, kept, hollow=hollow)


def wanted_back(sight: Sight, hidden: Collection[str], read: Read) -> Needed | None:
    """What must come back of the manifests that are `hidden`, and which blobs must be there, by a later look `sight`:
    what is there stays, whatever its age. None: that can't be told, so all of it must."""
    if sight.odd:
        return None
    try:
        return needed((*sight.tags.values(), *sight.revisions), {*sight.revisions, *hidden}, read)
    except Unreadable:
        return None
