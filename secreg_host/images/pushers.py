"""Who pushed an image, as far as the front's log still says it: access.json, where nginx.conf writes one. Nothing is
decided by it: logs are turned off, cut and rotated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from secreg_host.base import reading, records

LARGEST = 64 << 20
"""Bytes of a log in which somebody is looked for; a larger one says nothing."""

PUT, END = b'"method":"PUT"', b"\n"
CREATED = 201
SHAPE: dict[str, records.Shape] = {"user": str, "status": int, "repository": str, "reference": str, "digest": str}

Pushers = Mapping[tuple[str, str], str]
"""Users, by repository and what was pushed: a tag, as TAG@DIGEST, or a digest."""


def read(log: Path) -> Pushers:
    """Who pushed what, by the last line of `log` about it."""
    found: dict[tuple[str, str], str] = {}
    for line in _lines(reading.peek(log, LARGEST)):
        said = records.parsed(line)
        if not records.fits(said, dict(SHAPE)) or not SHAPE.keys() <= said.keys() or said["status"] != CREATED:
            continue
        if said["reference"] and said["digest"] and said["user"]:
            found[said["repository"], f"{said['reference']}@{said['digest']}"] = said["user"]
            found[said["repository"], said["digest"]] = said["user"]
    return found


def pusher(known: Pushers, repository: str, tag: str, digest: str) -> str:
    """Who pushed `digest` to a repository, as `tag` if that is known; "": nobody knows."""
    return known.get((repository, f"{tag}@{digest}"), known.get((repository, digest), ""))


def _lines(data: bytes) -> Iterator[bytes]:
    """The lines of `data` about something that was put."""
    at = data.find(PUT)
    while at >= 0:
        start, end = data.rfind(END, 0, at) + 1, data.find(END, at)
        if end < 0:
            return  # it is being written
        yield data[start:end]
        at = data.find(PUT, end)
