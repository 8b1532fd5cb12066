"""Which store is there: by its marker, and by where it is mounted."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from secreg_host.base.errors import SecregError
from secreg_host.base.paths import Paths
from secreg_host.host.host import Host
from secreg_host.images import imagesplace, marker
from secreg_host.images.marker import Here, Store

ONE, TWO = "1" * 32, "2" * 32
NONE, DISK = Store(), Store(ONE, "/srv/images")


@pytest.mark.promise("store-away")
@pytest.mark.parametrize(
    ("before", "here", "lost"),
    [
        (Store(), Here((), "/", images=False), ""),  # nothing served, or one without a marker (0.1's)
        (Store(base="/srv/images"), Here((), "/", images=False), ""),
        (DISK, Here((ONE,), "/srv/images", images=True), ""),
        (DISK, Here((ONE,), "/srv/images", images=False), ""),  # every image was deleted
        (DISK, Here((ONE, TWO), "/srv/images", images=True), ""),  # two stores copied into one
        (DISK, Here((ONE,), "/", images=True), ""),  # moved to the disk of /, marker and all
        (DISK, Here((), "/", images=False), "nothing is mounted at /srv/images"),
        (DISK, Here((TWO,), "/", images=False), "nothing is mounted at /srv/images"),
        (DISK, Here((), "/srv", images=True), "nothing is mounted at /srv/images"),  # what the mount hid
        (DISK, Here((TWO,), "/", images=True), "nothing is mounted at /srv/images"),
        (DISK, Here((), "/srv/images", images=False), "it is empty"),  # another disk
        (DISK, Here((TWO,), "/srv/images", images=False), "it is empty"),
        (DISK, Here((), "/srv/images", images=True), ""),  # images that were moved in
        (DISK, Here((TWO,), "/srv/images", images=True), ""),  # a disk with another store
        (Store(ONE, "/"), Here((), "/srv/images", images=False), "it is empty"),  # an empty disk upon a full store
        (Store(ONE, "/"), Here((), "/srv/images", images=True), ""),  # one to which the images were copied
        (marker.ANY, Here((), "/", images=False), ""),
    ],
)
def test_which_store_may_serve(before: Store, here: Here, lost: str) -> None:
    found = marker.lost(before, here)
    assert found.startswith(lost) and bool(found) == bool(lost)


@pytest.mark.parametrize(
    ("old", "new", "moved"),
    [
        (Store(), DISK, False),  # its first marker: what runs goes on
        (DISK, DISK, False),
        (DISK, Store("", "/srv/images"), False),
        (DISK, Store(TWO, "/srv/images"), True),
        (DISK, Store(ONE, "/"), True),
        (marker.ANY, DISK, True),  # whatever was there when it began
    ],
)
def test_what_runs_has_the_mounts_of_its_beginning(old: Store, new: Store, moved: bool) -> None:
    assert marker.moved(old, new) is moved


def settled(host: Host, place: Path, before: Store = NONE, *, write: bool = True) -> Store:
    return marker.settle(host, str(place), before, marker.look(str(place)), write=write)


def blob(place: Path) -> None:
    (place / "docker/registry/v2/blobs/sha256/ab").mkdir(parents=True)


def test_a_store_gets_one_marker_and_keeps_it(host: Host, tmp_path: Path) -> None:
    first = settled(host, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [first.name]
    path = tmp_path / first.name
    assert path.stat().st_mode & 0o777 == 0o644 and path.name.startswith(".secure-registry-store-")
    assert settled(host, tmp_path) == settled(host, tmp_path, first) == first
    assert marker.lost(first, marker.look(str(tmp_path))) == ""

    path.unlink()
    assert marker.lost(first, marker.look(str(tmp_path)))
    blob(tmp_path)
    assert settled(host, tmp_path, first) == first and path.exists(), "images without it get theirs again"
    other = Store(TWO, first.base)
    assert settled(host, tmp_path, other) == first, "another store is taken as it is"


def test_whatever_is_there_is_the_store(host: Host, tmp_path: Path) -> None:
    found = settled(host, tmp_path, marker.ANY)
    assert marker.NAMED.fullmatch(found.name) and settled(host, tmp_path, marker.ANY) == found
    assert marker.ANY.name == ""


def test_a_copy_on_another_file_system_gets_a_marker_of_its_own(host: Host, tmp_path: Path) -> None:
    """What is left below the mount point, marker and all, must not serve when nothing is mounted there."""
    below = Here((ONE,), "/", images=True)
    copied = marker.settle(host, str(tmp_path), Store(ONE, "/"), Here((ONE,), "/srv/images", images=True), write=True)
    assert copied.id not in ("", ONE) and (tmp_path / copied.name).exists()
    assert marker.lost(copied, below)


def test_where_it_can_not_be_written_there_is_none(host: Host, tmp_path: Path) -> None:
    base = settled(host, tmp_path, write=False).base
    assert list(tmp_path.iterdir()) == [] and settled(host, tmp_path, Store(ONE, base), write=False) == Store("", base)
    assert settled(host, tmp_path / "gone").id == ""
    (tmp_path / f".secure-registry-store-{ONE}").touch()
    assert settled(host, tmp_path, write=False) == Store(ONE, base)
    assert settled(host, tmp_path, Store(ONE, "/elsewhere"), write=False) == Store(ONE, base)


def test_what_is_looked_at(tmp_path: Path) -> None:
    missing = marker.look(str(tmp_path / "a/b"))
    assert missing == marker.look(str(tmp_path)) == Here((), marker.look(str(tmp_path)).base, images=False)
    assert Path(missing.base).stat().st_dev == tmp_path.stat().st_dev
    (tmp_path / "docker").touch()
    assert not marker.look(str(tmp_path)).images, "a file in its place"
    (tmp_path / "docker").unlink()
    (tmp_path / "docker/registry/v2/repositories/some").mkdir(parents=True)
    assert not marker.look(str(tmp_path)).images, "no image is without blobs"
    blob(tmp_path)
    for name in (f".secure-registry-store-{ONE}", f".secure-registry-store-{TWO[1:]}", ".secure-registry-store-x"):
        (tmp_path / name).touch()
    assert marker.look(str(tmp_path)) == Here((ONE,), missing.base, images=True)


def test_only_a_regular_file_is_a_marker(host: Host, tmp_path: Path) -> None:
    """Seen: with a pipe in its place the registry did not start, and nothing named it; /etc/shadow was a good one."""
    kept = settled(host, tmp_path)
    path = tmp_path / kept.name
    (tmp_path / "file").touch()
    makers: list[Callable[[], None]] = [
        lambda: os.mkfifo(path), lambda: path.symlink_to("gone"), lambda: path.symlink_to("file"), path.mkdir,
    ]  # fmt: skip
    for make in makers:
        path.rmdir() if path.is_dir() else path.unlink()
        make()
        here = marker.look(str(tmp_path))
        assert (here.ids, here.odd) == ((), (kept.id,))
        wrong = imagesplace.away("docker-registry.yml:7", str(tmp_path), kept, here)
        assert wrong is not None and wrong.where == str(path) and f"rm -rf {path}; touch {path}" in wrong.hint
        assert imagesplace.away("", str(tmp_path), Store(TWO, kept.base), here) != wrong, "one of another store"
    path.rmdir()
    path.touch()
    assert imagesplace.away("", str(tmp_path), kept, marker.look(str(tmp_path))) is None
    path.unlink()
    lost = imagesplace.away("docker-registry.yml:7", str(tmp_path), kept, marker.look(str(tmp_path)))
    assert lost is not None and lost.where == "docker-registry.yml:7" and "it is empty" in lost.what


def test_what_we_may_not_see_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(SecregError, match="Permission denied"):
        marker.look(str(tmp_path))


def test_the_way_up_ends_where_something_is_mounted() -> None:
    paths = Paths()
    assert marker.look("/dev/shm/nothing").base == str(paths.shared_memory)
