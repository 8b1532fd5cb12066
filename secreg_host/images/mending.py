"""Tags that say nothing any more: `current/link` is empty, odd or away, as a push to a full disk leaves it. What such a
tag was is in its history, with dates, if these still say something: after a copy (cp -r) all are of one moment."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from secreg_host.images import layout, linking
from secreg_host.images.layout import Malformed, Repository, Tree

CLEAR = 3
"""Seconds by which one entry must be newer than any other one: dates are whole seconds, and a copy takes a moment."""


class Was(NamedTuple):
    """What a tag was, since when (seconds since the epoch), and whether that manifest is still there, and its entry as
    the registry wrote it."""

    digest: str
    seconds: int
    whole: bool


def is_cut(one: Repository, tag: str) -> bool:
    """Whether `tag` is there, and says nothing."""
    try:
        return layout.linked(one.current(tag)) is None and Path(one.tagged, tag).is_dir()
    except Malformed:
        return True


def history(one: Repository, tag: str) -> list[Was]:
    """What `tag` ever was, the newest first. Raises OSError."""
    found = []
    for link in one.history(tag):
        digest, seconds = layout.digest_of(link), layout.written(link)
        if seconds is not None:
            there = _is(link, digest) and _is(one.revision(digest), digest) and one.tree.size(digest) is not None
            found.append(Was(digest, seconds, there))
    return sorted(found, key=lambda was: -was.seconds)


def newest(found: Sequence[Was]) -> str:
    """What a tag with such a history is without doubt; "": somebody must say it. Pure."""
    if not found or not found[0].whole:
        return ""
    return found[0].digest if len(found) == 1 or found[0].seconds >= found[1].seconds + CLEAR else ""


def mend(one: Repository, tag: str, digest: str) -> str:
    """Let `tag` be `digest`, unless it is something by now; what it is then ("": it was deleted). Raises
    OSError, Malformed.

    A push may come meanwhile. It writes its entry of the history before it writes what the tag is; so whatever entry is
    there afterwards that was not before is of one that may have been written over, and is what the tag is.
    """
    before = set(history(one, tag))
    if not is_cut(one, tag):
        return layout.linked(one.current(tag)) or ""
    try:
        _write(one.current(tag), digest)
        while new := [was for was in history(one, tag) if was not in before and was.whole]:
            before.update(new)
            digest = new[0].digest
            _write(one.current(tag), digest)
    except FileNotFoundError:
        return ""
    return digest


def _write(link: str, digest: str) -> None:
    Path(link).parent.mkdir(exist_ok=True)
    linking.write(link, digest)


def _is(link: str, digest: str) -> bool:
    try:
        return layout.linked(link) == digest
    except (Malformed, OSError):
        return False


class Cut(NamedTuple):
    """A tag that says nothing, and what it was."""

    repository: str
    tag: str
    was: tuple[Was, ...]


def cut(tree: Tree, tags: Iterable[tuple[str, str]]) -> Iterator[Cut]:
    """Those of the `tags`, each with its repository, that say nothing, as far as that can be read."""
    for name, tag in tags:
        one = Repository(tree, name)
        with contextlib.suppress(OSError):
            if is_cut(one, tag):
                yield Cut(name, tag, tuple(history(one, tag)))
