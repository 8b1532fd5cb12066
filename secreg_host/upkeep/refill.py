"""Images of a backup back in a store, and the proof that they are: every byte hashed, every image whole."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from secreg_host.base import deputies, quoting
from secreg_host.base.deputies import Opened
from secreg_host.base.errors import SecregError
from secreg_host.base.process import Account
from secreg_host.host.host import Host
from secreg_host.images import manifests, readable, site
from secreg_host.images.layout import HERE, Tree
from secreg_host.images.manifests import Manifest, Unreadable
from secreg_host.upkeep import create, hashing, judging, listing, placing
from secreg_host.upkeep.judging import Broken, Read
from secreg_host.upkeep.listing import Section
from secreg_host.upkeep.place import Place
from secreg_host.upkeep.placing import Part
from secreg_host.upkeep.pool import Blob, Open
from secreg_host.upkeep.progress import Progress

ALLOWED = re.compile(r"backups/[0-9TZ-]+|blobs/(sha256|sha512)/[0-9a-f]{2}/[0-9a-f]+")
"""What of a directory of backups the registry's user is handed, file by file."""


@dataclass(frozen=True)
class Wanted:
    """Which images of backup `name`: all, or those of a `repository`, or of its `tag`; force: over what is there."""

    name: str
    repository: str = ""
    tag: str = ""
    force: bool = False


@dataclass
class Refilled:
    """What was put back: how many repositories and tags; failed: blobs that could not be, and why; kept: tags that are
    another image in the store, and stay that."""

    repositories: int = 0
    tags: int = 0
    size: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)


def parts(path: Path | str, wanted: Wanted, read: Read, opened: Open) -> Iterator[Part]:
    """What is `wanted` of the list `path`, repository by repository. Raises Damaged, and OSError."""
    for section in listing.sections(listing.entries(Path(path), opened)):
        if section.name and wanted.repository in ("", section.name):
            found = placing.part_of(section, wanted.tag, read)
            if found is not None:
                yield found


def refill(
    host: Host,
    place: Place,
    images: Path,
    wanted: Wanted,
    progress: Progress,
    tree: Tree = HERE,
    anew: frozenset[str] = frozenset(),
) -> Refilled:
    """Put what is `wanted` into the store `tree` in the directory `images`, as the registry's user; anew: blobs that
    are copied though they are there. Raises SecregError where that can't be done."""
    made, account = Refilled(), Account("root", os.geteuid(), os.getegid())
    with deputies.opening(account, place.path, ALLOWED) as opened:

        def work() -> Iterator[str]:
            return _refill(opened, tree, wanted, anew)

        with deputies.telling(host.accounts.registry, images, work, by=opened, shut=readable.closed) as lines:
            try:
                size = int(next(lines).partition(" ")[2])
                with progress.of(size, "restored") as tell:
                    for line in lines:
                        _note(made, line, tell)
            except OSError as error:
                what = f"cannot write the images in {images}: {error.strerror} ({error.filename})"
                where = quoting.shell(images)
                user = host.accounts.registry.name
                hint = f"see: df -h {where}; findmnt -T {where}; ls -ld {where} (it writes as {user})"
                raise SecregError(what, f"{hint}; then type this again: it is gone on with") from error
    return made


def _note(made: Refilled, line: str, tell: Callable[[int], None]) -> None:
    word, _, rest = line.partition(" ")
    if word == "copied":
        made.size += int(rest)
        tell(int(rest))
    elif word == "failed":
        digest, why = rest.split(" ", 1)
        made.failed[digest] = str(json.loads(why))
    elif word == "kept":
        made.kept.append(rest)
    elif word == "linked":
        made.repositories += 1
        made.tags += int(rest)


def _refill(opened: Opened, tree: Tree, wanted: Wanted, anew: frozenset[str]) -> Iterator[str]:
    """In the store's directory, as its user: what is done, line by line."""
    os.umask(site.UMASK)
    path = f"backups/{wanted.name}"
    read = judging.remembered(_reader(opened))
    selected: set[str] | None = None
    if wanted.repository:
        selected = {digest for part in parts(path, wanted, read, opened) for digest in placing.digests(part)}

    def named() -> Iterator[Blob]:
        for entry in listing.entries(Path(path), opened):
            if entry[0] == "blob" and (selected is None or entry[1] in selected):
                yield Blob(entry[1], int(entry[2]))

    size = sum(one.size for one in named() if one.digest in anew or tree.size(one.digest) != one.size)
    yield f"size {size}"
    placing.check_room(tree, size)
    failed: set[str] = set()
    for batch in placing.copied(tree, named(), lambda digest: opened(_blob(digest)), anew):
        yield f"copied {batch.size}"
        for digest, why in batch.failed:
            failed.add(digest)
            yield f"failed {digest} {json.dumps(why)}"
    os.sync()  # bytes before links
    for part in parts(path, wanted, read, opened):
        kept = list(placing.link(tree, part, failed, force=wanted.force, read=read))
        yield from (f"kept {part.repository}:{tag}" for tag in kept)
        yield f"linked {len(part.tags) - len(kept)}"
    os.sync()


def _blob(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    return f"blobs/{algorithm}/{value[:2]}/{value}"


def _reader(opened: Opened) -> Read:
    def read(digest: str) -> Manifest:
        try:
            descriptor = opened(_blob(digest))
        except OSError as error:
            raise Unreadable(str(error.strerror)) from None
        with os.fdopen(descriptor, "rb") as file:
            return manifests.read(file.read(manifests.LARGEST + 1))

    return read


def proof(
    host: Host, place: Place, images: Path, wanted: Wanted, progress: Progress, tree: Tree = HERE
) -> list[Broken]:
    """What is not in the store as it is in the backup: every blob is hashed, every image is looked at, as the
    registry's user sees it. What was broken when it was backed up is among it."""
    path = place.lists / wanted.name
    read = judging.remembered(judging.reader(place))
    expected: dict[str, Part] = {}
    needed: set[str] = set()
    for part in parts(path, wanted, read, hashing.opened):
        expected[part.repository] = part._replace(was=())
        needed.update(placing.digests(part))
    found = [one for one in listing.blobs(path) if one.digest in needed]
    wrong: list[Broken] = []
    with deputies.opening(host.accounts.registry, images, shut=readable.closed) as opened:
        with progress.of(sum(one.size for one in found), "proven") as tell:
            failed = hashing.check(found, lambda digest: opened(tree.blob(digest)), tell)
            wrong += [Broken("", "", digest, why) for digest, why in failed]
    for section in listing.sections(create.surveyed(host, images, tree)):
        if section.name in expected:
            wrong += _differs(section, expected.pop(section.name), wanted)
    return wrong + [Broken(name, "", "", "it is not in the store") for name in expected]


def _differs(section: Section, part: Part, wanted: Wanted) -> Iterator[Broken]:
    """What of `part` is not in the repository as it was seen."""
    yield from (Broken(section.name, *flaw) for flaw in section.broken if wanted.tag in ("", flaw.tag))
    for tag, digest, _ in part.tags:
        if section.tags.get(tag) != digest:
            yield Broken(section.name, tag, digest, "the tag does not lead there")
    layers = set(section.layers)
    missing = [digest for digest, _ in part.revisions if digest not in section.revisions]
    missing += [digest for digest in part.layers if digest not in layers]
    yield from (Broken(section.name, "", digest, "it is not linked") for digest in missing)
