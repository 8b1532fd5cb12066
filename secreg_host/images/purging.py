"""Bytes that no link names any more, and how they go, while the registry writes.

Never is it looked first and removed then: the registry keeps bytes that are there and writes only the link, so a push
can be acknowledged in between. Bytes are moved away first (`away`). Then all is waited for that may have seen them,
and all links are looked at again (`settle`): what one of them names comes back, and the rest goes. Who pushes meanwhile
does not find them, and writes its own.

A run that was killed leaves bytes in `purging`; the next one puts them all back, where they may be found spare again.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from secreg_host.base.marks import Stamp
from secreg_host.images import clocks, flight, tidying
from secreg_host.images.driver import Driver, Move
from secreg_host.images.filesystem import AWAY, FOLDER, REST
from secreg_host.images.layout import Tree
from secreg_host.images.trash import Trash

AT_ONCE = 256
"""Bytes that are moved away while manifests wait for it."""


@dataclass(frozen=True)
class Purge:
    """Bytes of the store `tree` that are on their way out."""

    tree: Tree

    @property
    def path(self) -> str:
        """Where they are."""
        return f"{self.tree.base}/{FOLDER}/{AWAY}"

    @functools.cached_property
    def driver(self) -> Driver:
        """By what they go there, and come back."""
        return Trash(self.tree).driver

    def place(self, digest: str) -> str:
        """Where the bytes of `digest` are."""
        return f"{self.path}/{digest.replace(':', '-')}"

    def spare(self, old: Callable[[Stamp], bool], kept: Container[str]) -> Iterator[tuple[str, Stamp]]:
        """The bytes that are not among `kept`, which links name now, and which are `old`, each with its stamp."""
        quiet = clocks.older(Trash(self.tree).now(), clocks.QUIET)
        for digest in self.tree.places():
            if digest in kept:
                continue
            if self.tree.size(digest) is None:
                tidying.removed(str(Path(self.tree.blob(digest)).parent), quiet)
            elif (stamp := self.driver.stamp(self.tree.blob(digest))) and old(stamp):
                yield digest, stamp

    def away(self, found: Iterable[tuple[str, Stamp]]) -> list[str]:
        """Move away the bytes of each that is as it was seen; those that went. What a manifest named since is not as it
        was, and none is on its way meanwhile: nobody is refused for what went, or finds it missing."""
        moves = {Move(self.tree.blob(digest), self.place(digest), stamp): digest for digest, stamp in found}
        todo, went = iter(moves), list[Move]()
        while some := list(itertools.islice(todo, AT_ONCE)):
            with flight.still(self.tree, flight.BLOBS, flight.BUSY_SECONDS) as still:
                went += self.driver.hide(some) if still else ()
        return [moves[one] for one in went]

    def there(self) -> list[str]:
        """What is on its way out, of this run or of one that was killed."""
        return [name.replace("-", ":", 1) for name in _names(self.path) if not name.startswith(REST)]

    def back(self, digest: str) -> bool:
        """Bring the bytes of `digest` back; whether there are any now. What was written anew stays."""
        return self.driver.restore(self.place(digest), self.tree.blob(digest))

    def settle(self, kept: Container[str]) -> tuple[int, int, list[str]]:
        """Look again: how many went for good, their bytes, and which came back, for they are among `kept`, which links
        name by now. Nothing may be under way any more that saw them before they were moved."""
        count, size, back = 0, 0, []
        for digest in self.there():
            if digest in kept:
                self.back(digest)
                back.append(digest)
                continue
            if (length := self.driver.purge(self.place(digest))) is not None:
                count, size = count + 1, size + length
        return count, size, back

    def undo(self) -> list[str]:
        """Bring back all that a run left that was killed; and remove directories that it had moved away."""
        found = self.there()
        for digest in found:
            self.back(digest)
        for name in _names(self.path):
            if name.startswith(REST):
                shutil.rmtree(f"{self.path}/{name}", ignore_errors=True)
        return found


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []
