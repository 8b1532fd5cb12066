"""The part of access.yml: who may do what. Once one has served, it is never gone by accident."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from secreg_host.base import reading, records, utf8
from secreg_host.base.errors import Problem, SecregError, bad_input
from secreg_host.base.paths import Paths
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import robots, users
from secreg_host.wanted.access import parsing
from secreg_host.wanted.access.policy import Policy
from secreg_host.wanted.parts.part import Context, FilePart, Reading

YML = "access/access.yml"

SERVED: dict[Any, records.Shape] = {"off": bool, "since": float}
"""Whether an access.yml has served: there is a record; or that it was given up since (off)."""

OFF = "bring it back; or, if each user is to do everything again: secure-registry access off --yes"


@dataclass(frozen=True, kw_only=True)
class AccessPart(FilePart):
    """access.yml. It has no file where there is none, or nothing stands in it: each user may do everything."""

    NAME = "access"

    @property
    def policy(self) -> Policy | None:
        """Who may do what; None: each user everything, and nobody else anything."""
        return _policy(self.files[YML], self.place) if YML in self.files else None

    @classmethod
    def restored(cls, files: Mapping[str, bytes], sources: tuple[str, ...], facts: Mapping[str, Any]) -> Self:
        part = cls(files=files, sources=sources)
        if files and part.policy is None:
            raise ValueError("no policy")
        return part

    @classmethod
    def where(cls, paths: Paths) -> Path:
        return paths.access_yml

    @classmethod
    def read(cls, context: Context) -> Reading[AccessPart]:
        disk, path = context.disk, cls.where(context.disk.paths)
        data = disk.read(path, reading.YAML)
        policy, warnings = parsing.parse(data, str(path)) if data else (None, ())
        if data and policy is not None:
            part = cls(files={YML: data}, sources=(str(path),))
            return Reading(part, warnings=(*warnings, *_strangers(disk, policy)))
        known = context.known.get(cls)
        if has_served(disk.paths, known):
            what = "does not exist" if data is None else "holds nothing"
            raise bad_input(str(path), f"{what}, and access.yml has served: what it said goes on", OFF)
        return Reading(cls())


@functools.lru_cache(4)
def _policy(data: bytes, where: str) -> Policy | None:
    return parsing.parse(data, where)[0]


def _strangers(disk: Snapshot, policy: Policy) -> Iterator[Problem]:
    """A warning for each user who is named and neither in .htpasswd nor a robot, as far as these can be read."""
    with contextlib.suppress(SecregError):
        data = disk.read(disk.paths.htpasswd, reading.HTPASSWD)
        if data is not None:
            lines = (disk.read(disk.paths.robots, reading.HTPASSWD) or b"").splitlines()
            programs = {f"{robots.PREFIX}{utf8.shown(line.partition(b':')[0])}" for line in lines}
            known = {user.name for user in users.parse(data, "")[0]} | programs
            yield from parsing.unknown_users(policy, str(disk.paths.access_yml), known)


def has_served(paths: Paths, known: AccessPart | None) -> bool:
    """Whether an access.yml has served, so that none is not as if there never was one. known: the part that serves.
    Raises SecregError where that can't be told."""
    record = records.load(paths.access_served, SERVED)
    if record.get("off"):
        return False
    return bool(record) or (known is not None and known.policy is not None) or reading.is_there(paths.access_served)


def remember(paths: Paths, part: AccessPart) -> None:
    """Note that `part` serves, before it does. Raises SecregError."""
    if part.policy is None:
        return
    record = records.load(paths.access_served, SERVED)
    if not record or record.get("off"):
        records.save(paths.access_served, {"off": False, "since": time.time()})


def give_up(paths: Paths) -> None:
    """Note that there need be no access.yml any more. Raises SecregError."""
    records.save(paths.access_served, {"off": True, "since": time.time()})
