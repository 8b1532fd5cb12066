"""Hiding what is spare in a repository, and looking again: whatever came to need it meanwhile has it back.

Between the look by which a link is spare and the moment it goes, a push can come to need it. So there are two looks:
the first says what goes; the second, after every push that can have seen the link has ended, brings back what a
manifest names that is there by then, and what was written while it went.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from secreg_host.base.marks import Stamp
from secreg_host.images import flight, marking, sighting
from secreg_host.images.layout import Repository, Tree
from secreg_host.images.manifests import Manifest
from secreg_host.images.marking import Spare
from secreg_host.images.trash import LAYER, REVISION, TAG, Item, Run, Trash


@dataclass
class Hidden:
    """What one run hid: by repository each item with the stamp that its link had."""

    trash: Trash
    run: Run
    items: dict[str, dict[Item, Stamp]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many links."""
        return sum(map(len, self.items.values()))

    def hide(self, repository: str, spare: Spare) -> bool:
        """Hide what is `spare` of a repository; False: manifests keep coming there."""
        with flight.still(self.trash.tree, repository, flight.BUSY_SECONDS) as still:
            if still:
                went = self.items.setdefault(repository, {})
                for kind, seen in ((REVISION, spare.revisions), (LAYER, spare.layers)):
                    for item in self.trash.hide(self.run, repository, kind, seen):
                        went[item] = seen[item.name]
        return still

    def look_again(self) -> list[Item]:
        """Bring back what is needed by now; what came back."""
        found = [item for one in self.items for item in again(self.trash, one, self.items[one], self._written)]
        for item in found:
            del self.items[item.repository][item]
        return found

    def undo(self) -> list[Item]:
        """Bring back all of it."""
        found = [item for one in self.items.values() for item in one]
        for item in found:
            self.trash.back(item)
        self.items.clear()
        return found

    def _written(self, item: Item) -> bool:
        seen = self.items[item.repository][item]
        found = self.trash.driver.stamp(self.trash.place(item))
        return found is not None and not seen.is_same(found)


def again(trash: Trash, repository: str, hidden: Iterable[Item], written: Callable[[Item], bool]) -> list[Item]:
    """Bring back what is needed by now of what is `hidden` of a repository, or was written since; what came back."""
    links = [item for item in hidden if item.kind != TAG]
    if not links:
        return []
    tree = trash.tree
    sight = sighting.look(Repository(tree, repository))
    gone = [item.name for item in links if item.kind == REVISION]
    needed = marking.wanted_back(sight, gone, reader(tree))
    back = []
    for item in links:
        names = None if needed is None else needed.revisions if item.kind == REVISION else needed.blobs
        if names is None or item.name in names or written(item):
            trash.back(item)
            back.append(item)
    return back


def go_on(trash: Trash, run: Run) -> list[Item]:
    """The same for a `run` that was killed before it looked again; what was written since it began counts as needed."""
    trash.mend(run)
    back: list[Item] = []
    for repository in list(trash.repositories(run)):
        back += again(trash, repository, list(trash.items(run, repository)), lambda item: _since(trash, item, run))
    trash.close(run)
    return back


def undo(trash: Trash, run: Run) -> list[Item]:
    """Bring back all that a `run` hid that was killed before it looked again."""
    trash.mend(run)
    back = [item for item in list(trash.all([run])) if item.kind != TAG and trash.back(item)]
    trash.close(run)
    return back


def _since(trash: Trash, item: Item, run: Run) -> bool:
    found = trash.driver.stamp(trash.place(item))
    return found is not None and found.written >= run.made * 10**9


def reader(tree: Tree) -> Callable[[str], Manifest]:
    """What says what a manifest of the store names."""
    return lambda digest: sighting.manifest(tree, digest)
