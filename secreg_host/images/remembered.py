"""What the last look at a store found, kept by root so that the next one reads only what changed. For speed alone:
what is missing, damaged, or of another store is found anew, and each thing in it counts only as long as the marks of
all that it was read from are the same. Three lines: a head, JSON, and JSON that is read only where something changed.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from secreg_host.base import files, marks, reading, utf8
from secreg_host.base.errors import SecregError
from secreg_host.images import overview
from secreg_host.images.overview import Folder, Overview

FIRST = "secure-registry-looked 1"
LARGEST = 1 << 30
"""Bytes that are read of it, at the most."""


def load(path: Path, place: Path) -> Overview:
    """What the last look at the store in the directory `place` found, of which `path` knows; nothing: none does."""
    head, _, body = reading.peek(path, LARGEST).partition(b"\n")
    if utf8.shown(head) != _head(place, body):
        return Overview()
    first, _, kept = body.partition(b"\n")
    said = json.loads(utf8.shown(first))
    return Overview(
        {name: Folder(*one) for name, one in said["folders"].items()},
        {name: overview.held(one) for name, one in said["repositories"].items()},
        {name: overview.named(one) for name, one in said["manifests"].items()},
        said["weights"],
        kept,
    )


def save(path: Path, place: Path, found: Overview) -> None:
    """Remember what was `found`; best effort."""
    said = {name: getattr(found, name) for name in ("folders", "repositories", "manifests", "weights")}
    body = "\n".join(json.dumps(one, separators=(",", ":")) for one in (said, found.blobs)).encode()
    with contextlib.suppress(SecregError):
        files.write_own(path, f"{_head(place, body)}\n".encode() + body)


def _head(place: Path, body: bytes) -> str:
    """The first line: of what version and store it is, and that it is whole."""
    return f"{FIRST} {json.dumps(str(place))} {marks.digest(body)}"
