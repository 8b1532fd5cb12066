"""What clients delete, on its way to the trash. A cleanup by thousands of requests is a few runs in the trash, and not
thousands: what the same user deletes within half an hour is of one run, as far as nothing of it is in there already."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from secreg_host.base import waiting
from secreg_host.base.waiting import Deadline
from secreg_host.images import deleting, layout, trash
from secreg_host.images.layout import Repository, Tree
from secreg_host.images.survey import NONE, Entry
from secreg_host.images.targets import Target
from secreg_host.images.trash import LAYER, REVISION, TAG, Item, Run, Trash

SECONDS = 1800.0
"""Less than an empty run is left in peace (clocks.QUIET)."""

KINDS = {"tag": TAG, "revision": REVISION, "layer": LAYER}


def plan(tree: Tree, target: Target) -> list[Entry]:
    """What goes, as entries of `deleting`; none: it is not there. By its digest a manifest goes though an index names
    it: who asks by this API takes such apart one by one."""
    one = Repository(tree, target.repository)
    if target.tag:
        return _tag(one, target.tag) if os.path.isdir(f"{one.tagged}/{target.tag}") else []  # noqa: PTH112
    found = deleting.plan(tree, [target], apart=True) if os.path.lexists(one.revision(target.digest)) else []
    return [] if any(entry[0] == "wrong" for entry in found) else found


def _tag(one: Repository, tag: str) -> list[Entry]:
    try:
        digest = layout.linked(one.current(tag))
    except (layout.Malformed, OSError):
        digest = None
    return [("tag", one.name, tag, digest or NONE)]


class Runs:
    """Runs of the trash that clients' deletions are of, by the store and who deletes. For several threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.runs: dict[tuple[Tree, str], tuple[Run, Deadline]] = {}

    def move(self, tree: Tree, entries: Sequence[Entry], why: str) -> list[Entry]:
        """Move what was planned into the trash; what went."""
        there = Trash(tree)
        with self.lock:
            run, until = self.runs.get((tree, why), (None, waiting.within(0)))
            if run is None or until.over or not _takes(there, run, entries):
                run = there.begin(why, open=False)
                self.runs[tree, why] = run, waiting.within(SECONDS)
                self.runs = {key: one for key, one in self.runs.items() if not one[1].over}
        return list(deleting.delete(tree, entries, why, run, apart=True))


def _takes(there: Trash, run: Run, entries: Sequence[Entry]) -> bool:
    """Whether `run` is there still, and has nothing yet in the places of `entries`."""
    items = (Item(run.name, entry[1], KINDS[entry[0]], entry[2]) for entry in entries)
    known = Path(there.path, run.name, trash.RUN).exists()
    return known and not any(os.path.lexists(there.place(item)) for item in items)
