"""The driver of images on a file system: so far the half that reads."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from secreg_host.base import marks
from secreg_host.images import layout
from secreg_host.images.driver import Seen, Space
from secreg_host.images.layout import HERE, Tree


@dataclass(frozen=True)
class Filesystem:
    """The store of `tree`; since: when looking began, by the clock of files."""

    tree: Tree = HERE
    since: float = field(default_factory=time.time)

    def list(self, folder: str) -> list[str]:
        """The names of the directories in `folder`; no link is one."""
        return layout.inside(folder)[0]

    def look(self, key: str) -> Seen | None:
        """What is at `key`, which is not opened, and not followed if it is a link."""
        try:
            found = os.lstat(key)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Seen(found.st_size, int(found.st_mtime), marks.stamp_of(found).lasting(self.since))

    def read(self, key: str, limit: int) -> bytes | None:
        """The first `limit` bytes of the regular file `key`; None: there is none."""
        try:
            found = layout.content(key, limit)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return None if found is None else found[0]

    def space(self) -> Space | None:
        """What the file system has, and what its ordinary users may still use of it."""
        found = os.statvfs(self.tree.root)
        return Space(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)
