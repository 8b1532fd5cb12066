"""How the command tells what was deleted, collected and freed: as text, and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from secreg_host.base.errors import Problem, Several
from secreg_host.command import printing
from secreg_host.command.amounts import bytes_of, numbered
from secreg_host.images.survey import NONE, Entry
from secreg_host.images.trash import LAYER, REVISION

COUNTED = {"freed": "bytes", "uploads": "upload_bytes"}


@dataclass
class Sum:
    """What a run of the collector told. counts: by the word, or the kind of what was hidden; sizes: bytes."""

    counts: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    held: list[Problem] = field(default_factory=list)
    hidden: list[dict[str, str]] = field(default_factory=list)

    def counting(self, entries: Iterable[Entry]) -> Sum:
        """All of `entries`, summed up."""
        for word, *said in entries:
            if word == "held":
                hint = "see what is wrong: secure-registry images check"
                self.held.append(Problem(said[0], f"nothing of it is collected: {said[1]}", hint))
            elif word in COUNTED:
                self.counts[word] += int(said[0])
                self.sizes[word] += int(said[1])
            elif word in ("kept", "emptied"):
                self.counts[word] += int(said[0])
            elif word == "back":
                self.counts[word] += 1
            else:
                self.counts[said[1]] += 1
                if said[1] == REVISION:
                    self.hidden.append({"repository": said[0], "digest": said[2]})
        return self

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        numbers = {"manifests": self.counts[REVISION], "blobs": self.counts[LAYER], "needed_again": self.counts["back"]}
        freed = {"freed_blobs": self.counts["freed"], "freed_bytes": self.sizes["freed"]}
        rest = {"uploads": self.counts["uploads"], "emptied": self.counts["emptied"]}
        held = [{"repository": one.where, "why": one.what} for one in self.held]
        return {**numbers, **freed, **rest, "untagged": self.hidden, "held": held}


def collected(found: Sum, *, as_json: bool, done: bool) -> None:
    """What a run did, or would do."""
    if as_json:
        print(json.dumps(found.as_json() | {"dry_run": not done}, indent=2))
        return
    printing.warnings(found.held)
    for line in _collected(found, done=done):
        print(line)


def _collected(found: Sum, *, done: bool) -> Iterator[str]:
    to_be = "" if done else "to be "
    manifests, blobs = numbered(found.counts[REVISION], "manifests"), numbered(found.counts[LAYER], "blobs")
    yield f"{to_be}moved to the trash: {manifests}, links to {blobs}"
    if found.counts["back"]:
        yield f"needed again meanwhile, and back: {found.counts['back']}"
    if done or found.sizes["freed"]:
        size = bytes_of(found.sizes["freed"] + found.sizes["uploads"])
        yield f"{'' if done else 'in all to be '}freed: {numbered(found.counts['freed'], 'blobs')} ({size})"


def right(entries: Iterable[Entry]) -> list[Entry]:
    """All of `entries`. Raises Several for what is wrong."""
    found = list(entries)
    if wrong := [Problem(*entry[1:]) for entry in found if entry[0] == "wrong"]:
        raise Several(wrong)
    return found


def deleted(entries: Iterable[Entry], doing: str) -> list[Entry]:
    """Tell each of `entries`, which is `doing` ("to be deleted", say). Raises Several for what is wrong."""
    found = right(entries)
    layers = Counter(entry[1] for entry in found if entry[0] == "layer")
    for word, name, *said in found:
        if word == "tag":
            print(f"{doing}: {name}:{said[0]}{f' ({said[1]})' if said[1] != NONE else ''}")
        elif word == "revision":
            print(f"{doing}: {name}@{said[0]}")
    for name, count in layers.items():
        print(f"{doing}: links of {name} to {numbered(count, 'blobs')}")
    return found
