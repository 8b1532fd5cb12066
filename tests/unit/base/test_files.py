"""Files are whole, durable, and nobody's but their owner's, from the first byte."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from secreg_host.base import files
from secreg_host.base.errors import SecregError
from tests.world import Clock


class Disk:
    """What happens to files: each fsync(2) and each change of a name, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done, self.modes = list[tuple[str, str]](), list[int]()
        fsync, replace = os.fsync, Path.replace

        def synced(descriptor: int) -> None:
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            self.done.append(("directory" if path.is_dir() else "file", path.name.partition(".secreg")[0]))
            fsync(descriptor)

        def replaced(path: Path, target: Path) -> Path:
            self.done.append(("name", Path(target).name))
            return replace(path, target)

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(Path, "replace", replaced)

    @property
    def steps(self) -> list[str]:
        return [what for what, _ in self.done]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """Whatever the umask: it is none of the program's."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_what_is_written_is_on_disk_before_it_has_its_name(disk: Disk, tmp_path: Path) -> None:
    """And its name is, when that is said: a power cut leaves the old bytes or the new."""
    files.write(tmp_path / "x", b"new", 0o640)
    assert disk.steps == ["file", "name", "directory"] and disk.done[2][1] == tmp_path.name
    assert (mode(tmp_path / "x"), (tmp_path / "x").read_bytes()) == (0o640, b"new")


def test_a_directory_that_is_made_is_on_disk(disk: Disk, tmp_path: Path) -> None:
    """Each name on the way: what is synced in it is of no use without."""
    files.make_directory(tmp_path / "a/b", 0o700)
    assert disk.done == [("directory", tmp_path.name), ("directory", "a")]
    files.make_directory(tmp_path / "a/b", 0o750)
    assert len(disk.done) == 2 and mode(tmp_path / "a/b") == 0o750, "it is there"
    files.make_directory(tmp_path / "c", 0o700, durable=False)
    assert len(disk.done) == 2 and mode(tmp_path / "c") == 0o700


def test_what_is_removed_is_gone_for_good(disk: Disk, tmp_path: Path) -> None:
    """Else a power cut brings it back, while a record says that it is gone."""
    (tmp_path / "x").write_bytes(b"")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "folder/a").mkdir(parents=True)
    files.remove(tmp_path / "x")
    files.remove(tmp_path / "link")
    files.remove_tree(tmp_path / "folder")
    assert disk.done == [("directory", tmp_path.name)] * 3 and list(tmp_path.iterdir()) == []
    files.remove(tmp_path / "x")
    files.remove_tree(tmp_path / "folder")
    assert len(disk.done) == 3, "there was nothing"
    (tmp_path / "directory").mkdir()
    with pytest.raises(SecregError, match="cannot remove"):
        files.remove(tmp_path / "directory")


def test_all_that_is_in_a_directory_is_on_disk(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "folder/a").mkdir(parents=True)
    files.create(tmp_path / "folder/a/x", b"x", 0o400, durable=False)
    (tmp_path / "folder/y").write_bytes(b"y")
    assert disk.done == []
    files.sync_tree(tmp_path / "folder")
    assert disk.done == [("file", "y"), ("directory", "folder"), ("file", "x"), ("directory", "a")]


def test_a_link_is_on_disk(disk: Disk, tmp_path: Path) -> None:
    link = tmp_path / "current"
    files.flip(link, "generations/one")
    assert disk.done == [("name", "current"), ("directory", tmp_path.name)]
    files.flip(link, "generations/one")
    assert len(disk.done) == 2, "it leads there already"
    files.flip(link, "generations/two")
    assert str(link.readlink()) == "generations/two" and list(tmp_path.iterdir()) == [link]


def test_what_is_created_is_on_disk_and_takes_nobodys_place(disk: Disk, tmp_path: Path) -> None:
    files.create(tmp_path / "x", b"new", 0o400)
    assert disk.steps == ["file"] and mode(tmp_path / "x") == 0o400
    with pytest.raises(SecregError):
        files.create(tmp_path / "x", b"other", 0o400)
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(SecregError):
        files.create(tmp_path / "link", b"other", 0o400)
    assert (tmp_path / "x").read_bytes() == b"new" and not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("write", [files.write, files.create])
def test_nobody_else_reads_what_is_just_written(
    write: Callable[[Path, bytes, int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is whole, not even those who may then."""
    found = list[int]()
    fchmod = os.fchmod

    def change(descriptor: int, wanted: int) -> None:
        found.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        fchmod(descriptor, wanted)

    monkeypatch.setattr(os, "fchmod", change)
    write(tmp_path / "x", b"secret", 0o644)
    assert [one & 0o077 for one in found] == [0] and mode(tmp_path / "x") == 0o644


def test_a_shortened_file_is_on_disk_and_never_longer(disk: Disk, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"alice\nbob\n")
    files.shorten(path, b"bob\n")
    assert (disk.steps, path.read_bytes()) == (["file"], b"bob\n")
    with pytest.raises(SecregError):
        files.shorten(path, b"alice\nbob\n")
    assert path.read_bytes() == b"bob\n"


def test_what_can_not_be_written_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SecregError, match="No space left"):
        files.write(path, b"new", 0o600)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_the_programs_memory_is_its_own(tmp_path: Path) -> None:
    files.write_own(tmp_path / "state/report.json", b"{}")
    assert (mode(tmp_path / "state"), mode(tmp_path / "state/report.json")) == (0o700, 0o600)


def test_an_edited_file_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    real.chmod(0o604)
    link.symlink_to("real")
    files.rewrite(link, b"new")
    assert (link.is_symlink(), mode(real), real.read_bytes()) == (True, 0o604, b"new")
    files.rewrite(tmp_path / "fresh", b"new")
    assert mode(tmp_path / "fresh") == files.SECRET


def test_a_lock_is_one_run_s_and_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    path = tmp_path / "run/lock"
    path.parent.mkdir()
    path.touch(0o666)
    looked = list[str]()
    with files.lock(path, "reload"):
        assert mode(path) == 0o600, "who can open it can hold it"
        assert files.held(path) and b"reload" in path.read_bytes()
        with pytest.raises(SecregError, match=r"reload \(process \d+\) holds"):
            with files.lock(path, "start", 9.0, lambda: looked.append("users")):
                pytest.fail("two hold it")
    assert looked and not files.held(path) and path.read_bytes() == b""
    with files.lock(path, "start", 0.0):
        pass


def test_a_lock_goes_with_what_raises(tmp_path: Path) -> None:
    with contextlib.suppress(KeyError), files.lock(tmp_path / "lock", "reload"):
        raise KeyError
    assert not files.held(tmp_path / "lock")


def test_others_lose_what_they_need_not_have(tmp_path: Path) -> None:
    path, link = tmp_path / "x", tmp_path / "link"
    path.touch()
    link.symlink_to("x")
    for before, wanted, after in ((0o777, 0o640, 0o770), (0o644, 0o644, 0o644), (0o646, 0o640, 0o640)):
        path.chmod(before)
        files.close(path, wanted)
        assert mode(path) == after
    path.chmod(0o777)
    files.close(link, 0o600)
    assert mode(path) == 0o777
