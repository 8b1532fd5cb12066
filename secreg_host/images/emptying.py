"""What is in the trash, and what of it is to go for good."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from secreg_host.images import layout, sighting, trash
from secreg_host.images.layout import Tree
from secreg_host.images.manifests import Unreadable
from secreg_host.images.survey import Entry
from secreg_host.images.trash import LAYER, TAG, Item, Run, Trash


@dataclass(frozen=True)
class Choice:
    """Which of what is in the trash: of a repository ("": of all), by manifest `digest`, if one is given, with what it
    names; what has been there for `older` seconds."""

    repository: str = ""
    digest: str = ""
    older: int = 0

    def items(self, there: Trash) -> Iterator[Item]:
        """Those of `there`."""
        now = there.now() // 10**9
        for run in there.runs():
            if now - run.made < self.older or run.open:
                continue
            for repository in [self.repository] if self.repository else list(there.repositories(run)):
                yield from self._of(there, list(there.items(run, repository)))

    def _of(self, there: Trash, items: list[Item]) -> Iterator[Item]:
        if not self.digest:
            yield from items
            return
        blobs: set[str] = set()
        with contextlib.suppress(Unreadable):  # its bytes are gone already
            blobs = {*sighting.manifest(there.tree, self.digest).blobs}
        for item in items:
            named = trash.tagged(there, item) if item.kind == TAG else item.name
            if item.name in blobs if item.kind == LAYER else named == self.digest:
                yield item


def frees(tree: Tree) -> Iterator[tuple[int, int]]:
    """Bytes that only links in the trash name, which emptying it would free: when the last of these was put there
    (seconds since the epoch), and how many; the oldest first."""
    there, last = Trash(tree), dict[str, int]()
    for run in there.runs():
        last |= {item.name: run.made for item in there.all([run]) if item.kind != TAG}
    for one in tree.repositories(lambda _: None) if last else ():
        for link in (*one.layers(), *one.revisions()):
            if layout.digest_of(link) in last and os.path.lexists(link):
                del last[layout.digest_of(link)]
    found = Counter[int]()
    for digest, made in last.items():
        found[made] += tree.size(digest) or 0
    yield from sorted(found.items())


def listed(tree: Tree) -> Iterator[Entry]:
    """What people know of what is in the trash: tags and manifests, the latest last. Of each: the run, when, why, the
    repository, "tag" or "manifest", its name, the digest, and how many bytes it names ("0": that can't be told)."""
    there = Trash(tree)
    for run in there.runs():
        for repository in there.repositories(run):
            for item in there.items(run, repository):
                if item.kind != LAYER:
                    yield _told(there, run, item)


def _told(there: Trash, run: Run, item: Item) -> Entry:
    digest = trash.tagged(there, item) if item.kind == TAG else item.name
    kind = "tag" if item.kind == TAG else "manifest"
    when = f"{datetime.fromtimestamp(run.made, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return run.name, when, run.why, item.repository, kind, item.name, digest, str(_size(there.tree, digest))


def _size(tree: Tree, digest: str) -> int:
    try:
        found = sighting.manifest(tree, digest) if digest else None
    except Unreadable:
        return 0
    return sum(tree.size(one) or 0 for one in (digest, *found.blobs)) if found else 0
