"""Deleting by hand: tags and manifests go to the trash, as they are. No bytes go.

By its tag an image is untagged, and no more; by its digest the manifest goes with every tag that leads to it. What an
index needs that stays (multi-arch images) is not deleted alone.

What is planned, and done, is told as entries:

    tag REPOSITORY TAG DIGEST       a tag, and what it is ("-": that can't be read)
    revision REPOSITORY DIGEST      a manifest
    layer REPOSITORY DIGEST         a blob of a whole repository that goes
    wrong WHAT WHY HINT             nothing is done, for that
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from secreg_host.images import flight, hiding, room, sighting, tidying
from secreg_host.images.layout import Repository, Tree
from secreg_host.images.manifests import Unreadable
from secreg_host.images.sighting import Sight
from secreg_host.images.survey import NONE, Entry
from secreg_host.images.targets import Target
from secreg_host.images.trash import LAYER, REVISION, Trash

WORDS = {LAYER: "layer", REVISION: "revision"}


def plan(tree: Tree, targets: Iterable[Target], *, whole: bool = False) -> list[Entry]:
    """What goes; whole: each of `targets` is a repository, all of which goes."""
    wished: dict[str, list[Target]] = {}
    for one in targets:
        wished.setdefault(one.repository, []).append(one)
    found = [entry for name, ones in wished.items() for entry in _planned(tree, name, ones, whole=whole)]
    wrong = [entry for entry in found if entry[0] == "wrong"]
    return wrong or list(dict.fromkeys(found))


def _planned(tree: Tree, name: str, targets: list[Target], *, whole: bool) -> Iterator[Entry]:
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
        yield from _needed(tree, name, sight, digests)


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
    read = hiding.reader(tree)
    for revision in sight.revisions if digests else ():
        if revision in digests:
            continue
        try:
            children = read(revision).children
        except Unreadable:
            continue
        for digest in sorted(digests & {*children}):
            hint = f"delete that, or both: secure-registry images rm {name}@{revision} {name}@{digest}"
            yield "wrong", f"{name}@{digest}", f"it is a part of the image {revision}", hint


def delete(tree: Tree, entries: Iterable[Entry], why: str) -> Iterator[Entry]:
    """Move what was planned into the trash; what went. A manifest goes after its tags, so that none leads nowhere."""
    room.make(tree)
    trash = Trash(tree)
    run = trash.begin(why, open=False)
    wished: dict[str, list[Entry]] = {}
    for entry in entries:
        wished.setdefault(entry[1], []).append(entry)
    for name, ones in wished.items():
        with flight.still(tree, name):
            for entry in (entry for entry in ones if entry[0] == "tag"):
                if trash.hide_tag(run, name, entry[2]) is not None:
                    yield entry
            sight = sighting.look(Repository(tree, name))
            for kind, seen in ((REVISION, sight.revisions), (LAYER, sight.layers.besides(()))):
                gone = {entry[2] for entry in ones if entry[0] == WORDS[kind]} & seen.keys()
                for item in trash.hide(run, name, kind, {digest: seen[digest] for digest in gone}):
                    yield WORDS[kind], name, item.name
            if any(entry[0] == "layer" for entry in ones):  # all of it: it leaves the catalog at once
                tidying.tidy(Repository(tree, name), lambda _: True)
    trash.sweep(run)
