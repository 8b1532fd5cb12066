"""Bringing back from the trash what a manifest names, when it is pushed, or undeleted.

A seam for the manifest service, within `flight.putting`: a client that was told that a blob is there skips its upload,
so the manifest that names the blob has it back, and the links and bytes that are still there are renewed in date: the
collector, which has seen them before, leaves them alone then.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence

from secreg_host.images import linking, sighting
from secreg_host.images.layout import Repository, Tree
from secreg_host.images.manifests import Manifest, Unreadable
from secreg_host.images.purging import Purge
from secreg_host.images.trash import LAYER, REVISION, Trash


def named(tree: Tree, repository: str, found: Manifest) -> tuple[str, ...]:
    """Bring back what manifest `found` names to `repository`, with all that its children name; what is there neither
    in the store nor in the trash."""
    _linked(tree, repository, LAYER, found.foreign)
    lacking = _linked(tree, repository, LAYER, found.blobs)
    todo, seen = [*found.children], set[str]()
    while todo:
        child = todo.pop()
        if child in seen:
            continue
        seen.add(child)
        if _linked(tree, repository, REVISION, [child]) and _linked(tree, repository, LAYER, [child]):
            lacking.append(child)
            continue
        try:
            inner = sighting.manifest(tree, child)
        except Unreadable:
            continue  # a blob, of a cache
        lacking += _linked(tree, repository, LAYER, inner.blobs)
        _linked(tree, repository, LAYER, inner.foreign)
        todo += inner.children
    return tuple(dict.fromkeys(lacking))


def _linked(tree: Tree, repository: str, kind: str, digests: Sequence[str]) -> list[str]:
    """Have the links of `digests`, and their bytes; those that are in no place."""
    if not digests:
        return []
    one, trash, purge = Repository(tree, repository), Trash(tree), Purge(tree)
    home = one.layer if kind == LAYER else one.revision
    away = [digest for digest in digests if not _renewed(home(digest))]
    found = trash.find(repository, kind, away) if away else {}
    back = {digest for digest in away if digest in found and trash.back(found[digest])}
    lacking = [digest for digest in away if digest not in back and not os.path.lexists(home(digest))]
    for digest in [one for one in digests if one not in lacking]:
        if not _renewed(tree.blob(digest)) and not purge.back(digest):
            lacking.append(digest)
        elif _is_cut(home(digest), digest) and linking.is_right(tree.blob(digest), digest):
            linking.write_again(home(digest), digest)
    return lacking


def _is_cut(link: str, digest: str) -> bool:
    """Whether `link` can't be what it was: a full disk leaves such. Then the front gives out the blob, whose name says
    what it is, so clients skip its upload; and the registry would not take what names it."""
    try:
        return os.lstat(link).st_size != len(digest)
    except FileNotFoundError:
        return False


def _renewed(path: str) -> bool:
    """Let the file at `path` be changed as of now, with the date at which it was written; False: it is not there. What
    belongs to somebody else is there, and stays as it was."""
    try:
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        with contextlib.suppress(PermissionError):
            os.chmod(path, mode)  # noqa: PTH101
    except FileNotFoundError:
        return False
    return True


def itself(tree: Tree, repository: str, digest: str) -> bool:
    """Bring back manifest `digest`, which is pushed again: what the registry has, it keeps; whether it is there."""
    return not _linked(tree, repository, REVISION, [digest])
