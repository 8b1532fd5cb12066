"""Tags that say nothing are what they were last, where that is without doubt, and pushes meanwhile win."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from secreg_host.images import mending
from secreg_host.images.layout import Repository
from secreg_host.images.mending import CLEAR, Was
from tests import killed
from tests.stores import Store

ONE, TWO = "sha256:" + 64 * "1", "sha256:" + 64 * "2"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.mark.promise("mends-without-doubt")
@pytest.mark.parametrize(
    ("found", "is_sure"),
    [
        ([], False),
        ([Was(ONE, 1000, True)], True),
        ([Was(ONE, 1000, False)], False),
        ([Was(ONE, 1000, True), Was(TWO, 1000, True)], False),
        ([Was(ONE, 1000 + CLEAR - 1, True), Was(TWO, 1000, True)], False),
        ([Was(ONE, 1000 + CLEAR, True), Was(TWO, 1000, True)], True),
        ([Was(ONE, 9000, True), Was(TWO, 1000, False)], True),
        ([Was(ONE, 9000, False), Was(TWO, 1000, True)], False),
    ],
)
def test_what_is_without_doubt(found: list[Was], is_sure: bool) -> None:
    """Seen red: with CLEAR = 0; without a look at whether the newest is whole."""
    assert mending.newest(found) == (ONE if is_sure else "")


@pytest.mark.promise("mends-without-doubt")
@pytest.mark.parametrize("damage", ["empty", "odd", "away"])
def test_it_is_what_it_was_last(store: Store, damage: str) -> None:
    store.push("a", "one", "1")
    new, one = store.push("a", "two", "1"), Repository(store.tree, "a")
    os.utime(one.once("1", new), (2000, 2000))
    assert list(mending.cut(store.tree, [("a", "1")])) == []
    hurt(Path(one.current("1")), damage)
    (cut,) = mending.cut(store.tree, [("a", "1"), ("a", "never")])
    assert [was.seconds for was in cut.was] == [2000, 1000] and mending.newest(cut.was) == new
    assert mending.mend(one, "1", new) == new
    assert Path(one.current("1")).read_text() == new and not mending.is_cut(one, "1")


def hurt(link: Path, damage: str) -> None:
    if damage == "away":
        link.unlink()
        link.parent.rmdir()
    else:
        link.write_text("" if damage == "empty" else "x" * 99)


def test_what_is_gone_or_odd_is_not_whole(store: Store) -> None:
    gone, odd, bare = (store.push("a", word, "1") for word in ("gone", "odd", "bare"))
    one = Repository(store.tree, "a")
    Path(one.revision(gone)).unlink()
    Path(one.once("1", odd)).write_text("")
    Path(store.tree.blob(bare)).unlink()
    assert {was.digest: was.whole for was in mending.history(one, "1")} == {gone: False, odd: False, bare: False}


@pytest.mark.promise("mends-without-doubt")
def test_a_push_before_it_is_left(store: Store) -> None:
    old, new = store.push("a", "one", "1"), store.push("a", "two", "1")
    one = Repository(store.tree, "a")
    assert mending.mend(one, "1", old) == new and Path(one.current("1")).read_text() == new


@pytest.mark.promise("mends-without-doubt")
def test_a_push_meanwhile_wins(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes its entry, and what the tag is, between the look and the write. Seen red: without the second look."""
    old, one = store.push("a", "one", "1"), Repository(store.tree, "a")
    Path(one.current("1")).write_text("")
    pushed: list[str] = []
    real = mending._write

    def write(link: str, digest: str) -> None:
        if not pushed:
            pushed.append(store.push("a", "two", "1"))
        real(link, digest)

    monkeypatch.setattr(mending, "_write", write)
    assert mending.mend(one, "1", old) == pushed[0] and Path(one.current("1")).read_text() == pushed[0]


def test_a_tag_that_is_deleted_meanwhile_stays_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen red: an error, and the rest was not mended."""
    old, one = store.push("a", "one", "1"), Repository(store.tree, "a")
    Path(one.current("1")).write_text("")
    real = mending._write

    def write(link: str, digest: str) -> None:
        shutil.rmtree(f"{one.tagged}/1")
        real(link, digest)

    monkeypatch.setattr(mending, "_write", write)
    assert mending.mend(one, "1", old) == "" and not Path(one.tagged, "1").exists()


def test_what_is_no_file_stays(store: Store, tmp_path: Path) -> None:
    """Seen red: a link was written through."""
    old, one = store.push("a", "one", "1"), Repository(store.tree, "a")
    link, other = Path(one.current("1")), tmp_path / "other"
    other.write_text("of somebody else")
    link.unlink()
    link.symlink_to(other)
    with pytest.raises(OSError):
        mending.mend(one, "1", old)
    with pytest.raises(OSError):
        mending._write(str(link), old)  # it came after the look
    assert link.is_symlink() and other.read_text() == "of somebody else"


@pytest.mark.promise("mends-without-doubt")
@pytest.mark.parametrize("call", ["pwrite", "ftruncate", "fsync"])
def test_one_that_is_cut_is_done_again(store: Store, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """At each step what is there is what was, or mended."""
    old, one = store.push("a", "one", "1"), Repository(store.tree, "a")
    Path(one.current("1")).write_text("x" * 99)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, call, killed)
    with pytest.raises(KeyboardInterrupt):
        mending.mend(one, "1", old)
    monkeypatch.undo()
    assert mending.is_cut(one, "1") or Path(one.current("1")).read_text() == old
    assert mending.mend(one, "1", old) == old and Path(one.current("1")).read_text() == old


@pytest.mark.promise("mends-without-doubt")
def test_mending_that_is_killed_at_any_step_is_done_again(tmp_path: Path) -> None:
    """Of several tags, in several ways: what was not mended yet is so the next time, and all else is as it was."""
    number, was = 0, True
    while was:
        store = Store(tmp_path / str(number))
        digests = {tag: store.push("a", tag, tag) for tag in ("empty", "odd", "away", "whole")}
        one = Repository(store.tree, "a")
        for tag in ("empty", "odd", "away"):
            hurt(Path(one.current(tag)), tag)

        def work(one: Repository = one, store: Store = store) -> Iterator[str]:
            for cut in mending.cut(store.tree, [("a", tag) for tag in one.tags()]):
                yield mending.mend(one, cut.tag, mending.newest(cut.was))

        was = killed.killed(work(), number)
        there = {tag: Path(one.current(tag)) for tag in digests}
        for tag, link in there.items():
            assert mending.is_cut(one, tag) or link.read_text() == digests[tag], (number, tag)
        list(work())
        assert {tag: link.read_text() for tag, link in there.items()} == digests, number
        number += 1
    assert number > 5
