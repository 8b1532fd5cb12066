"""The registry's store as a component: where it is, on what, how much is free, and whether it can be written."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from secreg_host.apply import store as stores
from secreg_host.base import distant, masking, process
from secreg_host.base.errors import SecregError
from secreg_host.images import imagesplace, lastrun
from secreg_host.images.lastrun import LastRun
from secreg_host.observe import state
from secreg_host.observe.scene import DAILY, GC, Scene, masked
from secreg_host.observe.state import Component, Condition, State
from secreg_host.wanted.parts.registry import RegistryPart

MB, GB = 1 << 20, 1 << 30
LITTLE_SHARE, LITTLE = 0.05, 10 * GB
"""Free space that is worth a warning: less than both."""

BEGUN = "InactiveExitTimestamp"

NOTHING = 1 << 20
"""Bytes below which a disk is full: no image fits."""


def store(scene: Scene) -> State:
    """Where images are: on this host's file system, or wherever docker-registry.yml says; and what came of the last
    collection."""
    found, last = _place(scene), lastrun.read(scene.host.paths)
    if found.condition is Condition.OK and masked(scene.manager, DAILY):
        found = replace(found, said=f"{found.said}; gc does not run by itself: its timer is masked")
    if ended := _ended(scene, last):
        last = ended
    if last is None or last.passed:
        return found
    facts = {**found.facts, "collected": last.at, "freed": last.freed}
    if not last.failed:
        day = f"{datetime.fromtimestamp(last.at, UTC):%Y-%m-%d}"
        return replace(found, said=f"{found.said}; gc freed {_sized(last.freed)} on {day}", facts=facts)
    said = f"{found.said}; the last gc failed: {last.failed}"
    if found.condition is not Condition.OK:
        return replace(found, said=said, facts=facts)
    return replace(found, condition=Condition.WARNING, said=said, remedy=last.hint, facts=facts)


def _ended(scene: Scene, last: LastRun | None) -> LastRun | None:
    """That the timer's run was ended since the `last` one, which could not say so; None: it was not."""
    if scene.manager is None or scene.states.get(GC, ("", ""))[0] != "failed":
        return None
    begun = scene.manager.properties(GC, BEGUN)[BEGUN] / 1e6
    if last is not None and last.at >= begun:
        return None
    return LastRun(begun, failed="it was ended", hint=f"journalctl -u {GC} -n 20; it goes on: systemctl start {GC}")


def _place(scene: Scene) -> State:
    part = scene.generation.parts[RegistryPart]
    root = part.root
    if not root:
        return state.ok(Component.STORE, "not on this host's file system")
    shown = masking.urls(root)
    try:
        found = distant.ask(root, lambda: _measure(root))
    except SecregError as error:
        return state.down(Component.STORE, error.problems[0].what, error.hint, path=shown)
    if found is None:
        hint = f"mount it, or bring it back: findmnt; ls -ld {shown}"
        return state.down(Component.STORE, f"{shown} is not there", hint, path=shown)
    if lost := stores.away(scene.generation):
        where, what, hint = lost[0].where, lost[0].what, lost[0].hint
        if where != part.place:  # its marker: a registry that runs serves on
            return state.warning(Component.STORE, masking.urls(f"{where}: {what}"), hint, path=shown)
        return state.down(Component.STORE, what, hint, path=shown)
    mount, device, free, size, inodes, read_only = found
    facts = {"path": shown, "mount": mount, "device": device, "free": free, "size": size}
    said = f"{shown} on {mount}{f' ({device})' if device else ''}, {_sized(free)} free of {_sized(size)}"
    if part.readonly:
        return state.ok(Component.STORE, f"{said}, only read (docker-registry.yml)", **facts)
    if read_only:
        return state.down(Component.STORE, f"{said}: it is mounted read-only", f"mount -o remount,rw {mount}", **facts)
    hint = f"free some, or name a larger disk in docker-registry.yml: df -h {mount}; du -xsh {shown}"
    if free < NOTHING or inodes == 0:
        what = f"{said}: it is full, nothing can be pushed"
        return State(Component.STORE, Condition.DOWN, what, hint, "disk", facts=facts)
    if free < LITTLE and free < LITTLE_SHARE * size:
        return state.warning(Component.STORE, f"{said}: it fills up", hint, "disk", **facts)
    if wrong := imagesplace.unwritable(scene.host, root):
        what, hint = wrong
        return state.down(Component.STORE, what, hint, **facts)
    return state.ok(Component.STORE, said, **facts)


def _sized(size: int) -> str:
    """`size` bytes, as people read them."""
    return f"{size / GB:.1f} GB" if size >= GB else f"{size / MB:.1f} MB"


class Room(NamedTuple):
    """A directory's mount point, what is mounted there (such as /dev/sdb1; "" where that can't be told), bytes free and
    in all, inodes free (-1: the file system counts none), and whether it is mounted read-only: a sandbox of ours, in
    which home directories are, does not count."""

    mount: str
    device: str
    free: int
    size: int
    inodes: int
    read_only: bool


def _measure(root: str) -> Room | None:
    """The room at `root`; None: there is nothing (statvfs(3))."""
    try:
        found = os.statvfs(root)
    except FileNotFoundError:
        return None
    place = Path(os.path.realpath(root))
    point = next(str(one) for one in (place, *place.parents) if os.path.ismount(one) or one == Path("/"))
    mount = distant.mount_at(place)
    inodes = found.f_favail if found.f_files else -1
    free, size = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    read_only = mount.read_only if mount and process.confined() else bool(found.f_flag & os.ST_RDONLY)
    return Room(point, masking.urls(mount.device) if mount else "", free, size, inodes, read_only)
