"""Whoever keeps the disk that backups are on may put links there, also while root works: all else stays as it is."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from secreg_host.base.errors import SecregError
from secreg_host.upkeep import inside, prune
from secreg_host.upkeep import place as places
from secreg_host.upkeep.place import Place
from tests.stores import Store
from tests.unit.upkeep.conftest import Back

FOLDERS = ["incoming", "backups", "config", "blobs", "blobs/sha256"]


def everything(path: Path) -> dict[str, bytes]:
    return {str(one.relative_to(path)): one.read_bytes() for one in path.rglob("*") if one.is_file()}


@pytest.fixture
def swapped(there: Place, tmp_path: Path) -> Callable[[str], Path]:
    """Lets a directory of the backups be a link to another one with the same files in it, and some of others."""

    def act(folder: str) -> Path:
        victim, path = tmp_path / "victim", there.path / folder
        shutil.copytree(path, victim)
        path.rename(tmp_path / "away")
        path.symlink_to(victim)
        (victim / "passwd").touch()
        (victim / ("20200101T000000Z.tar" if folder == "config" else "sha256-ab")).touch()
        return victim

    return act


@pytest.mark.promise("backup-links")
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_link_in_the_place_of_a_directory(
    store: Store, there: Place, back: Back, swapped: Callable[[str], Path], folder: str
) -> None:
    """Seen red: `backup prune` removed every file of the directory that `incoming` led to."""
    for tag in ("1", "2"):
        store.push("a", "one", tag)
        back()
        store.push("a", "two", "1")
    victim = swapped(folder)
    before = everything(victim)
    with pytest.raises(SecregError, match=f"cannot read {there.path / folder}: Not a directory"):
        prune.prune(there, 1, None)
    with pytest.raises(SecregError, match=f"{there.path / folder}: Not a directory"):
        places.prepared(there.path, insecure=True)
    assert everything(victim) == before


@pytest.mark.promise("backup-links")
@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("doing", ["create", "prune"])
def test_one_that_comes_meanwhile(
    store: Store,
    there: Place,
    back: Back,
    swapped: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    doing: str,
) -> None:
    """At each step: whatever becomes of it, nothing is written, renamed or removed behind the link."""
    store.push("a", "one", "1")
    back()
    store.push("a", "two", "1")
    (there.incoming / "left").touch()
    real, count, victim = inside._folder, 0, Path("/nowhere")
    before: dict[str, bytes] = {}

    def folder_of(top: str | Path, path: str) -> int:
        nonlocal count, victim, before
        count += 1
        if count == at:
            victim = swapped(folder)
            before = everything(victim)
        return real(top, path)

    for at in range(1, 60):
        count, before = 0, {}
        monkeypatch.setattr(inside, "_folder", folder_of)
        with contextlib.suppress(SecregError, OSError):
            back() if doing == "create" else prune.prune(there, 1, None)
        monkeypatch.undo()
        if count < at:
            break
        assert everything(victim) == before
        (there.path / folder).unlink()
        (there.path.parent / "away").rename(there.path / folder)
        shutil.rmtree(victim)
    assert count < at and at > 5, "it was looked at to the end"


@pytest.mark.promise("backup-links")
def test_files_that_are_there_already(store: Store, there: Place, back: Back, tmp_path: Path) -> None:
    """Of somebody who may read them, and by another name elsewhere. Seen red: bytes of an image went there."""
    digest = store.push("a", "one", "1")
    others = tmp_path / "others"
    others.write_text("theirs")
    (there.incoming / "left").touch()
    real = places.sweep

    def sweep(place: Place) -> None:
        real(place)
        os.link(others, place.new(digest))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(places, "sweep", sweep)
        assert not back().degraded
    assert others.read_text() == "theirs" and others.stat().st_nlink == 1


def test_what_a_path_leads_by(tmp_path: Path) -> None:
    (tmp_path / "real/inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    acts: list[Callable[[Path], None]] = [
        lambda path: os.close(inside.opened(tmp_path, path, os.O_WRONLY | os.O_CREAT)),
        lambda path: inside.make(tmp_path, path, 0o700),
        lambda path: inside.unlink(tmp_path, path),
    ]
    for act in acts:
        with pytest.raises(NotADirectoryError) as caught:
            act(tmp_path / "link/inner/x")
        assert caught.value.filename == str(tmp_path / "link")
        assert not os.path.lexists(tmp_path / "real/inner/x")
    inside.make(tmp_path / "link", tmp_path / "link/inner/x", 0o700)
    assert (tmp_path / "real/inner/x").is_dir(), "the top itself may be a link: that is what somebody named"
    inside.make(tmp_path, tmp_path / "real/inner/x", 0o700)
    with pytest.raises(FileNotFoundError) as missing:
        inside.unlink(tmp_path, tmp_path / "real/none")
    assert missing.value.filename == str(tmp_path / "real/none")
    inside.unlink(tmp_path, tmp_path / "real/none", missing_ok=True)
    assert inside.regular(tmp_path, tmp_path / "none") == []
