"""The store of what serves: is it there, on which disk, and can the registry write to it?"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from secreg_host.base import distant
from secreg_host.base.errors import Problem, SecregError
from secreg_host.generation import assemble, generations
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host
from secreg_host.images import imagesplace, marker
from secreg_host.wanted.parts.registry import RegistryPart

ROOM = 1 << 20
"""Bytes without which it is full: a manifest and its links fit in."""


@dataclass(frozen=True)
class Facts:
    """What is known of a store.

    path: its directory, without links; device: what is mounted there (such as /dev/sdb1, "" where /proc can't be read);
    kind: the type of that file system; free: bytes that the registry's user may still write; writable: whether it may,
    at the top; marked: whether the marker of the store that serves is there; lost: why it is not the one that served
    ("": it is).
    """

    path: str
    device: str
    kind: str
    free: int
    writable: bool
    marked: bool
    lost: str


def facts(host: Host, generation: Generation) -> Facts | None:
    """Those of the store of `generation`; None: it is on no file system of this host. Raises SecregError when it does
    not answer, or we may not look."""
    part = generation.parts[RegistryPart]
    place = part.storage
    if place is None:
        return None
    here, mount = marker.look(place), distant.mount_at(place)
    lost = marker.lost(part.store, here)
    room = distant.ask(place, lambda: os.statvfs(place) if Path(place).is_dir() else None)
    account = host.accounts.registry
    writable = distant.ask_as(account.name, account.uid, account.gid, lambda: os.access(".", os.W_OK), Path(place))
    return Facts(
        path=place,
        device=mount.device if mount else "",
        kind=mount.kind if mount else "",
        free=room.f_bavail * room.f_frsize if room else 0,
        writable=bool(writable),
        marked=part.store.id in here.ids,
        lost=lost,
    )


def wrong(host: Host, generation: Generation) -> str:
    """What is wrong with the store of `generation`, in a sentence; "": nothing, or it is none of this host's."""
    try:
        found = facts(host, generation)
    except SecregError as error:
        return error.message
    if found is None:
        return ""
    if found.lost:
        return found.lost
    if generation.parts[RegistryPart].readonly:
        return ""
    if not found.writable:
        return f"the registry (user {host.accounts.registry.name}) can't write to {found.path}"
    return f"{found.path} is full" if found.free < ROOM else ""


def away(generation: Generation) -> tuple[Problem, ...]:
    """That the store of `generation` is not there; none: it is, or that can't be told now."""
    part = generation.parts[RegistryPart]
    if part.root is None or part.storage is None:
        return ()
    try:
        lost = marker.lost(part.store, marker.look(part.storage))
    except SecregError:
        return ()
    return (imagesplace.away(part.place, part.root, lost),) if lost else ()


def forget(host: Host, current: Generation) -> Generation:
    """`current`, which is the current generation, made one for which the store may be any."""
    part = replace(current.parts[RegistryPart], store=marker.ANY)
    other = assemble.assemble(host, current.parts.having(part), current.slot)
    generations.stage(host, other, assemble.generation_conf(other))
    generations.flip(host, other.name)
    generations.mark_proven(host, other.name)
    return other
