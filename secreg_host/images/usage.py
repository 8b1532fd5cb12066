"""What images weigh: how many bytes each needs, and how many of them nobody else does. Pure.

An owner is a manifest of a repository that somebody would delete: one with a tag, or one that no other manifest there
names. It needs itself and all below. What one owner alone needs, deleting it would free, once it is out of the trash;
the same image in two repositories is two owners, and deleting one of them frees nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from secreg_host.images.overview import Blobs, Held, Named, Overview

K = TypeVar("K")


class Weight(NamedTuple):
    """size: all bytes; unique: those that nobody else needs, which deleting would free."""

    size: int
    unique: int

    @property
    def shared(self) -> int:
        """Bytes that others need, too."""
        return self.size - self.unique


def images(found: Overview) -> dict[str, dict[str, tuple[int, int]]]:
    """The weight of each manifest of each repository that somebody would delete, by what manifests say of sizes: as
    Weight."""
    needs = Needs(found)
    owners = {
        (name, digest): needs.of(digest) for name, one in found.repositories.items() for digest in roots(one, found)
    }
    weights: dict[str, dict[str, tuple[int, int]]] = {}
    for (name, digest), weight in _weighed(owners).items():
        weights.setdefault(name, {})[digest] = weight
    return weights


def repositories(found: Overview, sizes: Blobs | None = None) -> dict[str, Weight]:
    """The weight of each repository; sizes: bytes that are there (without: as manifests say)."""
    needs = Needs(found)
    owners = {name: _merged(map(needs.of, one.revisions)) for name, one in found.repositories.items()}
    if sizes is not None:
        owners = {name: {one: sizes.get(one, 0) for one in needed} for name, needed in owners.items()}
    return _weighed(owners)


class Whole(NamedTuple):
    """What the bytes of a store are there for. tagged: what some tag needs; untagged: what only manifests without one
    need; unnamed: what no manifest names: deleted, left by pushes that were cut, or being pushed."""

    tagged: int
    untagged: int
    unnamed: int


def whole(found: Overview, sizes: Blobs) -> Whole:
    """What all the bytes are for, of which there are `sizes`."""
    needs = Needs(found)
    tagged: set[str] = set()
    every: set[str] = set()
    for one in found.repositories.values():
        for digest, _ in one.tags.values():
            tagged.update(needs.of(digest))
        for digest in one.revisions:
            every.update(needs.of(digest))
    kept = sum(sizes.get(digest, 0) for digest in tagged)
    rest = sum(sizes.get(digest, 0) for digest in every - tagged)
    return Whole(kept, rest, sum(sizes.values()) - kept - rest)


def roots(one: Held, found: Overview) -> list[str]:
    """The manifests of a repository that somebody would delete: those with a tag, and those that none of it names."""
    tagged = dict.fromkeys(digest for digest, _ in one.tags.values() if digest in one.revisions)
    below = {child for digest in one.revisions for child in _named(found.manifests, digest).children}
    return [*tagged, *(digest for digest in one.revisions if digest not in tagged and digest not in below)]


class Needs:
    """All that a manifest needs, by what was `found`; each is looked up once."""

    def __init__(self, found: Overview) -> None:
        self.found, self.known = found, dict[str, dict[str, int]]()

    def of(self, digest: str) -> dict[str, int]:
        """Digests and sizes: of the manifest, and of all below it."""
        if (known := self.known.get(digest)) is not None:
            return known
        found: dict[str, int] = {}
        todo, seen = [digest], {digest}
        while todo:
            here = todo.pop()
            one = _named(self.found.manifests, here)
            found[here] = one.size
            found.update(self.found.blobs.get(here, {}))
            below = [child for child in one.children if child not in seen]
            seen.update(below)
            todo += below
        self.known[digest] = found
        return found


def _named(manifests: Mapping[str, Named], digest: str) -> Named:
    return manifests.get(digest) or Named(why="it is not there")


def _merged(needed: Iterator[dict[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in needed:
        found.update(one)
    return found


def _weighed(owners: Mapping[K, Blobs]) -> dict[K, Weight]:
    """The weight of each owner by what all of them need."""
    needing: Counter[str] = Counter()
    for needed in owners.values():
        needing.update(needed.keys())
    return {owner: Weight(sum(needed.values()), _alone(needed.items(), needing)) for owner, needed in owners.items()}


def _alone(needed: Iterable[tuple[str, int]], needing: Mapping[str, int]) -> int:
    return sum(size for digest, size in needed if needing[digest] == 1)
