"""What is done with a manifest that somebody writes or deletes; in a thread, for all of it waits for disks and sockets.

A PUT: under the lock of its repository, against the collector, it is asked whether it may be (`DECISIONS`), what the
manifest names is brought back from the trash, and the registry takes it; what it answers is completed. A DELETE goes to
the trash, once the registry was asked, about a manifest that nobody has, whether it lets this one delete at all: it has
the last word on `delete: enabled`, on read-only maintenance, and on passwords of its own.

Where the images are not ours, all but that is the same: requests are passed on.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from secreg_host.images import bringing, flight, layout, manifests
from secreg_host.images.layout import Repository, Tree
from secreg_host.images.manifests import Manifest, Unreadable
from secreg_host.push import answers, trashed, upstream
from secreg_host.push.answers import Answer
from secreg_host.push.asked import Asked
from secreg_host.push.trashed import Runs

log = logging.getLogger(__name__)

DECISIONS: tuple[Callable[[Asked], Answer | None], ...] = ()
"""What may refuse a request, by what is asked and what the registry has; the first refusal is the answer. They are
asked under the lock, so that what they find holds until the registry has answered. (Rights, quotas and tags that must
not move belong here.)"""

COMPLETIONS: tuple[Callable[[Asked, Answer], Answer], ...] = ()
"""What makes more of an answer of the registry's, still under the lock. (What OCI says of a subject belongs here.)"""

NOBODY = f"sha256:{64 * '0'}"
"""The digest of what nobody has."""

SMALL = 256 * 1024
"""Bytes of a manifest of which many may be read at a time: in memory they are thirty times as much, at the worst."""

UNSEEN = {errno.EROFS, errno.ESTALE, errno.ENOTCONN}
"""Why a store can't be written that was there when the service was started: another one is in its place by now."""

RUNS = Runs()
_large = threading.Lock()


class Stale(Exception):
    """This process does not see the store, or the registry, where it is by now: one that is started now may."""


def done(asked: Asked) -> Answer:
    """Do what is asked, and how that is answered. Raises Stale."""
    tree = _tree(asked)
    try:
        if asked.method == "PUT":
            return _put(asked, tree)
        return _pass(asked) if tree is None else _delete(asked, tree)
    except upstream.Walled as error:
        raise Stale(str(error)) from error


def _tree(asked: Asked) -> Tree | None:
    """The store that is ours to write; None: the registry does all of it."""
    behind = asked.behind
    if not behind.store:
        return None
    if behind.mark and not _regular(f"{behind.store}/{behind.mark}"):
        raise Stale(f"{behind.store} is not the store that serves")
    tree = _at(behind.store)
    return tree if tree.base.is_dir() else None  # nothing was ever pushed


@functools.lru_cache(8)
def _at(store: str) -> Tree:
    return Tree(Path(store))


def _regular(path: str) -> bool:
    with contextlib.suppress(OSError):
        return stat.S_ISREG(os.lstat(path).st_mode)
    return False


def decided(asked: Asked) -> Answer | None:
    """The first refusal."""
    return next((said for decide in DECISIONS if (said := decide(asked)) is not None), None)


def completed(asked: Asked, answer: Answer) -> Answer:
    """What the client is told of what the registry answered."""
    for complete in COMPLETIONS:
        answer = complete(asked, answer)
    return answer


def _put(asked: Asked, tree: Tree | None) -> Answer:
    with _on_its_way(asked, None if asked.behind.readonly else tree) as ours:
        if refusal := decided(asked):
            return refusal
        if ours is None:
            return _pass(asked)
        with upstream.begun(asked):
            _bring_back(asked, ours)
            was = _was(asked, ours)
            return replace(_pass(asked), was=was)


def _was(asked: Asked, tree: Tree) -> str:
    """The digest of what the tag is before it is written; "": there is no such tag, or it says nothing."""
    with contextlib.suppress(OSError, layout.Malformed):
        if tag := asked.target.tag:
            return layout.linked(Repository(tree, asked.repository).current(tag)) or ""
    return ""


def _pass(asked: Asked) -> Answer:
    return completed(asked, upstream.ask(asked))


@contextlib.contextmanager
def _on_its_way(asked: Asked, tree: Tree | None) -> Iterator[Tree | None]:
    """The locks against who gives that tag by hand, and against who hides links, where there are such. Without them
    nothing is lost: he looks again."""
    with contextlib.ExitStack() as held:
        with _store():
            if tree is not None and asked.target.tag:
                held.enter_context(flight.turn(tree, asked.repository, asked.target.tag))
            if tree is not None:
                held.enter_context(flight.putting(tree, asked.repository))
        yield tree


@contextlib.contextmanager
def _store() -> Iterator[None]:
    """What can't be done in the store keeps no push away: a full disk, or one that fails, the registry tells itself.
    Raises Stale."""
    try:
        yield
    except OSError as error:
        if error.errno in UNSEEN:
            raise Stale(str(error)) from error
        log.warning(f"the store can't be prepared for a push: {error}")


def _bring_back(asked: Asked, tree: Tree) -> None:
    """Bring back what the manifest names, and itself; the registry says what is lacking."""
    found = _read(asked.body)
    if found is None:
        return  # which the registry says
    with _store():
        bringing.named(tree, asked.repository, found)
        for digest in asked.digests:
            bringing.itself(tree, asked.repository, digest)


def _read(body: bytes) -> Manifest | None:
    with contextlib.suppress(Unreadable), _large if len(body) > SMALL else contextlib.nullcontext():
        return manifests.read(body)
    return None


def _delete(asked: Asked, tree: Tree) -> Answer:
    if refusal := decided(asked):
        return refusal
    first = upstream.ask(asked, NOBODY)
    if first.status != 404 or (first.codes and not {*first.codes} & {"MANIFEST_UNKNOWN", "NAME_UNKNOWN"}):
        return first
    entries = trashed.plan(tree, asked.target)
    if not entries:
        return _unknown(asked, tree).like(first)
    try:
        gone = RUNS.move(tree, entries, f"DELETE of user {asked.user}")
    except OSError as error:
        if error.errno in UNSEEN:
            raise Stale(str(error)) from error
        log.warning(f"the trash can't be written: {error}")
        return answers.away("the trash can't be written now").like(first)
    if not gone:
        return _unknown(asked, tree).like(first)
    digest = asked.target.digest or entries[0][-1]
    if asked.target.digest:
        upstream.ask(asked)  # what it remembers of it, it forgets
    return completed(asked, answers.accepted("" if digest == trashed.NONE else digest).like(first))


def _unknown(asked: Asked, tree: Tree) -> Answer:
    name = asked.repository
    if not os.path.lexists(Repository(tree, name).path):
        return answers.refusal(404, "NAME_UNKNOWN", "there is no such repository", {"name": name})
    return answers.refusal(404, "MANIFEST_UNKNOWN", "there is no such manifest", {"reference": asked.reference})
