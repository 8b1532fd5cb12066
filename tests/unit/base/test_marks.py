"""Whether a file is still the same: every way of saving changes its mark, and nothing that only reads."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from secreg_host.base import distant, marks, waiting


def rewritten(path: Path) -> None:
    """With as many bytes, and the date of before; once the kernel's clock, which ticks, says another time."""
    before, probe = path.stat(), path.with_name("probe")

    def ticked() -> bool:
        probe.write_text("")
        return probe.stat().st_ctime_ns > before.st_ctime_ns

    assert waiting.until(ticked, 60.0, 0.001)
    path.write_text("two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path) -> None:
    before = path.stat()
    new = path.with_name("new")
    new.write_text("two")
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.rename(path)


WAYS: tuple[Callable[[Path], object], ...] = (
    lambda path: path.write_text("longer"),
    rewritten,
    replaced,
    lambda path: os.utime(path, (1, 1)),
    lambda path: path.chmod(0o600),
    Path.unlink,
)


@pytest.mark.parametrize("change", WAYS)
def test_every_way_of_saving_is_seen(tmp_path: Path, change: Callable[[Path], object]) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    path.chmod(0o640)
    known = marks.mark(path)
    assert marks.mark(str(path)) == known
    path.read_text()
    assert marks.mark(path) == known
    change(path)
    assert marks.mark(path) != known


FIELDS = ("mode", "inode", "device", "names", "owner", "group", "size", "read")


@pytest.mark.parametrize("field", FIELDS)
def test_what_of_stat_counts(field: str) -> None:
    """Within one tick of the kernel's clock times say nothing. To read it, or to give it another name, is no save."""
    known = [0o100644, *range(1, 10)]
    other = list(known)
    other[FIELDS.index(field)] += 1
    differs = marks.of(os.stat_result(known)) != marks.of(os.stat_result(other))
    assert differs == (field not in ("names", "read"))


def test_another_target_of_any_link_is_seen(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    (tmp_path / "live").symlink_to("one")
    (tmp_path / "link").symlink_to("live/file")
    known = marks.mark(tmp_path / "link")
    (tmp_path / "live").unlink()
    assert marks.mark(tmp_path / "link") != known
    (tmp_path / "live").symlink_to("two")
    assert f"{tmp_path}/two/file " in marks.mark(tmp_path / "link")


def test_what_is_in_a_directory_is_no_part_of_its_mark(tmp_path: Path) -> None:
    """Editors leave and remove files of their own there."""
    (tmp_path / "some").mkdir()
    known = marks.mark(tmp_path / "some")
    (tmp_path / "some/.swp").symlink_to("x")
    (tmp_path / "some/.swp").unlink()
    assert marks.mark(tmp_path / "some") == known


def test_what_does_not_answer_is_the_same_for_as_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    monkeypatch.setattr(distant, "mount_of", lambda _: str(tmp_path))
    monkeypatch.setitem(distant._silent, str(tmp_path), waiting.within(600))
    known = marks.mark(path)
    path.touch()
    assert marks.mark(path) == known == f"{path} does not answer"


def test_a_digest_is_that_of_all_pieces_in_their_order() -> None:
    """FIPS 180-4, the one of "abc": what is recorded, and what sha256sum(1) prints."""
    said = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert marks.digest(b"abc") == marks.digest(b"a", b"", b"bc") == said
    assert marks.digest(b"ab", b"c") != marks.digest(b"c", b"ab")


def test_the_size_of_a_directory_is_no_part_of_its_mark(tmp_path: Path) -> None:
    """Its size tells that on some file systems: each push would be a change of where images are."""
    status = list(tmp_path.stat())
    status[stat.ST_SIZE] += 20
    assert marks.of(os.stat_result(status[:10])) == marks.of(os.stat_result(list(tmp_path.stat())[:10]))


def test_many_have_one_mark(tmp_path: Path) -> None:
    """As each by itself has: another one whenever one is written, comes or goes; none of what just changed."""
    paths = [str(tmp_path / name) for name in ("a", "b", "none", "a/below")]
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").symlink_to("a")
    later = time.time() + 10
    first = marks.of_all(paths, later)
    assert first == marks.of_all(paths, later) != "" == marks.of_all(paths, later - 10)
    said = [one.lasting(later) if (one := marks.stamp(path)) else "-" for path in paths]
    assert first == marks.digest("\n".join(said).encode())
    found = {first, marks.of_all(paths[::-1], later)}
    before = (tmp_path / "a").stat()
    (tmp_path / "a").write_text("x")
    os.utime(tmp_path / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    found.add(marks.of_all(paths, later))
    (tmp_path / "none").touch()
    found.add(marks.of_all(paths, later))
    (tmp_path / "b").unlink()
    assert len(found | {marks.of_all(paths, later)}) == 5
