"""Putting images of a backup into a store, as the registry's user: blobs first, then links, tags last, as a push does.

So a registry that runs serves each image once it is whole, and a run that is killed is gone on with.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from secreg_host.images import closure, dates, layout, manifests
from secreg_host.images.layout import Malformed, Repository, Tree
from secreg_host.images.manifests import Unreadable
from secreg_host.upkeep import pool
from secreg_host.upkeep.judging import Read
from secreg_host.upkeep.listing import Section
from secreg_host.upkeep.pool import Batch, Blob, Open

NEW = ".secreg.new"


@dataclass(frozen=True)
class Store:
    """A store that blobs are copied to (pool.Target)."""

    tree: Tree

    @property
    def path(self) -> Path:
        """All of it."""
        return self.tree.root

    @property
    def mode(self) -> int:
        """The mode of files, but for the umask."""
        return 0o666

    def new(self, digest: str) -> str:
        """Where a blob is written: the registry looks at what is called `data`, and at nothing else."""
        return f"{self.tree.blob(digest)}{NEW}"

    def blob(self, digest: str) -> str:
        """Where it belongs."""
        return self.tree.blob(digest)

    def folders(self, digest: str) -> tuple[str, ...]:
        """The directories that are made for it."""
        own = self.tree.blob(digest).rpartition("/")[0]
        return own.rpartition("/")[0], own

    def top(self, path: str) -> str:
        """Whoever may put links here is who copies."""
        return path.rpartition("/")[0]

    def settle(self, touched: set[str]) -> None:
        """All is made durable at once, at the end."""


class Part(NamedTuple):
    """What of a repository is restored."""

    repository: str
    tags: tuple[tuple[str, str, int], ...]
    was: tuple[tuple[str, str, int], ...]
    revisions: tuple[tuple[str, int], ...]
    layers: tuple[str, ...]


def part_of(section: Section, tag: str, read: Read) -> Part | None:
    """What is restored of a repository: all of it, or what `tag` needs, with what refers to that. None: it has no such
    tag."""
    if tag and tag not in section.tags:
        return None
    revisions, layers = set(section.revisions), set(section.layers)
    tags = set(section.tags)
    if tag:
        tags, revisions, named = _needed(section, tag, read)
        layers &= named
    words: dict[str, list[tuple[str, str, int]]] = {"tag": [], "was": []}
    for entry in section.entries:
        if entry[0] in words and entry[1] in tags and entry[2] in revisions:
            words[entry[0]].append((entry[1], entry[2], int(entry[3])))
    dated = tuple((digest, int(seconds)) for digest, seconds in section.revisions.items() if digest in revisions)
    linked = tuple(digest for digest in section.layers if digest in layers)
    return Part(section.name, tuple(words["tag"]), tuple(words["was"]), dated, linked)


def _needed(section: Section, tag: str, read: Read) -> tuple[set[str], set[str], set[str]]:
    """The tags, manifests and blobs of what `tag` leads to; signatures and the like among them."""
    tags = {tag}
    revisions: set[str] = set()
    blobs: set[str] = set()
    todo = [section.tags[tag]]
    known = {digest: found for digest in section.revisions if (found := _read(read, digest)) is not None}
    referring, about = _referring(section, known)
    while todo:
        digest = todo.pop()
        blobs.add(digest)  # that is what it is in an index of a cache
        if digest in revisions or digest not in section.revisions:
            continue
        revisions.add(digest)
        found = known.get(digest)
        if found is not None:
            blobs.update(found.blobs, found.foreign)
            todo += found.children
        names = about.get(manifests.cut(digest), [])
        tags.update(names)
        todo += [*referring.get(digest, ()), *(section.tags[name] for name in names)]
    return tags, revisions, blobs


def _referring(
    section: Section, known: Mapping[str, manifests.Manifest]
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Which manifests refer to which one, and the tags of what refers to one, by its digest, which is cut there."""
    referring: dict[str, list[str]] = {}
    about: dict[str, list[str]] = {}
    for digest, one in known.items():
        if one.subject:
            referring.setdefault(one.subject, []).append(digest)
    for tag in section.tags:
        if found := manifests.REFERRERS.fullmatch(tag):
            about.setdefault(f"{found[1]}:{found[2]}", []).append(tag)
    return referring, about


def _read(read: Read, digest: str) -> manifests.Manifest | None:
    try:
        return read(digest)
    except Unreadable:
        return None


def digests(part: Part) -> Iterator[str]:
    """The blobs that `part` needs."""
    yield from (digest for digest, _ in part.revisions)
    yield from part.layers


def copied(tree: Tree, blobs: Iterable[Blob], opened: Open, anew: Container[str] = ()) -> Iterator[Batch]:
    """Copy those of `blobs` that the store has not with their size, and those to be copied `anew`. Raises OSError, and
    SecregError, where they can't be written, and at once where there is no room for them."""
    store = Store(tree)
    for folder in ("blobs/sha256", "blobs/sha512", "repositories"):
        (tree.base / folder).mkdir(parents=True, exist_ok=True)
    wanted = (one for one in blobs if one.digest in anew or tree.size(one.digest) != one.size)
    yield from pool.batches(store, wanted, opened)


def check_room(tree: Tree, size: int) -> None:
    """Raise OSError where there is no room for `size` bytes in the store."""
    found = os.statvfs(tree.root)
    if size > found.f_bavail * found.f_frsize:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tree.root))


def broken(part: Part, missing: Container[str], read: Read) -> set[str]:
    """The tags of `part` that lead to what is not whole, without what is `missing`."""
    revisions = {digest for digest, _ in part.revisions if digest not in missing}
    layers = {digest for digest in part.layers if digest not in missing}
    tags = {tag: digest for tag, digest, _ in part.tags}
    return {flaw.tag for flaw in closure.flaws(tags, revisions, layers, read)}


def link(tree: Tree, part: Part, missing: Container[str], *, force: bool, read: Read | None = None) -> Iterator[str]:
    """Link what `part` has, but what is `missing`; the tags that are another image there already, which stay unless
    `force`. Even then none is moved to an image that is not whole, as far as manifests can be `read`."""
    one = Repository(tree, part.repository)
    for digest in part.layers:
        if digest not in missing:
            _write(one.layer(digest), digest)
    for digest, seconds in part.revisions:
        if digest not in missing:
            _write(one.revision(digest), digest, seconds)
    kept = {tag for tag, digest, _ in part.tags if _leads_elsewhere(one.current(tag), digest)}
    if force:
        kept &= broken(part, missing, read) if kept and read is not None else set()
    yield from (tag for tag, _, _ in part.tags if tag in kept)
    for tag, digest, seconds in part.was:
        if digest not in missing:
            _write(one.once(tag, digest), digest, seconds)
    for tag, digest, seconds in part.tags:
        if digest not in missing and tag not in kept:
            _write(one.current(tag), digest, seconds)


def _leads_elsewhere(path: str, digest: str) -> bool:
    try:
        return layout.linked(path) not in (None, digest)
    except Malformed:
        return False


def _write(path: str, digest: str, seconds: int | None = None) -> None:
    """Let the link `path` hold `digest`, unless it does; the registry never sees half of it."""
    with contextlib.suppress(Malformed):
        if layout.linked(path) == digest:
            return
    folder, new = Path(path).parent, Path(f"{path}{NEW}")
    folder.mkdir(parents=True, exist_ok=True)
    new.write_bytes(digest.encode())
    if seconds is not None:
        os.utime(new, (dates.plausible(seconds),) * 2)
    new.replace(path)
