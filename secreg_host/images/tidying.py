"""Directories that nothing is in any more: without `_layers` a repository is in no catalogue."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable

from secreg_host.base import marks
from secreg_host.base.marks import Stamp
from secreg_host.images import layout
from secreg_host.images.layout import Repository, Tree

KINDS = ("_layers", "_uploads", "_manifests")
LEFT = re.compile(r"(link|data)\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp")
"""What a registry (distribution 3) writes before it renames it, and leaves where it is killed."""


def tidy(one: Repository, old: Callable[[Stamp], bool]) -> bool:
    """Remove what is empty of repository `one` and was so for a while (`old`); whether all of it went. A directory in
    which something is can't be removed (rmdir(2)), so nothing is lost; one in which the registry is about to write it
    would miss, which is why they must be old."""
    words = one.name.split("/")
    above = [one.path.removesuffix(one.name) + "/".join(words[:number]) for number in range(len(words), 0, -1)]
    stamps = [marks.stamp(path) for path in above]  # before what is in them goes, which is a change
    for kind in KINDS:
        _emptied(f"{one.path}/{kind}", old)
    for path, stamp in zip(above, stamps, strict=True):  # itself, and what is a repository above, or the way to one
        if stamp is None or not old(stamp) or not _removed(path):
            break
    return not os.path.lexists(one.path)


def gone(tree: Tree, one: Repository, old: Callable[[Stamp], bool]) -> list[str]:
    """Links of the history of the tags of repository `one` that are `old`, and of which there are no bytes any more, so
    that nothing can come of them. A registry writes one after the bytes, and after the link of the manifest."""
    found = []
    for link in (link for tag in one.tags() for link in one.history(tag)):
        digest = layout.digest_of(link)
        if tree.size(digest) is None and not os.path.lexists(one.revision(digest)):
            stamp = marks.stamp(link)
            if stamp is not None and old(stamp):
                found.append(link)
    return found


def forget(links: Iterable[str]) -> None:
    """Remove these `links`, each with its directory."""
    for link in links:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(link)  # noqa: PTH108
        _removed(os.path.dirname(link))  # noqa: PTH120


def _emptied(folder: str, old: Callable[[Stamp], bool]) -> None:
    """Remove `folder`, and what is below it, as far as nothing is in it, or what a registry left, and it is old."""
    stamp = marks.stamp(folder)  # before what is in it goes, which is a change
    if stamp is None:
        return
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        found = list(entries)
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                _emptied(entry.path, old)
        for entry in found if all(LEFT.fullmatch(entry.name) for entry in found) else ():
            _left(entry, old)
    if old(stamp):
        _removed(folder)


def _left(entry: os.DirEntry[str], old: Callable[[Stamp], bool]) -> None:
    """Remove what a registry left that was killed, if it is `old`."""
    if LEFT.fullmatch(entry.name) and (stamp := marks.stamp(entry.path)) and old(stamp):
        with contextlib.suppress(OSError):
            os.unlink(entry.path)  # noqa: PTH108


def removed(folder: str, old: Callable[[Stamp], bool]) -> bool:
    """Remove the directory `folder`, if it is empty and `old`; whether it went."""
    stamp = marks.stamp(folder)
    if stamp is None or not old(stamp):
        return False
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            _left(entry, old)
    return _removed(folder)


def _removed(folder: str) -> bool:
    try:
        os.rmdir(folder)  # noqa: PTH106
    except OSError:
        return False
    return True
