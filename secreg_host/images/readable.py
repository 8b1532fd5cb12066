"""Whether the front's user can read images: a sample of them is looked at, so that it takes no longer with more."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from secreg_host.base import distant, quoting
from secreg_host.host import views
from secreg_host.host.host import Host

TREE = "docker/registry/v2"
"""Below rootdirectory, since distribution's version 2 (registry/storage/paths.go)."""

LOOKED = 3
"""Samples that are taken before it is called unreadable: what is in one may just be removed."""

LOOKS = 100
"""Directories that are searched for a sample, and entries of each."""


def closed() -> bool:
    """Whether no link of the administrator's leads out of the store in the working directory, where it begins: one by
    which he keeps it elsewhere. All others, whoever took over the registry may have made."""
    below = ("blobs", "blobs/sha256", "blobs/sha512", "repositories")
    for path in ("docker", "docker/registry", TREE, *(f"{TREE}/{one}" for one in below)):
        with contextlib.suppress(OSError):
            found = os.lstat(path)
            if stat.S_ISLNK(found.st_mode) and found.st_uid == 0:
                return False
    return True


@dataclass(frozen=True)
class Wrong:
    """What keeps the front from sending images by itself: why, in short; what, in whole; and the remedy."""

    why: str
    what: str
    hint: str


def wrong(host: Host, root: Path) -> Wrong | None:
    """What keeps the front from sending the images below `root`; None: nothing, as far as the sample tells. What can't
    be read later is left to the registry, request by request. Raises SecregError when `root` does not answer."""
    return distant.ask(root, lambda: _unfit(host, root)) or _unread(host, root)


def _unfit(host: Host, root: Path) -> Wrong | None:
    """What is not as the registry makes it: links, and what a view does not show."""
    steps = itertools.accumulate(TREE.split("/"), lambda above, step: above / step, initial=root)
    for path in (*itertools.islice(steps, 1, None), root / TREE / "blobs", root / TREE / "repositories"):
        if path.is_symlink():
            hint = f"move the images below {root}, or name the directory as rootdirectory that docker/registry/v2 is in"
            return Wrong("a link in the storage", f"nginx follows no link in the storage, as {path} is", hint)
    if inner := views.hidden(host, root):
        hint = f"name a directory on the file system that is mounted at {inner} as rootdirectory"
        return Wrong("a mount in the storage", f"nginx does not see what is mounted at {inner}", hint)
    return None


def _unread(host: Host, root: Path) -> Wrong | None:
    """Whether the front's user can't read a sample of the images."""
    for _ in range(LOOKED):
        if _reads(host, root):
            return None
    quoted = quoting.shell(os.path.realpath(root))
    account = host.accounts.front
    hint = f"chgrp -hR {host.accounts.registry.name} {quoted} && chmod -R g+rX {quoted}"
    return Wrong("nginx can't read the storage", f"nginx (user {account.name}) can't read {root}", hint)


def _reads(host: Host, root: Path) -> bool:
    """Whether the front's user can read a sample of the images as they are now."""
    account = host.accounts.front
    sample = distant.ask(root, lambda: list(_samples(root)))
    start = root if views.used(host) else None  # a view begins there, whoever may go through what is above
    places = [(os.path.relpath(path, start) if start else str(path), right) for path, right in sample]

    def can_read() -> bool:
        return all(os.access(path, right) for path, right in places)

    return bool(distant.ask_as(account.name, account.uid, account.gid, can_read, start))


def _samples(root: Path) -> Iterator[tuple[Path, int]]:
    """The first file that is found for a blob, and for a repository, with the right (access(2)) that is needed."""
    for below in ("blobs", "repositories"):
        path = root
        for step in (*TREE.split("/"), below):
            if (path / step).is_dir():
                path /= step
        yield path, os.X_OK
        if path.name == below and (found := _first_file(path)):
            yield found, os.R_OK


def _first_file(directory: Path) -> Path | None:
    """A file below `directory`, if one turns up soon."""
    pending = [directory]
    for _ in range(LOOKS):
        if not pending:
            break
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in itertools.islice(entries, LOOKS):
                if entry.is_dir(follow_symlinks=False) and entry.name != "_uploads":
                    pending.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    return Path(entry.path)
    return None
