"""Looking at a store by a driver, quickly: links of blobs are not looked at, and nothing is proven (see survey).

What is as it was at an earlier look is told by the marks of all that would be read. Each mark is taken before what it
is of is read, so that whatever changes afterwards has another one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from secreg_host.base import marks, utf8
from secreg_host.formats.users import PROBE
from secreg_host.images import manifests
from secreg_host.images.driver import Reader, Seen
from secreg_host.images.layout import DIGEST, HERE, LINK_BYTES, LONGEST, LOST, NAME, OWN, TAG, Repository, Tree
from secreg_host.images.manifests import Unreadable
from secreg_host.images.overview import Blobs, Folder, Held, Named, Overview

ALGORITHMS = ("sha256", "sha512")
WORD = 100
"""Characters of a platform, or of a type, at the most: a client may have written anything."""

CONFIG_BYTES = 4 << 20
"""More of a configuration is not read."""

FEW = 64
"""Folders at the top of which there are fewer may be one for each team: those below them are shared out instead."""


class Share(NamedTuple):
    """What one of several lookers looks at: his `number`, of how `many`."""

    number: int = 0
    many: int = 1

    def has(self, name: str) -> bool:
        """Whether `name` is his. (A fork makes the same hash of it as its parent.)"""
        return hash(name) % self.many == self.number


ALL = Share()


@dataclass
class Look:
    """One look at the store of `tree` by way of `driver`, by somebody who knows what was found `before`, and looks at
    his `share`. told: which manifests were told; unsure: those of which something may yet come."""

    driver: Reader
    before: Overview
    tree: Tree = HERE
    share: Share = ALL
    told: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)

    def lines(self) -> Iterator[str]:
        """All that is there."""
        for entry in self._below("", 1 if self._is_wide() else 2):
            yield json.dumps(entry, separators=(",", ":"))

    def _is_wide(self) -> bool:
        top = self.before.folders.get("")
        return top is not None and len(top.children) >= FEW

    def _below(self, name: str, shared: int) -> Iterator[tuple[Any, ...]]:
        """The folder `name` and those in it. shared: how many levels below it what is in it is shared out (0: all of it
        is ours); what is above that all look at, and one tells. What can't be read is told, and the rest looked at."""
        children: tuple[str, ...] = ()
        try:
            known, found = self._seen(name)
            if found is None:
                return
            children = found.children
            if shared <= 0 or self.share.has(name):
                if known is None:
                    yield "folder", name, *found
                if found.is_repository and name != PROBE:
                    yield from self._repository(name, known)
                elif known is not None:
                    yield "same", name
        except OSError as error:
            yield "wrong", name, f"{error.filename or name}: {error.strerror}"
        for one in children:
            inner = f"{name}/{one}".lstrip("/")
            if shared != 1 or self.share.has(inner):
                yield from self._below(inner, shared - 1)

    def _seen(self, name: str) -> tuple[Folder | None, Folder | None]:
        """What was known of the folder `name`, if that is still so, and what it is."""
        known, seen = self.before.folders.get(name), self.driver.look(_place(self.tree, name))
        if seen is None:
            return None, None
        if known is not None and known.mark and known.mark == seen.mark:
            return known, known
        return None, self._folder(name, seen.mark)

    def _folder(self, name: str, mark: str) -> Folder:
        found = self.driver.list(_place(self.tree, name))
        children = tuple(one for one in found if _may_be(f"{name}/{one}".lstrip("/")))
        return Folder(mark, bool(name) and any(one.startswith(OWN) for one in found), children)

    def _repository(self, name: str, known: Folder | None) -> Iterator[tuple[Any, ...]]:
        one, before = Repository(self.tree, name), self.before.repositories.get(name)
        if known is not None and before is not None and before.mark and before.mark == self._marked(one, before):
            yield "same", name
            return
        seen = [self.driver.look(one.tagged)]
        tags = [tag for tag in self.driver.list(one.tagged) if TAG.fullmatch(tag)]
        folders = {kind: self.driver.look(f"{one.revised}/{kind}") for kind in ALGORITHMS}
        links = [
            digest
            for kind, there in folders.items()
            for value in (self.driver.list(f"{one.revised}/{kind}") if there else ())
            if DIGEST.fullmatch(digest := f"{kind}:{value}")
        ]
        linked = {digest: self.driver.look(one.revision(digest)) for digest in links}
        revisions = {digest: there.seconds for digest, there in linked.items() if there}
        away = [one.revision(digest) for digest, there in linked.items() if not there]
        currents = {tag: self.driver.look(one.current(tag)) for tag in tags}
        seen += [*folders.values(), *currents.values()]
        odd: dict[str, str] = {}
        found = {tag: link for tag, there in currents.items() if (link := self._tag(one, tag, there, odd))}
        for digest, there in linked.items():
            if there:
                seen += [there, self.driver.look(self.tree.blob(digest))]
        seen += [None] * len(away)
        for digest in revisions:
            if digest not in self.told:
                self.told.add(digest)
                yield "manifest", digest, *self._named(digest)
        sure = not odd and self.unsure.isdisjoint(revisions)
        yield "repository", name, _mark(seen) if sure else "", found, revisions, odd, away

    def _marked(self, one: Repository, before: Held) -> str:
        """The mark that what was known of a repository `before` has now."""
        return self.driver.mark(_keys(one, before))

    def _tag(self, one: Repository, tag: str, seen: Seen | None, odd: dict[str, str]) -> tuple[str, int] | None:
        """What `tag` is, whose link was `seen`, and since when; None: nothing, and why is `odd`."""
        try:
            data = self.driver.read(one.current(tag), LINK_BYTES)
        except OSError as error:
            odd[tag] = str(error.strerror)
            return None
        digest = utf8.shown(data or b"")
        if seen is None or not DIGEST.fullmatch(digest):
            odd[tag] = "its link holds no digest" if data else "it is a tag of nothing"
            return None
        return digest, seen.seconds

    def _named(self, digest: str) -> tuple[Named, Blobs]:
        """What manifest `digest` says, and which blobs it names."""
        try:
            data = self.driver.read(self.tree.blob(digest), manifests.LARGEST + 1)
            if data is None:
                return Named(why="its bytes are not there"), {}
            found = manifests.described(data)
        except (OSError, Unreadable) as error:
            return Named(why=str(error.strerror if isinstance(error, OSError) else error)), {}
        one, platforms = found.manifest, [word for word in found.platforms.values() if word]
        if found.config and not one.children and not found.kind:
            platforms += self._config(digest, found.config)
        shown = tuple(word[:WORD] for word in platforms)
        blobs = {each: found.sizes.get(each, 0) for each in one.blobs}
        return Named(len(data), one.children, shown, found.kind[:WORD], one.subject), blobs

    def _config(self, manifest: str, digest: str) -> list[str]:
        """For which platform the configuration `digest` of a `manifest` is. One that is away may come back."""
        try:
            data = self.driver.read(self.tree.blob(digest), CONFIG_BYTES)
        except OSError:
            data = None
        if data is None:
            self.unsure.add(manifest)
            return []
        word = manifests.config_platform(data)
        return [word] if word else []


def _place(tree: Tree, name: str) -> str:
    return f"{tree.root}/{tree.within}/repositories/{name}".rstrip("/")


def _may_be(name: str) -> bool:
    last = name.rpartition("/")[2]
    if last.startswith(OWN) or name == LOST:
        return False
    return len(name) <= LONGEST and bool(NAME.fullmatch(name))


def _keys(one: Repository, before: Held) -> Iterator[str]:
    """All that a repository was read from, in the order in which its mark is made."""
    yield one.tagged
    yield from (f"{one.revised}/{kind}" for kind in ALGORITHMS)
    yield from map(one.current, before.tags)
    for digest in before.revisions:
        yield one.revision(digest)
        yield one.tree.blob(digest)
    yield from before.away


def _mark(seen: Iterable[Seen | None]) -> str:
    """One mark of all that was `seen`; "": of some of it that can't be told."""
    found = []
    for one in seen:
        if one is not None and not one.mark:
            return ""
        found.append(one.mark if one is not None else "-")
    return marks.digest("\n".join(found).encode())
