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
    if not found:
        return None
    what = f"the registry (user {account.name}) can't write {Path(root) / found}: pushes fail"
    return what, imagesplace.remedy(account, root)


def _first_wrong() -> str:
    """The first of the sample, below the working directory, that the present user has not all rights to, or "". Where
    nobody can write, which a sandbox sees of home directories, that says nothing."""
    if os.statvfs(".").f_flag & os.ST_RDONLY:
        return ""
    due = waiting.within(SECONDS)
    for path, rights in itertools.islice(_sample(), ALL):
        if due.over:
            break
        if not os.access(path, rights) and os.access(path, os.F_OK):  # what is gone says nothing: uploads come and go
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
