"""The driver of images on a file system, so that neither a kill nor a power cut leaves a file without any name.

A file gets its second name first, which is on disk before the first one goes (see moving). A folder goes at once, by a
rename to a place from which it is removed then.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from secreg_host.base import marks
from secreg_host.base.marks import Stamp
from secreg_host.images import layout, moving
from secreg_host.images.driver import Move, Seen, Space
from secreg_host.images.layout import HERE, Tree

FOLDER, AWAY, REST = "_trash", "purging", "rest-"
"""The trash of a store; where in it something is on its way out; and how the name of a directory begins that is to be
removed there."""

MODE = 0o700
"""Of directories in the trash."""


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

    def mark(self, keys: Iterable[str]) -> str:
        """The same of all of them."""
        return marks.of_all(keys, self.since)

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

    def stamp(self, key: str) -> Stamp | None:
        """By lstat(2): the same under each name of a file."""
        return marks.stamp(key)

    def hide(self, moves: Iterable[Move]) -> Sequence[Move]:
        """All have their second names before one loses its first."""
        moves = [one for one in moves if marks.stamp(one.key) == one.seen]
        for folder in _folders(moves):
            moving.made(folder, MODE)
        moves = [one for one in moves if moving.second(one.key, one.name)]
        moving.synced(_folders(moves))
        return [one for one in moves if self._hide(one)]

    def _hide(self, one: Move) -> bool:
        """Take its first name from what has its second one, if it is what was seen."""
        if not one.seen.is_same(marks.stamp(one.key)) or not moving.away(one.key, one.name):
            if os.path.lexists(one.key):  # else it may be the last name, where there are no second ones
                self.purge(one.name)
            return False
        if not one.seen.is_same(marks.stamp(one.name)):  # written since the look: the same file, or one renamed
            self.restore(one.name, one.key)
            return False
        return True

    def restore(self, name: str, key: str) -> bool:
        """The file has its first name again, on disk, before it loses that in the trash."""
        Path(key).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(name, key, follow_symlinks=False)
        except FileExistsError:
            pass
        except FileNotFoundError:
            return os.path.lexists(key)
        except OSError as error:
            if error.errno not in moving.NO_LINKS:
                raise
            os.rename(name, key)  # noqa: PTH104 (paths are text: there are many)
        moving.synced([str(Path(key).parent)])
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108
        return True

    def purge(self, name: str) -> int | None:
        """What another name holds is not freed by that."""
        try:
            size = os.lstat(name).st_size
            os.unlink(name)  # noqa: PTH108
        except FileNotFoundError:
            return None
        return size

    def move_folder(self, source: str, target: str, last: str) -> bool:
        """Its files have second names below `target` first; then it goes as a whole."""
        try:
            self._second(source, target, last)
        except FileNotFoundError:
            return False
        return self.purge_folder(source)

    def _second(self, source: str, target: str, last: str) -> None:
        """Give each file below `source` the same name below `target`, too, on disk. Raises FileNotFoundError where
        there is no such directory."""
        found = [os.path.relpath(f"{folder}/{name}", source) for folder, _, names in os.walk(source) for name in names]
        if not found:
            os.rmdir(source)  # noqa: PTH106 (an empty one is none)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source)
        is_trash = target.startswith(f"{self.tree.base}/{FOLDER}/")
        moving.made(str(Path(target).parent), MODE if is_trash else moving.MODE)
        for name in sorted(found, key=lambda name: (name == last, name)):
            folder = str(Path(target, name).parent)
            moving.made(folder, moving.MODE)
            moving.second(f"{source}/{name}", f"{target}/{name}")
            if not os.path.lexists(f"{target}/{name}"):
                shutil.copy2(f"{source}/{name}", f"{target}/{name}", follow_symlinks=False)  # no second names there
            moving.synced([folder])

    def purge_folder(self, folder: str) -> bool:
        """Away at once, wherever we are killed."""
        away = f"{self.tree.base}/{FOLDER}/{AWAY}"
        moving.made(away, MODE)
        aside = f"{away}/{REST}{secrets.token_hex(8)}"
        try:
            os.rename(folder, aside)  # noqa: PTH104
        except FileNotFoundError:
            return False
        moving.synced([str(Path(folder).parent)])
        shutil.rmtree(aside, ignore_errors=True)
        return True


def _folders(moves: Iterable[Move]) -> list[str]:
    """The directories that they go to."""
    return sorted({one.name.rpartition("/")[0] for one in moves})
