"""What is in a store, told while the registry writes there and clients push, move tags and delete.

Of each repository tags are read first, then manifests, then the links of blobs, and bytes after the links: a push goes
the other way, so what a link needs is there when the link is read, as long as nobody frees space meanwhile. Where
something was deleted in between, the repository is looked at again; where something is still missing then, each tag is
read once more with all that it needs, and what is not whole then is broken.

A survey is a row of entries, each a word and its values as text:

    repository NAME                 what follows is of that one
    tag TAG DIGEST SECONDS          what a tag is, and when it came to be that
    was TAG DIGEST SECONDS          what it ever was
    revision DIGEST SECONDS         a manifest, and when it was pushed
    layer DIGEST                    a blob
    broken TAG DIGEST WHY           what is not whole; TAG or DIGEST may be "-"; WHY names what can't be read
    gone TAG                        a tag that was deleted while we looked
    blob DIGEST SIZE                bytes that a link above it names, once for all repositories
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from secreg_host.base import waiting
from secreg_host.formats.users import PROBE
from secreg_host.images import closure, layout, sighting
from secreg_host.images.closure import Flaw
from secreg_host.images.layout import Link, Malformed, Repository, Tree
from secreg_host.images.manifests import Manifest, Unreadable

T = TypeVar("T")
Entry = tuple[str, ...]

SECONDS, PAUSE, LONGEST = 4.0, 0.05, 10
"""How long repositories that are not whole are looked at again, the first pause, and how many times as long the longest
one is."""

SAME = 10
"""Looks in a row that find the same, by which a repository is done with: a second. (A link that is written is empty for
a tiny part of that; but who deletes a manifest with many tags has it gone for a while before the last tag is.)"""

TRIES = 20
"""How often a tag is read with all that it needs, as long as it is another image each time."""

NONE = "-"


@dataclass(frozen=True)
class Look:
    """What one look at a repository found. named: every tag that was there; tags: those whose manifest was, too."""

    named: tuple[str, ...]
    tags: Mapping[str, Link]
    was: tuple[tuple[str, str, int], ...]
    revisions: Mapping[str, int]
    layers: tuple[str, ...]
    flaws: tuple[Flaw, ...]


@dataclass
class _Again:
    """A repository that was not whole: what the first look found, and the last one; same: how many found that."""

    first: Look
    last: Look
    same: int = 1

    def is_done(self, look: Look) -> bool:
        """Whether one more `look` is enough."""
        self.same = self.same + 1 if look.flaws == self.last.flaws else 1
        self.last = look
        return not look.flaws or self.same >= SAME


@dataclass
class _Image:
    """What a tag is, at `link` (None: it is none any more), and all that this needs."""

    link: Link | None
    revisions: dict[str, int] = field(default_factory=dict)
    layers: list[str] = field(default_factory=list)


@dataclass
class Survey:
    """A survey of `tree`. told: of which blobs it was said that they are there, by the bytes of their digests, which
    are few; sizes: of those that were seen since."""

    tree: Tree
    told: set[bytes] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)

    def entries(self) -> Iterator[Entry]:
        """All that is there. What can't be read is broken."""
        again: dict[str, _Again] = {}
        unread: list[Flaw] = []
        there = list(self.tree.repositories(lambda error: unread.append(_unread(error))))
        yield from (("broken", NONE, NONE, flaw.why) for flaw in unread)  # of no repository: before the first one
        for one in there:
            if one.name == PROBE:
                continue  # what is written and removed there by the program itself is nobody's
            look = self._look(one)
            if look.flaws:
                again[one.name] = _Again(look, look)
            else:
                yield from self._told(one.name, look, look)
        looks = waiting.looks(SECONDS, PAUSE, longest=LONGEST * PAUSE) if again else ()
        for number, _ in enumerate(looks):
            for name, seen in list(again.items()) if number else ():
                if seen.is_done(self._look(Repository(self.tree, name))):
                    yield from self._done(name, again.pop(name))
            if not again:
                return
        for name, seen in again.items():
            yield from self._done(name, seen)

    def _done(self, name: str, seen: _Again) -> Iterator[Entry]:
        found = self._followed(Repository(self.tree, name), seen.last) if seen.last.flaws else seen.last
        return self._told(name, seen.first, found)

    def _followed(self, one: Repository, look: Look) -> Look:
        """`look`, with the tags again that are whole when they are read one by one. Who moves tags and deletes what
        they were has always one on its way as all are read, which takes long where they are many."""
        tags, was, layers = dict(look.tags), list(look.was), dict.fromkeys(look.layers)
        revisions, named, flaws = dict(look.revisions), dict.fromkeys(look.named), list(look.flaws)
        for tag in dict.fromkeys(flaw.tag for flaw in look.flaws if flaw.tag):
            found = self._tagged(one, tag)
            if found is None:
                continue
            flaws = [flaw for flaw in flaws if flaw.tag != tag]
            was = [each for each in was if each[0] != tag]
            tags.pop(tag, None)
            named.pop(tag, None)
            if found.link is not None:
                named[tag], tags[tag] = None, found.link
                revisions.update(found.revisions)
                layers.update(dict.fromkeys(found.layers))
                was += self._was(one, tag, flaws)
        kept = tuple(each for each in was if each[0] in tags and each[1] in revisions)
        return Look(tuple(named), tags, kept, revisions, tuple(layers), tuple(flaws))

    def _tagged(self, one: Repository, tag: str) -> _Image | None:
        """The image that `tag` is, whole, or that it is none any more; None: it is broken."""
        before: object = None
        for _ in range(TRIES):
            wrong: list[Flaw] = []
            link = _read(one.current(tag), wrong)
            found = _Image(link) if link is None else self._image(one, link)
            if found is not None and not wrong:
                return found
            if before == (now := (link and link.digest, *wrong)):
                break
            before = now
        return None

    def _image(self, one: Repository, link: Link) -> _Image | None:
        """All that the manifest at `link` needs, if it is there."""
        found, todo = _Image(link), [link.digest]
        while todo:
            digest = todo.pop()
            if digest in found.revisions:
                continue
            seconds = self._linked(iter([one.revision(digest)]), []).get(digest)
            if seconds is None and digest != link.digest and self._linked(iter([one.layer(digest)]), []):
                found.layers.append(digest)  # of a cache
                continue
            try:
                named = self._manifest(digest) if seconds is not None else None
            except Unreadable:
                return None
            if named is None or seconds is None:
                return None
            found.revisions[digest] = seconds
            found.layers += self._linked(map(one.layer, named.blobs), [])
            if not {*named.blobs} <= {*found.layers}:
                return None
            todo += named.children
        return found

    def _told(self, name: str, first: Look, found: Look) -> Iterator[Entry]:
        yield "repository", name
        yield from (("tag", tag, link.digest, str(link.seconds)) for tag, link in found.tags.items())
        yield from (("was", tag, digest, str(seconds)) for tag, digest, seconds in found.was)
        yield from (("revision", digest, str(seconds)) for digest, seconds in found.revisions.items())
        yield from (("layer", digest) for digest in found.layers)
        yield from (("broken", tag or NONE, digest or NONE, why) for tag, digest, why in found.flaws)
        there = {*found.named, *(flaw.tag for flaw in found.flaws)}
        yield from (("gone", tag) for tag in first.named if tag not in there)
        for digest in (*found.revisions, *found.layers):
            if (key := _key(digest)) not in self.told:
                self.told.add(key)
                yield "blob", digest, str(self.sizes.get(digest) or self.tree.size(digest) or 0)
        self.sizes.clear()

    def _look(self, one: Repository) -> Look:
        flaws: list[Flaw] = []
        tags: dict[str, Link] = {}
        was: list[tuple[str, str, int]] = []
        for tag in _readable(one.tags(), flaws):
            link = _read(one.current(tag), flaws, tag)
            if link is not None:
                tags[tag] = link
                was += self._was(one, tag, flaws)
        revisions = self._linked(one.revisions(), flaws)
        layers = self._linked(one.layers(), flaws)
        named = {tag: link.digest for tag, link in tags.items()}
        flaws += closure.flaws(named, revisions, layers, self._manifest)
        whole = {tag: link for tag, link in tags.items() if link.digest in revisions}
        kept = tuple(each for each in was if each[0] in whole and each[1] in revisions)
        return Look(tuple(tags), whole, kept, revisions, tuple(layers), tuple(flaws))

    def _was(self, one: Repository, tag: str, flaws: list[Flaw]) -> list[tuple[str, str, int]]:
        """What `tag` ever was."""
        dated = ((layout.digest_of(each), layout.written(each)) for each in one.history(tag))
        return [(tag, digest, seconds) for digest, seconds in _readable(dated, flaws) if seconds is not None]

    def _linked(self, links: Iterator[str], flaws: list[Flaw]) -> dict[str, int]:
        """What the `links` of manifests or blobs lead to, and when they were written: what has its bytes."""
        found = {}
        for path in _readable(links, flaws):
            link, digest = _read(path, flaws), layout.digest_of(path)
            if link is None:
                continue
            if link.digest != digest:
                flaws.append(Flaw("", digest, f"{path}: it holds another digest than its place says"))
            elif not self._is_there(digest):
                flaws.append(Flaw("", digest, "its bytes are not there"))
            else:
                found[digest] = link.seconds
        return found

    def _is_there(self, digest: str) -> bool:
        """Whether there are the bytes of `digest`."""
        if _key(digest) in self.told or digest in self.sizes:
            return True
        if (size := self.tree.size(digest)) is not None:
            self.sizes[digest] = size
        return size is not None

    def _manifest(self, digest: str) -> Manifest:
        """What manifest `digest` names. Raises Unreadable."""
        return sighting.manifest(self.tree, digest)


def _readable(found: Iterator[T], flaws: list[Flaw]) -> Iterator[T]:
    """What is `found`, as far as it can be read; that it can't is one more of `flaws`."""
    try:
        yield from found
    except OSError as error:
        flaws.append(_unread(error))


def _unread(error: OSError) -> Flaw:
    return Flaw("", "", f"{error.filename}: {error.strerror}")


def _read(path: str, flaws: list[Flaw], tag: str = "") -> Link | None:
    """What the link `path` holds; None: it is gone, or none, which is one more of `flaws`."""
    try:
        return layout.dated(path)
    except Malformed as error:
        flaws.append(Flaw(tag, "" if tag else layout.digest_of(path), str(error)))
    except OSError as error:
        flaws.append(_unread(error)._replace(tag=tag, digest="" if tag else layout.digest_of(path)))
    return None


def _key(digest: str) -> bytes:
    """The bytes of `digest`; those of two algorithms differ in number."""
    return bytes.fromhex(digest.partition(":")[2])
