"""Whether the registry's user can write what is in its store: what root copied there can be read, and is refused when
somebody pushes. A sample is looked at, so that it takes no longer with more images."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from secreg_host.base import distant, waiting
from secreg_host.host.host import Host
from secreg_host.images import imagesplace
from secreg_host.images.readable import TREE

EACH, ALL = 16, 64
"""Entries of one directory, and of all, that are looked at ..."""

SECONDS = 0.25
"""... and for how long."""

DIRECTORY, FILE = os.R_OK | os.W_OK | os.X_OK, os.R_OK | os.W_OK


def wrong(host: Host, root: str) -> tuple[str, str] | None:
    """What the registry can't write, or read, in the directory `root`, and what to do; None: the sample is as it should
    be, or it took too long."""
    account = host.accounts.registry
    found = distant.ask_as(account.name, account.uid, account.gid, _first_wrong, Path(root))
    return told(host, root, found) if found else None


def told(host: Host, root: str, found: str, more: int = 0) -> tuple[str, str]:
    """That the registry can't write what is `found` in the directory `root`, and so many `more`, and what to do."""
    account, rest = host.accounts.registry, f" and {more} more" if more else ""
    what = f"the registry (user {account.name}) can't write {Path(root) / found}{rest}: pushes fail"
    return what, imagesplace.remedy(account, root)


def every() -> Iterator[str]:
    """All of the store in the working directory that the present user has not all rights to; as with the sample."""
    if os.statvfs(".").f_flag & os.ST_RDONLY:
        return
    pending = [Path(TREE).parts[0]]
    if _lacks(pending[0], DIRECTORY):
        yield pending[0]
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                if is_folder:
                    pending.append(entry.path)
                elif not entry.is_file(follow_symlinks=False):
                    continue
                if _lacks(entry.path, DIRECTORY if is_folder else FILE):
                    yield entry.path


def _lacks(path: str, rights: int) -> bool:
    """Whether these rights to `path` are not there; what is gone says nothing: uploads come and go."""
    return not os.access(path, rights) and os.access(path, os.F_OK)


def _first_wrong() -> str:
    """The first of the sample, below the working directory, that the present user has not all rights to, or "". Where
    nobody can write, which a sandbox sees of home directories, that says nothing."""
    if os.statvfs(".").f_flag & os.ST_RDONLY:
        return ""
    due = waiting.within(SECONDS)
    for path, rights in itertools.islice(_sample(), ALL):
        if due.over:
            break
        if _lacks(path, rights):
            return path
    return ""


def _sample() -> Iterator[tuple[str, int]]:
    """Paths of files and directories from the top down, a few of each directory, with the rights (access(2)) that the
    registry needs: it also writes links anew in place. Symbolic links are passed over."""
    tree = Path(TREE)
    below = [tree / "repositories", tree / "blobs/sha256"]
    for path in (*reversed(tree.parents[:-1]), tree, tree / "blobs", *below):
        if path.is_dir():
            yield str(path), DIRECTORY
    pending = deque(map(str, below))
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.popleft()) as entries:
            for entry in itertools.islice(entries, EACH):
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                    yield entry.path, DIRECTORY
                elif entry.is_file(follow_symlinks=False):
                    yield entry.path, FILE
