"""Clocks that jump, and disks that fill up: nothing is emptied, no image is broken, and what was deleted comes back."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from secreg_host.images import deleting, moving, undeleting
from secreg_host.images.collecting import Collector, Wish
from secreg_host.images.layout import Repository, Tree
from secreg_host.images.survey import Entry
from secreg_host.images.targets import Target
from secreg_host.images.trash import Trash
from tests.distribution import Distribution, image
from tests.stores import digest_of

MONTH = 31 * 86400
DAILY = Wish(grace=3600, untagged=7 * 86400, days=14, daily=True)


@pytest.fixture
def registry(tmp_path: Path) -> Distribution:
    """Images with a tag, one that was overwritten, and one that was deleted by hand."""
    made = Distribution(Tree(tmp_path))
    for words, tag in (("old", "1"), ("new", "1"), ("deleted", "2")):
        push(made, words, tag)
    list(deleting.delete(made.tree, deleting.plan(made.tree, [Target("a", "2")]), "images rm"))
    time.sleep(0.01)
    return made


def push(registry: Distribution, words: str, tag: str) -> str:
    return registry.put("a", tag, image(*(registry.upload("a", data) for data in (b"{}", words.encode()))))


def jumped(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """What the file system says of the time from now on; files have their times from before."""
    monkeypatch.setattr(Trash, "now", lambda self: time.time_ns() + seconds * 10**9)


def collect(registry: Distribution, wish: Wish = DAILY) -> list[Entry]:
    return list(Collector(registry.tree, wish, registry.settled).collect())


def is_all_there(registry: Distribution) -> bool:
    """Whether images are whole, and what is in the trash has its bytes."""
    digests = list(Trash(registry.tree).digests())
    there = all(registry.tree.size(digest) is not None for digest in digests)
    bytes_of = (b"old", b"new", b"deleted")
    return registry.wrong() == [] and there and all(registry.tree.size(digest_of(data)) for data in bytes_of)


def test_a_month_ahead_and_back_empties_nothing(registry: Distribution, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirteen daily runs while the clock is ahead: all is old by it, and nothing was in the trash for its days."""
    jumped(monkeypatch, MONTH)
    for _ in range(13):
        collect(registry)
        assert is_all_there(registry)
    monkeypatch.undo()
    for _ in range(3):
        collect(registry)
        assert is_all_there(registry)
    assert [entry[0] for entry in undeleting.undelete(registry.tree, Target("a", "2"))] == ["tag"]
    assert registry.wrong() == []


def test_a_year_back_empties_nothing(registry: Distribution, monkeypatch: pytest.MonkeyPatch) -> None:
    """What went to the trash in the future stays there."""
    jumped(monkeypatch, MONTH)
    collect(registry)
    jumped(monkeypatch, -12 * MONTH)
    for _ in range(20):
        assert not {entry[0] for entry in collect(registry)} & {"hidden", "emptied", "freed", "uploads"}
        assert is_all_there(registry)


def test_files_of_another_time_are_as_old_as_their_last_change(registry: Distribution) -> None:
    """Whoever unpacked them gave them the times that they had."""
    left = registry.upload("a", b"left")
    link, data = Repository(registry.tree, "a").layer(left), registry.tree.blob(left)
    for when in (1000, time.time() + MONTH):
        for path in (link, data):
            os.utime(path, (when, when))
        assert collect(registry) == [] and registry.head("a", left)


def test_a_disk_that_fills_up_while_links_go(registry: Distribution, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that went are freed, and the next run does the rest. Seen red: the run ended there, and freed nothing."""
    for name in ("a", "b", "c"):
        for words in ("one", "two"):
            registry.put(name, "1", image(*(registry.upload(name, data) for data in (b"{}", (name + words).encode()))))
    time.sleep(0.01)
    real, count = moving.second, 0

    def second(source: str, target: str) -> bool:
        nonlocal count
        count += "/b/" in source
        if "/b/" in source and count == 2:
            raise OSError(errno.ENOSPC, "No space left on device", target)
        return real(source, target)

    monkeypatch.setattr(moving, "second", second)
    wish = Wish(grace=0, untagged=0, purge=True)
    found = collect(registry, wish)
    assert ("held", "b", "the disk is full: once more frees more") in found
    assert registry.wrong() == [] and registry.tree.size(digest_of(b"aone")) is None
    assert registry.tree.size(digest_of(b"bone")) and registry.head("b", digest_of(b"bone"))
    count = 9
    collect(registry, wish)
    assert registry.wrong() == [] and registry.tree.size(digest_of(b"bone")) is None
    assert registry.tree.size(digest_of(b"cone")) is None
