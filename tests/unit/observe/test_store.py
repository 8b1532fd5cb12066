"""The store as a component: not there, full, filling up, read-only; what it can't be asked is forced."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secreg_host.base import distant
from secreg_host.base.paths import Paths
from secreg_host.images import lastrun, marker
from secreg_host.images.lastrun import LastRun
from secreg_host.images.marker import Store
from secreg_host.observe import store
from secreg_host.observe.state import Condition
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import RegistryPart

GB = 1 << 30
ROOM = {"f_bavail": 9, "f_blocks": 9, "f_frsize": 1, "f_files": 9, "f_favail": 9}
NONE = Store()


def scene(root: str | None, kept: Store = NONE) -> Any:
    part = RegistryPart(files={}, root=root, sources=(), store=kept)
    host = SimpleNamespace(paths=Paths(Path("/nowhere")))
    return SimpleNamespace(generation=SimpleNamespace(parts=Parts(part)), host=host, manager=None, states={})


@pytest.mark.parametrize(
    ("free", "size", "inodes", "read_only", "condition", "event", "word"),
    [
        (50 * GB, 100 * GB, 9, False, Condition.OK, "", "/srv (/dev/sdb1), 50.0 GB free of 100.0 GB"),
        (50 * GB, 100 * GB, -1, False, Condition.OK, "", "free"),
        (2 * GB, 10 * GB, 9, False, Condition.OK, "", "free"),
        (2 * GB, 100 * GB, 9, False, Condition.WARNING, "disk", "it fills up"),
        (11 * GB, 1000 * GB, 9, False, Condition.OK, "", "free"),
        (20 << 20, 24 << 20, 9, False, Condition.OK, "", "20.0 MB free of 24.0 MB"),
        (0, 100 * GB, 9, False, Condition.DOWN, "disk", "nothing can be pushed"),
        (50 * GB, 100 * GB, 0, False, Condition.DOWN, "disk", "nothing can be pushed"),
        (50 * GB, 100 * GB, 9, True, Condition.DOWN, "down", "read-only"),
    ],
)
def test_room(
    monkeypatch: pytest.MonkeyPatch,
    free: int,
    size: int,
    inodes: int,
    read_only: bool,
    condition: Condition,
    event: str,
    word: str,
) -> None:
    monkeypatch.setattr(store, "_measure", lambda _: store.Room("/srv", "/dev/sdb1", free, size, inodes, read_only))
    monkeypatch.setattr(store.imagesplace, "unwritable", lambda *_: None)
    found = store.store(scene("/srv/registry"))
    assert (found.condition, found.event) == (condition, event) and word in found.said
    assert bool(found.remedy) == (condition is not Condition.OK)


@pytest.mark.parametrize(
    ("confined", "writable", "read_only"), [(True, True, False), (True, False, True), (False, True, True)]
)
def test_a_sandbox_of_ours_makes_no_disk_read_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, confined: bool, writable: bool, read_only: bool
) -> None:
    """Seen: the observer, for which home directories are read-only, told hooks that images in one were down."""
    monkeypatch.setattr(store.os, "statvfs", lambda _: SimpleNamespace(**ROOM, f_flag=os.ST_RDONLY))
    mount = distant.Mount("ext4", frozenset({"ro"}), "/dev/sdb1", read_only=not writable)
    monkeypatch.setattr(distant, "mount_at", lambda _: mount)
    monkeypatch.setattr(store.process, "confined", lambda: confined)
    found = store._measure(str(tmp_path))
    assert found is not None and found.read_only == read_only


def test_what_is_not_there_is_not_made(tmp_path: Path) -> None:
    """Seen: an empty directory on the root disk in the place of a disk that was not mounted, which then was filled."""
    gone = tmp_path / "gone"
    found = store.store(scene(str(gone)))
    assert found.condition is Condition.DOWN and "is not there" in found.said
    assert not gone.exists()


def test_what_stands_in_the_place_of_the_marker_is_named(tmp_path: Path) -> None:
    kept = Store("1" * 32, marker.look(str(tmp_path)).base)
    (tmp_path / kept.name).mkdir()
    found = store.store(scene(str(tmp_path), kept))
    assert found.condition is Condition.WARNING and str(tmp_path / kept.name) in found.said and "touch" in found.remedy


def test_elsewhere_there_is_nothing_to_ask() -> None:
    assert store.store(scene(None)).condition is Condition.OK


def test_the_mount_is_named(tmp_path: Path) -> None:
    found = store._measure(str(tmp_path))
    assert found is not None
    mount, device, free, size, _, _ = found
    known = distant.mount_at(tmp_path)
    assert known is not None and device == known.device != ""
    assert mount in (str(tmp_path), *map(str, tmp_path.parents)) and 0 < free <= size


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A scene whose store is well."""
    monkeypatch.setattr(store, "_measure", lambda _: store.Room("/srv", "", 50 * GB, 100 * GB, 9, False))
    monkeypatch.setattr(store.imagesplace, "unwritable", lambda *_: None)
    found = scene("/srv/registry")
    found.host.paths = Paths(tmp_path)
    found.host.paths.state.mkdir(parents=True)
    return found


@pytest.mark.promise("gc-by-itself")
def test_what_came_of_the_last_collection_is_told(kept: Any) -> None:
    before = store.store(kept)
    lastrun.keep(kept.host.paths, LastRun(86400.0 * 365, passed="another registry's"))
    assert store.store(kept) == before
    lastrun.keep(kept.host.paths, LastRun(86400.0 * 365, freed=3 * GB))
    found = store.store(kept)
    assert found.condition is Condition.OK and found.said.endswith("; gc freed 3.0 GB on 1971-01-01")
    assert (found.facts["collected"], found.facts["freed"]) == (86400.0 * 365, 3 * GB)
    lastrun.keep(kept.host.paths, LastRun(1.0, failed="the disk is full", hint="df"))
    found = store.store(kept)
    assert (found.condition, found.remedy, found.event) == (Condition.WARNING, "df", "")
    assert found.said.endswith("; the last gc failed: the disk is full")


class Manager:
    """systemd, for which the timer is `load`."""

    def __init__(self, load: str) -> None:
        self.load = load

    def properties(self, unit: str, name: str) -> dict[str, object]:
        return {store.BEGUN: 2_000_000} if name == store.BEGUN else {name: self.load}


def test_a_timer_that_is_masked_is_told(kept: Any) -> None:
    """For years nothing would be freed, and nothing say so."""
    kept.manager, kept.states = Manager("masked"), {}
    found = store.store(kept)
    assert found.condition is Condition.OK and found.said.endswith("gc does not run by itself: its timer is masked")
    kept.manager = Manager("loaded")
    assert "timer" not in store.store(kept).said


def test_a_run_that_was_ended_is_told_until_one_comes_to_its_end(kept: Any) -> None:
    """It could not say so itself; systemd knows."""
    kept.manager = Manager("loaded")
    kept.states = {store.GC: ("failed", "failed")}
    assert store.store(kept).said.endswith("; the last gc failed: it was ended")
    lastrun.keep(kept.host.paths, LastRun(1.5))
    assert store.store(kept).condition is Condition.WARNING
    lastrun.keep(kept.host.paths, LastRun(3.0))
    assert store.store(kept).condition is Condition.OK
    kept.states = {store.GC: ("inactive", "dead")}
    lastrun.keep(kept.host.paths, LastRun(1.5))
    assert store.store(kept).condition is Condition.OK
