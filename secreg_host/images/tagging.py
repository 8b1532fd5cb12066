"""Giving an image one more tag, as the registry does when it is pushed: the history of the tag first, then what it is.

What is planned, and done, is told as entries:

    tagged REPOSITORY TAG DIGEST BEFORE     what a tag is then, and what it is before ("-": there is none, "": nothing)
    wrong WHAT WHY HINT                     nothing is done, for that
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from secreg_host.images import bringing, flight, layout, linking, moving, sighting
from secreg_host.images.layout import Malformed, Repository, Tree
from secreg_host.images.manifests import Unreadable
from secreg_host.images.survey import NONE, Entry
from secreg_host.images.targets import Target

BACK = "bring back what it was: secure-registry images check --repair"


def plan(tree: Tree, target: Target, tag: str) -> Entry:
    """What `tag` would be, if it were what `target` is. Raises OSError."""
    one = Repository(tree, target.repository)
    see = f"see which there are: secure-registry images list {target.repository} --untagged"
    try:
        digest = target.digest or layout.linked(one.current(target.tag))
    except Malformed as error:
        return "wrong", str(target), f"it says nothing: {error.what}", BACK
    if digest is None:
        return "wrong", str(target), "there is no such tag", see
    if not os.path.lexists(one.revision(digest)):
        return "wrong", str(target), "its manifest is not there", see
    return "tagged", one.name, tag, digest, _before(one, tag)


def _before(one: Repository, tag: str) -> str:
    try:
        return layout.linked(one.current(tag)) or NONE
    except Malformed:
        return ""


def give(tree: Tree, target: Target, planned: Entry) -> Iterator[Entry]:
    """Do what was `planned` of `target`, if that would be the same by now; what it needs comes back from the trash, for
    it may have been about to go. Raises OSError."""
    _, name, tag, digest, _ = planned
    with flight.turn(tree, name, tag, flight.SECONDS) as is_ours, flight.putting(tree, name):
        if not is_ours or plan(tree, target, tag) != planned:
            hint = f"see what it is now, and try again: secure-registry images show {name}:{tag}"
            yield "wrong", f"{name}:{tag}", "somebody changes it", hint
        elif why := _lacking(tree, name, digest):
            yield "wrong", str(target), why, "see what is broken: secure-registry images check"
        else:
            _write(Repository(tree, name), tag, digest)
            yield planned


def _lacking(tree: Tree, name: str, digest: str) -> str:
    """What keeps manifest `digest` from being whole; "": nothing does."""
    try:
        lacking = bringing.named(tree, name, sighting.manifest(tree, digest))
    except Unreadable as error:
        return f"its manifest can't be read: {error}"
    if lacking:
        return f"it is not whole: {lacking[0]} is not there"
    return "" if bringing.itself(tree, name, digest) else "its manifest is not there"


def _write(one: Repository, tag: str, digest: str) -> None:
    for link in (one.once(tag, digest), one.current(tag)):
        moving.made(str(Path(link).parent), moving.MODE)
        if not linking.write_new(link, digest):
            linking.write(link, digest)
