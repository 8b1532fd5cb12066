"""How the command tells of backups: as text, and as JSON."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from secreg_host.apply import report as reports
from secreg_host.base import quoting
from secreg_host.base.errors import Note, Problem
from secreg_host.command import printing
from secreg_host.command.amounts import bytes_of, numbered
from secreg_host.generation import generations
from secreg_host.host.host import Host
from secreg_host.upkeep import place as places
from secreg_host.upkeep.create import Made
from secreg_host.upkeep.judging import Broken
from secreg_host.upkeep.place import Place
from secreg_host.upkeep.prune import Plan
from secreg_host.upkeep.verify import Verdict
from secreg_host.wanted.parts import users

COUNTED = {"repository": "repositories", "tag": "tags", "revision": "manifests", "blob": "blobs"}
"""Of the entries of a list, what is told how many there are, and by what name."""

SHOWN = 20
"""Images of which it is told what is wrong, where there are more."""


def contents(counts: Counter[str], size: int) -> str:
    """What is in a backup."""
    if not counts["repository"]:
        return "no images"
    return ", ".join(numbered(counts[word], name) for word, name in COUNTED.items()) + f" ({bytes_of(size)})"


def made(found: Made, place: Place, *, as_json: bool, sealed: bool) -> None:
    """That a backup was made."""
    if as_json:
        numbers = {name: found.counts[word] for word, name in COUNTED.items()}
        said: dict[str, Any] = {"name": found.name, "place": str(place.path), **numbers, "bytes": found.size}
        said |= {"new_blobs": found.new, "new_bytes": found.new_size, "gone": found.gone}
        said |= {"broken": _dicts(found.broken), "problems": [_problem(one) for one in found.problems]}
        print(json.dumps(said, indent=2))
        return
    printing.warnings(found.problems)
    hint = "push it again, or delete it; all else is in the backup"
    printing.warnings(problems(found.broken, "it is not whole in the store", hint))
    for tag in found.gone:
        print(f"left out: {tag}, deleted meanwhile")
    new = f"; new: {numbered(found.new, 'blobs')} ({bytes_of(found.new_size)})" if found.new else ""
    print(f"backup {found.name}: {contents(found.counts, found.size)}{new}")
    if sealed:
        print("keys and hashes of passwords are sealed: without the passphrase nobody can bring them back")
    else:
        print(f"keys and hashes of passwords are in it: keep {place.path} as you keep them")


def unserved(host: Host) -> tuple[Problem, ...]:
    """What is in the backup of /etc and does not serve, by the last apply: another host has no good version of it."""
    report = reports.load(host.paths)
    if not generations.current_name(host):
        return ()
    held = [one for one in report.findings if one.kind in ("rejected", "waiting") and one.part != users.NAME]
    hint = "mend it (what is wrong: secure-registry status), and back up again"
    told: dict[str, Problem] = {}
    for one in held:
        where = one.problem.where or one.part
        told[where] = Problem(where, "is in the backup as it is now, and does not serve: it is held back", hint)
    return tuple(told.values())


def directory(said: str) -> Path:
    """The directory that somebody `said`; nothing, such as a variable that is not set, is not the one where he is."""
    if not said:
        raise argparse.ArgumentTypeError("it is empty")
    return Path(said)


def unsealed(place: Place, name: str) -> tuple[Problem, ...]:
    """That backup `name` is not sealed, and the one before is."""
    before = [one for one in place.names() if places.order(one) < places.order(name)]
    if not before or not _is_sealed(place, before[-1]):
        return ()
    what = f"backup {before[-1]} there is sealed, and {name} is not: keys and hashes of passwords are in it"
    hint = f"with a passphrase: --encrypt; to remove it again: rm {quoting.shell(place.lists / name)}, and make another"
    return (Note(str(place.path), what, hint),)


def _is_sealed(place: Place, name: str) -> bool:
    return place.config(name).suffix == places.SEALED


def listed(place: Place, found: Sequence[Verdict], about: dict[str, dict[str, Any]], *, as_json: bool) -> None:
    """Which backups there are in `place`; about: what each says of itself."""
    if as_json:
        said = [_listed(one, about.get(one.name, {})) | {"sealed": _is_sealed(place, one.name)} for one in found]
        print(json.dumps(said, indent=2))
        return
    for one in found:
        told = about.get(one.name, {})
        of = f"of {told.get('host', '?')}, by version {told.get('version', '?')}"
        sealed = "; sealed" if _is_sealed(place, one.name) else ""
        print(f"{one.name}  {of}: {'; '.join(one.damaged) or contents(one.counts, one.size)}{sealed}")
    if not found:
        print("there is no backup yet")


def verified(found: Sequence[Verdict], *, as_json: bool) -> None:
    """What was proven, and what was not."""
    if as_json:
        print(json.dumps([_verdict(one) for one in found], indent=2))
        return
    for one in found:
        for line in _told(one):
            print(line)


def pruned(found: Plan, *, done: bool) -> None:
    """What was removed, or would be."""
    for name in found.remove:
        print(f"{'removed' if done else 'to be removed'}: {name}")
    freed = f"{numbered(found.blobs, 'blobs')} ({bytes_of(found.size)})"
    kept = numbered(len(found.keep), "backups")
    print(f"freed: {freed}; kept: {kept}" if done else f"to be freed: {freed}; to be kept: {kept}")


def _told(one: Verdict) -> Iterator[str]:
    if one.away:
        yield f"{one.name}: it was removed meanwhile"
    elif one.whole:
        yield f"{one.name}: proven: {contents(one.counts, one.size)}"
    else:
        yield f"{one.name}: NOT as it should be"
        yield from (f"  {said}" for said in one.damaged)
        yield from (f"  {said}" for said in _shortened(one.broken))
        yield from (f"  {said} (so it was when it was backed up)" for said in _shortened(one.before))


def _shortened(broken: Sequence[Broken]) -> list[str]:
    more = len(broken) - SHOWN
    return [*map(str, broken[:SHOWN]), *([f"... and {more} more (--json names them all)"] if more > 0 else [])]


def problems(broken: Sequence[Broken], what: str, hint: str) -> list[Problem]:
    """`what` is wrong with the images that are `broken`, the first of them by name."""
    found = [Problem(str(one), what, hint) for one in broken[:SHOWN]]
    if (more := len(broken) - SHOWN) > 0:
        found.append(Problem("images", f"{more} more are so", hint))
    return found


def _dicts(broken: Sequence[Broken]) -> list[dict[str, str]]:
    return [one._asdict() for one in broken]


def _problem(one: Problem) -> dict[str, str]:
    return {"where": one.where, "what": one.what, "hint": one.hint}


def _listed(one: Verdict, about: dict[str, Any]) -> dict[str, Any]:
    numbers = {name: one.counts[word] for word, name in COUNTED.items()}
    return {**about, "name": one.name, **numbers, "bytes": one.size, "damaged": one.damaged}


def _verdict(one: Verdict) -> dict[str, Any]:
    numbers = {name: one.counts[word] for word, name in COUNTED.items()}
    state = {"name": one.name, "whole": one.whole, "removed_meanwhile": one.away, **numbers, "bytes": one.size}
    return state | {"damaged": one.damaged, "broken": _dicts(one.broken), "broken_before": _dicts(one.before)}
