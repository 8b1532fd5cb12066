"""Deleting by hand: tags and manifests go to the trash, as they are. No bytes go.

By its tag an image is untagged, and no more; by its digest the manifest goes with every tag that leads to it. What an
index needs that stays (multi-arch images) is not deleted alone. With a manifest go the links of those blobs that none
which stays needs; where none does, of all, and by that the repository leaves the registry's catalog.

Between plan and deed somebody may be asked for minutes. What became another one meanwhile, or is needed by now, stays.

What is planned, and done, is told as entries:

    tag REPOSITORY TAG DIGEST       a tag, and what it is ("-": that can't be read)
    revision REPOSITORY DIGEST      a manifest
    layer REPOSITORY DIGEST         a blob that nothing which stays there needs
    wrong WHAT WHY HINT             nothing is done, for that
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from secreg_host.images import clocks, flight, hiding, marking, room, sighting, tidying, uploads
from secreg_host.images.layout import Repository, Tree
from secreg_host.images.manifests import Unreadable
from secreg_host.images.sighting import Sight
from secreg_host.images.survey import NONE, Entry
from secreg_host.images.targets import Target
from secreg_host.images.trash import LAYER, REVISION, Run, Trash


def plan(tree: Tree, targets: Iterable[Target], *, whole: bool = False, apart: bool = False) -> list[Entry]:
    """What goes; whole: each of `targets` is a repository, all of which goes; apart: as for `delete`."""
    wished: dict[str, list[Target]] = {}
    for one in targets:
        wished.setdefault(one.repository, []).append(one)
    found = [entry for name, ones in wished.items() for entry in _planned(tree, name, ones, whole=whole, apart=apart)]
    wrong = [entry for entry in found if entry[0] == "wrong"]
    return wrong or list(dict.fromkeys(found))


def _planned(tree: Tree, name: str, targets: list[Target], *, whole: bool, apart: bool) -> Iterator[Entry]:
    one = Repository(tree, name)
    sight = sighting.look(one)
    there, layers = [*one.tags()], sight.layers.besides(())
    if not (there or sight.revisions or layers):
        yield "wrong", name, "there is no such repository", "see what there is: secure-registry images list"
    elif whole:
        yield from (("tag", name, tag, sight.tags.get(tag, NONE)) for tag in there)
        yield from (("revision", name, digest) for digest in sight.revisions)
        yield from (("layer", name, digest) for digest in layers)
    else:
        digests = {target.digest for target in targets if target.digest}
        for target in targets:
            yield from _named(name, sight, there, target)
        yield from () if apart else _needed(tree, name, sight, digests)
        untagged = {target.tag for target in targets} | {tag for tag, digest in sight.tags.items() if digest in digests}
        spare = _spare(tree, sight, digests, is_all=bool(digests) and untagged.issuperset(there))
        yield from (("layer", name, digest) for digest in spare)


def _named(name: str, sight: Sight, there: list[str], target: Target) -> Iterator[Entry]:
    if target.tag:
        if target.tag in there:
            yield "tag", name, target.tag, sight.tags.get(target.tag, NONE)
        else:
            yield "wrong", str(target), "there is no such tag", f"see: secure-registry images list {name}"
    elif target.digest not in sight.revisions:
        yield "wrong", str(target), "there is no such manifest", f"see: secure-registry images list {name}"
    else:
        yield from (("tag", name, tag, digest) for tag, digest in sight.tags.items() if digest == target.digest)
        yield "revision", name, target.digest


def _needed(tree: Tree, name: str, sight: Sight, digests: set[str]) -> Iterator[Entry]:
    """Which of the manifests that are to go an index names that stays."""
    for digest, index in _parts(tree, sight, digests):
        hint = f"delete that, or both: secure-registry images rm {name}@{index} {name}@{digest}"
        yield "wrong", f"{name}@{digest}", f"it is a part of the image {index}", hint


def _parts(tree: Tree, sight: Sight, digests: set[str]) -> Iterator[tuple[str, str]]:
    """Those of `digests` that a manifest names which is none of them, and that one."""
    read = hiding.reader(tree)
    for revision in sight.revisions if digests else ():
        if revision not in digests:
            with contextlib.suppress(Unreadable):
                yield from ((digest, revision) for digest in sorted(digests & {*read(revision).children}))


def _spare(tree: Tree, sight: Sight, gone: set[str], *, is_all: bool) -> list[str]:
    """The blobs that manifests name which are `gone`, and none that stays; is_all: no tag stays."""
    stays = sight.revisions.keys() - gone
    if is_all and not stays:
        return [*sight.layers.besides(())]
    if not gone:
        return []
    read = hiding.reader(tree)
    try:
        kept = marking.needed(stays, stays, read).blobs
        named = {blob for digest in gone for blob in (*read(digest).blobs, *read(digest).foreign)}
    except Unreadable:  # nobody knows what is needed
        return []
    return [digest for digest in sight.layers.besides(kept) if digest in named]


def delete(
    tree: Tree, entries: Iterable[Entry], why: str, run: Run | None = None, *, apart: bool = False
) -> Iterator[Entry]:
    """Move what was planned into the trash; what went. run: one that has begun (None: a new one); apart: also a part of
    an index that stays, for who asks so takes it apart, one by one."""
    room.make(tree)
    trash = Trash(tree)
    given, run = run, run or trash.begin(why, open=False)
    wished: dict[str, list[Entry]] = {}
    for entry in entries:
        wished.setdefault(entry[1], []).append(entry)
    for name, ones in wished.items():
        with flight.still(tree, name, flight.SECONDS) as still:
            if still:
                yield from _deleted(trash, run, name, ones, apart=apart)
    if given is None:  # else somebody may be about to fill it, and looking at all runs costs as much as there are
        trash.sweep(run)


def _deleted(trash: Trash, run: Run, name: str, planned: list[Entry], *, apart: bool) -> Iterator[Entry]:
    """The same in one repository. A manifest goes after its tags, so that none leads nowhere."""
    one = Repository(trash.tree, name)
    before = sighting.look(one).tags
    for entry in (entry for entry in planned if entry[0] == "tag"):
        if before.get(entry[2], NONE) == entry[3] and trash.hide_tag(run, name, entry[2]) is not None:
            yield entry
    sight = sighting.look(one)
    gone = {entry[2] for entry in planned if entry[0] == "revision"} & sight.revisions.keys()
    while stay := gone & {
        *sight.tags.values(),
        *(() if apart else (one for one, _ in _parts(trash.tree, sight, gone))),
    }:
        gone -= stay
    for item in trash.hide(run, name, REVISION, {digest: sight.revisions[digest] for digest in gone}):
        yield "revision", name, item.name
    spare = {*_spare(trash.tree, sight, gone, is_all=not (sight.tags or sight.odd))}
    there, wished = sight.layers.besides(()), {entry[2] for entry in planned if entry[0] == "layer"}
    layers = {digest: stamp for digest, stamp in there.items() if digest in spare & wished}
    for item in trash.hide(run, name, LAYER, layers):
        yield "layer", name, item.name
    quiet = clocks.older(trash.now(), clocks.QUIET)
    if (gone or layers) and layers == there and not uploads.are_going_on(one, quiet):
        tidying.tidy(one, lambda _: True)
