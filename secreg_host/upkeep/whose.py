"""Whose backups a directory has: of one instance on one machine. Of two, each would prune those of the other, and a
restore would bring back what was made last, whosever it is."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from secreg_host.base.errors import Note, Problem, bad_input
from secreg_host.upkeep import listing
from secreg_host.upkeep.listing import Damaged
from secreg_host.upkeep.place import Place

OPTION = "--take-over"


def check(place: Place, ours: Mapping[str, Any], *, take_over: bool) -> tuple[Problem, ...]:
    """Raise BadInput where the last backup of `place` is of another machine or instance than what is `ours` (see
    `about` of create), but to `take_over`; what else should be known."""
    theirs = _last(place)
    if theirs is None:
        return ()
    if not is_same(theirs, ours):
        if take_over:
            return ()
        what = f"has the backups of {_named(theirs)}, and this is {_named(ours)}"
        hint = f"name a directory of its own; or, if this one took the place of that one (restored here, say): {OPTION}"
        raise bad_input(str(place.path), what, hint)
    if theirs.get("host") != ours.get("host"):
        what = f"the last backup was made as {theirs.get('host')}, and this is {ours.get('host')}"
        hint = "well, if it was renamed; of a copy of that machine, make the id another one, and name another directory"
        return (Note(str(place.path), what, f"{hint}: see machine-id(5)"),)
    return ()


def is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two backups are of the same instance, by what they say of themselves; by the names of hosts where the id
    of a machine is not known. Pure."""
    if one.get("root") != other.get("root"):
        return False
    machines = one.get("machine"), other.get("machine")
    return machines[0] == machines[1] if all(machines) else one.get("host") == other.get("host")


def _last(place: Place) -> Mapping[str, Any] | None:
    """What the newest backup of `place` that can be read says of itself."""
    for name in reversed(place.names()):
        with contextlib.suppress(Damaged, OSError):
            return listing.about(place.lists / name)
    return None


def _named(about: Mapping[str, Any]) -> str:
    """Of what a backup is, for people."""
    root = f", below {about.get('root')}" if about.get("root") != "/" else ""
    return f"{about.get('host')} (machine {str(about.get('machine'))[:8] or 'without an id'}{root})"
