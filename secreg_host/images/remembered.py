"""What the last look at a store found, kept by root so that the next one reads only what changed. For speed alone:
what is missing, damaged, or of another store is found anew, and each thing in it counts only as long as the marks of
all that it was read from are the same. Four lines: a head, JSON of what a look is compared with, JSON that is read
while somebody looks, and JSON that is read only where something changed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

from secreg_host.base import files, marks, reading, utf8
from secreg_host.base.errors import SecregError
from secreg_host.images import overview
from secreg_host.images.overview import Folder, Overview

FIRST = "secure-registry-looked 2"
LARGEST = 1 << 30
"""Bytes that are read of it, at the most."""


COMPARED, REST = ("folders", "repositories"), ("manifests", "weights")
"""What of an overview is in the second line, and in the third one."""


def load(path: Path, place: Path) -> Overview:
    """What the last look at the store in the directory `place` found, of which `path` knows; nothing: none does."""
    found, complete = begin(path, place)
    complete()
    return found


def begin(path: Path, place: Path) -> tuple[Overview, Callable[[], None]]:
    """The same, as far as another look is compared with it; and what completes it."""
    head, _, body = reading.peek(path, LARGEST).partition(b"\n")
    if utf8.shown(head) != _head(place, body):
        return Overview(), lambda: None
    compared, rest, kept = body.split(b"\n", 2)
    said = json.loads(utf8.shown(compared))
    found = Overview(
        {name: Folder(*one) for name, one in said["folders"].items()},
        {name: overview.held(one) for name, one in said["repositories"].items()},
        kept=kept,
    )

    def complete() -> None:
        said = json.loads(utf8.shown(rest))
        found.manifests = {name: overview.named(one) for name, one in said["manifests"].items()}
        found.weights = said["weights"]

    return found, complete


def save(path: Path, place: Path, found: Overview) -> None:
    """Remember what was `found`; best effort."""
    said = [{name: getattr(found, name) for name in names} for names in (COMPARED, REST)]
    body = "\n".join(json.dumps(one, separators=(",", ":")) for one in (*said, found.blobs)).encode()
    with contextlib.suppress(SecregError):
        files.write_own(path, f"{_head(place, body)}\n".encode() + body)


def _head(place: Path, body: bytes) -> str:
    """The first line: of what version and store it is, and that it is whole."""
    return f"{FIRST} {json.dumps(str(place))} {marks.digest(body)}"
