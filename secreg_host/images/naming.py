"""What the links of a store name, by looks each of which reads only what changed since the one before.

A repository is as it was while the directories are in which names of links come and go, by inode and times. That tells
nothing of a link that comes back to its old place, so it counts only where each place had its link; and nothing where
a directory changed so lately that another change might not show. So more may seem to be named than is (a link that was
removed since), never less. What lies on a network file system or FUSE is read each time.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from secreg_host.base import distant, marks
from secreg_host.images import layout
from secreg_host.images.clocks import SECOND
from secreg_host.images.layout import ALGORITHMS, Repository, Tree
from secreg_host.images.trash import Trash

FOLDERS = [
    f"{kind}{inner}"
    for kind in ("_layers", "_manifests/revisions")
    for inner in ("", *(f"/{algorithm}" for algorithm in ALGORITHMS))
]
"""In these of a repository names of links come and go."""


class Digests:
    """A set of digests that takes little room: of each its first digits. Two with the same are one, so that something
    may seem to be named that is not, never the other way."""

    DIGITS = 15

    def __init__(self, digests: Iterable[str] = ()) -> None:
        self.known = {self._short(one) for one in digests}

    def add(self, digests: Iterable[str]) -> None:
        """These, too."""
        self.known.update(map(self._short, digests))

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and self._short(digest) in self.known

    def _short(self, digest: str) -> int:
        return int(digest[7 : 7 + self.DIGITS], 16)


@dataclass
class Naming:
    """Looks at the store `tree`. named: what links were seen to name; seen: the mark that each repository had then;
    since: what was changed later, by the file system's clock, may change again and look the same."""

    tree: Tree
    named: Digests = field(default_factory=Digests)
    seen: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.since = Trash(self.tree).now() - int(marks.COARSE * SECOND)
        self.tells = not distant.below(Path(os.path.realpath(self.tree.root)))

    def mark(self, one: Repository) -> int:
        """Another one whenever names of links came into the repository `one`, or went; 0: that can't be told."""
        found: list[int] = []
        for folder in FOLDERS if self.tells else ():
            try:
                status = os.lstat(f"{one.path}/{folder}")
            except (FileNotFoundError, NotADirectoryError):
                found.append(0)
                continue
            stamp = marks.stamp_of(status)
            if stamp.changed > self.since or not stat.S_ISDIR(status.st_mode):
                return 0
            found += stamp
        return hash(tuple(found)) if self.tells else 0

    def add(self, name: str, mark: int, digests: Iterable[str]) -> None:
        """The links of repository `name`, which had that `mark` before, name `digests`; each place has its link."""
        if mark:
            self.seen[name] = mark
            self.named.add(digests)

    def look(self) -> Digests:
        """What any link names now, of a repository or in the trash, or named before. Raises OSError where a directory
        can't be read."""
        for one in self.tree.repositories(_refused):
            mark = self.mark(one)
            if not mark or self.seen.get(one.name) != mark:
                self._read(one, mark)
        self.named.add(Trash(self.tree).digests())
        return self.named

    def _read(self, one: Repository, mark: int) -> None:
        self.seen.pop(one.name, None)
        places = [*one.layers(), *one.revisions()]
        links = [link for link in places if os.path.lexists(link)]
        self.named.add(map(layout.digest_of, links))
        for tag in one.tags():  # a tag whose manifest has no link is broken; its bytes mend it
            with contextlib.suppress(layout.Malformed):
                self.named.add(filter(None, [layout.linked(one.current(tag))]))
        if len(links) == len(places):
            self.add(one.name, mark, ())


def _refused(error: OSError) -> None:
    """What can't be read, or is a link that leads elsewhere, may name anything."""
    raise error
