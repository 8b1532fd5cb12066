"""Directories of backups: which are ones, what they are called, and who works there."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from secreg_host.base import distant
from secreg_host.base.errors import BadInput, SecregError
from secreg_host.upkeep import holding, place
from secreg_host.upkeep.place import Place

NOW = datetime(2026, 11, 30, 5, 15, tzinfo=UTC)
DIGEST = "sha256:" + "ab" * 32


def inside_of(path: Path) -> list[str]:
    return [one.name for one in path.iterdir()]


@pytest.fixture
def made(tmp_path: Path) -> Place:
    return place.prepared(tmp_path / "backups", insecure=False)


@pytest.mark.promise("backup-is-private", "backups-are-secret")
def test_it_is_made_for_us_alone(made: Place) -> None:
    assert [path.stat().st_mode & 0o777 for path in (made.path, made.pool, made.path / place.MARKER)] == [
        0o700,
        0o700,
        0o600,
    ]
    assert place.found(made.path) == place.prepared(made.path, insecure=False) == made
    said = json.loads((made.path / place.MARKER).read_text())
    assert said["format"] == 1 and len(said["id"]) == 32


def test_an_empty_one_is_taken_and_one_in_which_a_run_was_killed(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    tmp_path.chmod(0o700)
    made = place.prepared(tmp_path, insecure=False)
    (tmp_path / place.MARKER).unlink()
    (tmp_path / ".mode-abc").touch()
    assert place.prepared(tmp_path, insecure=False).path == made.path, "seen red: nobody could use it any more"
    (tmp_path / place.MARKER).unlink()
    (made.lists / "20261130T051500Z").touch()
    with pytest.raises(BadInput, match="is no directory of backups"):
        place.prepared(tmp_path, insecure=False)


def test_a_run_that_is_killed_as_it_makes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever that is, it is gone on with."""
    real, calls = os.mkdir, iter(range(100))

    def mkdir(path: Any, *args: Any, **more: Any) -> None:
        if next(calls) == at:
            raise KeyboardInterrupt
        real(path, *args, **more)

    for at in range(7):
        there, calls = tmp_path / str(at), iter(range(100))
        monkeypatch.setattr(os, "mkdir", mkdir)
        with pytest.raises(KeyboardInterrupt):
            place.prepared(there, insecure=False)
        monkeypatch.undo()
        assert place.prepared(there, insecure=False).names() == []


def test_what_a_file_system_lost_of_it_stops_nobody(made: Place) -> None:
    for path in (made.pool / "sha512", made.incoming):
        path.rmdir()
    place.sweep(made)
    assert list(place.blobs(made)) == []


@pytest.mark.promise("backup-of-somebody-elses")
@pytest.mark.parametrize("inside", ["a file", place.MARKER])
def test_one_of_somebody_elses_is_left_alone(tmp_path: Path, inside: str) -> None:
    (tmp_path / inside).write_text("{}")
    for insecure in (False, True):
        with pytest.raises(BadInput):
            place.prepared(tmp_path, insecure=insecure)
    assert inside_of(tmp_path) == [inside]


def test_one_of_a_later_version_is_not_touched(made: Place) -> None:
    (made.path / place.MARKER).write_text('{"format": 2}')
    for act in (place.found, lambda path: place.prepared(path, insecure=True)):
        with pytest.raises(BadInput, match=r"of a format \(2\)"):
            act(made.path)


def test_what_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises((BadInput, SecregError)):
        place.prepared(tmp_path / "file", insecure=False)
    with pytest.raises(BadInput, match="is no directory of backups"):
        place.found(tmp_path / "gone")


@pytest.mark.promise("backup-refuses-where-others-read")
def test_where_others_can_write_is_no_place_for_secrets(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(BadInput, match="others can write there"):
        place.prepared(tmp_path, insecure=False)
    with pytest.raises(BadInput, match="others can write there"):
        place.prepared(tmp_path, insecure=False, sealed=True)
    assert inside_of(tmp_path) == []
    place.prepared(tmp_path, insecure=True)


@pytest.mark.promise("backup-refuses-where-others-read")
@pytest.mark.parametrize("folder", place.FOLDERS)
def test_where_others_can_write_below_it(made: Place, folder: str) -> None:
    """Seen red: the directory itself was looked at alone."""
    path = made.path / folder
    path.chmod(0o777)
    with pytest.raises(BadInput, match="no place for keys"):
        place.prepared(made.path, insecure=False)
    path.chmod(0o700)
    assert place.prepared(made.path, insecure=False) == made


@pytest.mark.promise("backup-refuses-where-others-read")
def test_where_modes_do_not_hold_is_none_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CIFS and FAT say 0755 of whatever was made."""
    real = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        return os.stat_result((found.st_mode | 0o055, *found[1:]))

    monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(BadInput, match="keeps no modes"):
        place.prepared(tmp_path / "new", insecure=False)
    assert inside_of(tmp_path / "new") == [], "nothing was left there"
    place.prepared(tmp_path / "new", insecure=False, sealed=True)
    place.prepared(tmp_path / "other", insecure=True)


def test_a_disk_that_went_is_noticed(made: Place) -> None:
    made.check()
    made.path.rename(made.path.with_name("elsewhere"))
    made.path.mkdir()
    with pytest.raises(SecregError, match="is not there any more"):
        made.check()
    another = place.prepared(made.path, insecure=False)
    with pytest.raises(SecregError, match="is not there any more"):
        made.check()  # seen red: another disk was as good
    another.check()


def test_a_directory_that_cannot_be_synced_is_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(_: int) -> None:
        raise OSError(number, "")

    monkeypatch.setattr(os, "fsync", fsync)
    number = errno.EINVAL
    place.sync(tmp_path)
    number = errno.EIO
    with pytest.raises(OSError):
        place.sync(tmp_path)


@pytest.mark.parametrize(
    ("names", "name"),
    [
        ([], "20261130T051500Z"),
        (["20261130T051459Z"], "20261130T051500Z"),
        (["20261130T051500Z"], "20261130T051500Z-2"),
        (["20261130T051500Z", "20261130T051500Z-9"], "20261130T051500Z-10"),
        (["20250101T000000Z", "20270101T000000Z"], "20270101T000000Z-2"),
    ],
)
def test_each_name_is_behind_those_before(names: list[str], name: str) -> None:
    found = place.next_name(names, NOW)
    assert found == name and place.BACKUP.fullmatch(name)
    assert sorted([*names, name], key=place.order)[-1] == name


def test_a_name_behind_which_nothing_is_hides_no_backup() -> None:
    """Seen red: the next one was called what nobody takes for a backup."""
    with pytest.raises(BadInput, match="no name of a backup comes after") as caught:
        place.next_name(["99999999T999999Z-999999999"], NOW, Path("/there"))
    assert "mv /there/99999999T999999Z-999999999 /there/" in caught.value.problems[0].hint, (
        "seen red: of which directory"
    )
    assert place.next_name(["20261399T999999Z"], NOW) == "20261399T999999Z-2"


def test_backups_are_listed_by_age(made: Place) -> None:
    names = ["20250101T000000Z", "20250101T000000Z-2", "20250101T000000Z-10", "20260101T000000Z"]
    for name in (*names[::-1], "x", ".20250101T000000Z.new"):
        (made.lists / name).touch()
    assert made.names() == names
    assert place.made_at(names[2]) == datetime(2025, 1, 1, tzinfo=UTC)


def test_blobs_are_what_is_called_so(made: Place) -> None:
    path = Path(made.blob(DIGEST))
    path.parent.mkdir()
    path.write_bytes(b"12345")
    assert made.size(DIGEST) == 5 and made.size("sha512:" + "0" * 128) is None
    (path.parent / "README").touch()
    (made.pool / "sha256/ac").mkdir()
    (made.pool / "sha256/ac" / path.name).touch()
    (made.pool / "sha256/ad").symlink_to(path.parent)
    assert list(place.blobs(made)) == [(DIGEST, path)]


def test_what_a_killed_run_left_is_swept(made: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what it put into the pool is on disk before anybody counts on it."""
    synced: list[Path] = []
    monkeypatch.setattr(place, "sync", synced.append)
    place.sweep(made)
    assert synced == []
    (made.pool / "sha256/ab").mkdir()
    (made.incoming / "x").touch()
    (made.incoming / "directory").mkdir()
    place.sweep(made)
    assert inside_of(made.incoming) == ["directory"]
    assert sorted(synced) == [made.pool / "sha256", made.pool / "sha256/ab", made.pool / "sha512"]


def no_flock(*_: Any) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.fixture(params=["flock", "by name"])
def lock(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(holding, "WAIT_SECONDS", 0.05)
    if request.param == "by name":
        monkeypatch.setattr(fcntl, "flock", no_flock)
    return tmp_path / "lock"


def test_two_at_once_are_refused(lock: Path) -> None:
    said = rf"secure-registry backup create \(process {os.getpid()} on {socket.gethostname()}\) works in {lock.parent}"
    with holding.held(lock, "backup create"):
        with pytest.raises(SecregError, match=said) as caught, holding.held(lock, "backup prune"):
            pass
    assert f"kill {os.getpid()}" in caught.value.hint, "seen red: how"
    with holding.held(lock, "backup prune"):
        pass


def test_nothing_is_removed_while_a_backup_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And two may read at once. Seen red: prune ran beside a restore."""
    monkeypatch.setattr(holding, "WAIT_SECONDS", 0.05)
    lock = tmp_path / "lock"
    with holding.looking(lock, "restore"), holding.looking(lock, "restore"):
        with pytest.raises(SecregError, match="secure-registry restore"), holding.held(lock, "backup prune"):
            pass
    with holding.held(lock, "backup prune"):
        with pytest.raises(SecregError, match="backup prune"), holding.looking(lock, "restore"):
            pass
        monkeypatch.setattr(os, "access", lambda *_: False)
        with holding.looking(lock, "restore"):
            pass  # a disk that is mounted read-only


@pytest.mark.parametrize(
    ("changed", "taken"),
    [
        ({}, True),
        ({"pid": os.getpid()}, False),
        ({"pid": os.getpid(), "boot": "another"}, True),
        ({"host": "elsewhere"}, False),
        ({"more": "x"}, False),
        (None, False),
    ],
)
def test_what_a_killed_process_of_this_host_left_is_taken_over(
    changed: dict[str, object] | None, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(fcntl, "flock", no_flock)
    left = {"host": socket.gethostname(), "boot": holding._boot(), "pid": 2**22 + 1, "doing": "backup create"}
    (tmp_path / "lock.held").write_text("" if changed is None else json.dumps(left | changed))
    act: Callable[[], object] = lambda: holding.held(tmp_path / "lock", "x").__enter__()  # noqa: E731
    if taken:
        act()
    else:
        with pytest.raises(SecregError, match="works in") as caught:
            act()
        assert f"rm {tmp_path}/lock.held" in caught.value.hint


def test_where_a_server_lets_root_be_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS by default. Seen red: root was told to chown(1) what he can't, on a mount of a real one."""
    (tmp_path / "there").mkdir()
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    for kind, said in (("nfs4", "srv:/x, exports(5): no_root_squash"), ("ext4", "make it yours alone: chown ")):
        monkeypatch.setattr(distant, "mount_at", lambda _, kind=kind: distant.Mount(kind, frozenset(), "srv:/x"))
        with pytest.raises(BadInput) as caught:
            place.prepared(tmp_path / "there", insecure=False)
        assert said in caught.value.problems[0].hint
