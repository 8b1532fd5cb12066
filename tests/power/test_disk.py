"""The model of a disk: programs that are known to be wrong are found wrong, and those that are right, right."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.power import cuts
from tests.power.cuts import Tree
from tests.power.disk import BLOCK, Disk
from tests.power.trace import Change, changes

OLD, NEW = b"old\n", b"new\n"


@pytest.fixture
def at(tmp_path: Path) -> Path:
    """A directory with a file that is on disk."""
    (tmp_path / "conf").write_bytes(OLD)
    return tmp_path


def replacing(at: Path, *, synced: bool = True, named: bool = True) -> list[Change]:
    """How a file is replaced."""
    new, conf = at / ".conf.new", at / "conf"
    made = [Change("make", new, mode=0o600), Change("write", new, data=NEW)]
    return [*made, *[Change("sync", new)] * synced, Change("rename", new, conf), *[Change("sync", at)] * named]


def found(at: Path, done: list[Change]) -> list[Tree]:
    """All that cuts leave."""
    return [cut.tree for cut in cuts.cuts(Disk(at), done, 1)]


def conf(trees: list[Tree]) -> set[bytes | None]:
    """What the file held."""
    return {one["conf"][1] if "conf" in one else None for one in trees}


def last(at: Path, done: list[Change]) -> set[bytes | None]:
    """The same, after all of it was done."""
    disk = Disk(at)
    for change in done:
        disk.apply(change)
    return conf([one for _, one in cuts.states(disk, random.Random(1), 4)])


def test_a_file_that_is_written_anew_is_lost(at: Path) -> None:
    """open("conf", "w").write(…), as ALICE's authors found it in half of the programs that they looked at."""
    path = at / "conf"
    done = [Change("cut", path), Change("write", path, data=NEW)]
    assert conf(found(at, done)) == {OLD, NEW, b"", bytes(len(NEW))}
    assert last(at, [*done, Change("sync", path)]) == {NEW}


def test_a_rename_may_come_before_the_bytes(at: Path) -> None:
    assert conf(found(at, replacing(at, synced=False))) == {OLD, NEW, b"", bytes(len(NEW))}
    assert last(at, replacing(at, synced=False)) == {NEW, b"", bytes(len(NEW))}, "syncing the directory is no help"


def test_a_rename_is_on_disk_once_its_directory_was_synced(at: Path) -> None:
    assert conf(found(at, replacing(at))) == {OLD, NEW}
    assert last(at, replacing(at)) == {NEW}
    assert last(at, replacing(at, named=False)) == {OLD, NEW}
    assert last(at, [*replacing(at, synced=False, named=False), Change("all")]) == {NEW}


def test_what_a_cut_leaves_of_a_temporary_file(at: Path) -> None:
    left = {".conf.new" in one for one in found(at, replacing(at))}
    assert left == {True, False}


def test_a_file_in_a_directory_whose_name_was_not_synced(at: Path) -> None:
    path = at / "etc/conf.d"
    inside = [Change("make", path / "x", mode=0o600), Change("sync", path / "x"), Change("sync", path)]
    done = [Change("mkdir", at / "etc", mode=0o755), Change("mkdir", path, mode=0o755), *inside]
    disk = Disk(at)
    for change in done:
        disk.apply(change)
    assert "etc/conf.d/x" not in cuts.tree(disk, lambda _: 0, cuts.old)
    disk.apply(Change("sync", at))
    assert "etc/conf.d/x" not in cuts.tree(disk, lambda _: 0, cuts.old), "that of the directory between is not"
    disk.apply(Change("sync", at / "etc"))
    assert "etc/conf.d/x" in cuts.tree(disk, lambda _: 0, cuts.old)


def test_what_is_removed_may_come_back(at: Path) -> None:
    gone = Change("unlink", at / "conf")
    assert last(at, [gone]) == {OLD, None}
    assert last(at, [gone, Change("sync", at)]) == {None}


def test_two_directories_keep_no_order(at: Path) -> None:
    """A record that says that a file is gone may be on disk before that."""
    (at / "a").mkdir()
    (at / "a/mine").write_bytes(OLD)
    done = [Change("unlink", at / "a/mine"), *replacing(at)]
    assert any(one["conf"][1] == NEW and "a/mine" in one for one in found(at, done))
    done.insert(1, Change("sync", at / "a"))
    assert not any(one["conf"][1] == NEW and "a/mine" in one for one in found(at, done))


def test_names_of_one_directory_keep_their_order(at: Path) -> None:
    done = [Change("make", at / name, mode=0o600) for name in "abc"]
    kept = {"".join(name for name in "abc" if name in one) for one in found(at, done)}
    assert kept == {"", "a", "ab", "abc"}


def test_blocks_of_a_file_keep_none(at: Path) -> None:
    (at / "conf").write_bytes(b"o" * 2 * BLOCK)
    written = Change("write", at / "conf", data=b"n" * 2 * BLOCK, at=0)
    ends = {(data[:1], data[-1:]) for data in conf(found(at, [written])) if data}
    assert {(b"o", b"o"), (b"n", b"n"), (b"n", b"o"), (b"o", b"n")} == ends, "what is written over is never empty"


def test_a_link_is_followed_and_flipped(at: Path) -> None:
    (at / "one").mkdir()
    (at / "two").mkdir()
    (at / "current").symlink_to("one")
    done = [
        Change("make", at / "current/x", mode=0o600),
        Change("symlink", at / ".current.new", Path("two")),
        Change("rename", at / ".current.new", at / "current"),
    ]
    leads = {one["current"][1] for one in found(at, done)}
    assert leads == {b"one", b"two"} and any("one/x" in one for one in found(at, done))


def test_what_is_in_memory_is_left_out(at: Path) -> None:
    (at / "run").mkdir()
    disk = Disk(at, ("run",))
    assert not disk.apply(Change("make", at / "run/x", mode=0o600)) and set(cuts.tree(disk)) == {"conf"}


LINES = r"""
7 openat(AT_FDCWD<\x2f>, "\x2f\x61\x2f\x62", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 3<\x2f\x61\x2f\x62>
7 write(3<\x2f\x61\x2f\x62>, "\x68\x69", 2) = 2
7 write(3<\x2f\x61\x2f\x62>, "\x21\x0a", 2) = 1
7 chmod("\x2f\x70\x72\x6f\x63\x2f\x73\x65\x6c\x66\x2f\x66\x64\x2f\x33", 0640) = 0
7 fsync(3<\x2f\x61\x2f\x62>) = 0
7 renameat2(4<\x2f\x61>, "\x62", AT_FDCWD<\x2f>, "\x61\x2f\x63", 0) = 0
7 unlinkat(4<\x2f\x61>, "\x64", AT_REMOVEDIR) = 0
8 write(3<\x2f\x61\x2f\x63>(deleted), "\x68\x69", 2) = 2
8 syncfs(5<\x2f\x61> <unfinished ...>
7 unlink("\x2f\x61\x2f\x65") = -1 ENOENT (No such file or directory)
9 +++ exited with 0 +++
8 <... syncfs resumed>) = 0
8 openat(AT_FDCWD<\x2f>, "\x65\x74\x63", O_RDONLY|O_CLOEXEC) = 3<\x2f\x65\x74\x63>
8 write(0<\x2f\x61\x2f\x62>, "\x00", 1 <detached ...>
"""


def test_what_strace_tells() -> None:
    assert changes(LINES.split("\n")[1:-1], Path("/a")) == [
        Change("make", Path("/a/b"), mode=0o600),
        Change("write", Path("/a/b"), data=b"hi", at=0),
        Change("write", Path("/a/b"), data=b"!", at=2),
        Change("mode", Path("/a/b"), mode=0o640),
        Change("sync", Path("/a/b")),
        Change("rename", Path("/a/b"), Path("/a/c")),
        Change("rmdir", Path("/a/d")),
        Change("all"),
    ]


def test_what_is_not_understood_is_an_error(at: Path) -> None:
    with pytest.raises(ValueError, match="strace"):
        changes(["something else"], at)
    hexed = "".join(f"\\x{byte:02x}" for byte in str(at / "conf").encode())
    (found,) = changes([f"7 copy_file_range(3<\\x2f>, NULL, 4<{hexed}>, NULL, 5, 0) = 5"], at)
    with pytest.raises(LookupError, match="not known"):
        Disk(at).apply(found)
