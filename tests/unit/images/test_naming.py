"""What links name, by looks that read only what changed: never less than is named."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from secreg_host.base import distant
from secreg_host.images import layout
from secreg_host.images.layout import Repository
from secreg_host.images.naming import Naming
from tests.stores import Store, digest_of

LATER = 10**20
"""After all that will be written, so that each change shows."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    for number in range(5):
        made.push(f"a/b{number}", str(number), "1")
    return made


def naming(store: Store, monkeypatch: pytest.MonkeyPatch, since: int = LATER) -> tuple[Naming, list[str]]:
    """Looks, and which repositories they read."""
    found, read = Naming(store.tree), list[str]()
    found.since = since or found.since
    real = Naming._read

    def wrapped(self: Naming, one: Repository, mark: int) -> None:
        read.append(one.name)
        real(self, one, mark)

    monkeypatch.setattr(Naming, "_read", wrapped)
    return found, read


def changed(store: Store) -> None:
    time.sleep(0.02)  # the clock of files is coarse


def test_a_later_look_reads_what_changed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, read = naming(store, monkeypatch)
    assert digest_of(b"3") in looks.look() and len(read) == 5
    read.clear()
    assert digest_of(b"3") in looks.look() and read == []
    changed(store)
    new, other = store.layer("a/b1", b"new"), store.layer("a/b1/c", b"other")
    signed = store.manifest("a/b2", {"layers": []})
    assert all(one in looks.look() for one in (new, other, signed)) and read == ["a/b1", "a/b1/c", "a/b2"]


def test_a_change_that_might_not_show_is_looked_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """All was written a moment ago."""
    looks, read = naming(store, monkeypatch, since=0)
    looks.look(), looks.look()
    assert len(read) == 10 and looks.seen == {}


def test_a_link_that_is_back_in_its_place_is_seen(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing changes then but the directory of that blob."""
    link = Path(Repository(store.tree, "a/b1").layer(digest_of(b"1")))
    link.unlink()
    looks, read = naming(store, monkeypatch)
    assert digest_of(b"1") not in looks.look()
    changed(store)
    store.link(str(link), digest_of(b"1"))
    read.clear()
    assert digest_of(b"1") in looks.look() and read == ["a/b1"]


def test_what_is_a_link_tells_nothing(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, elsewhere = Path(Repository(store.tree, "a/b1").path, "_layers/sha256"), tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    looks, _ = naming(store, monkeypatch)
    looks.look()
    assert "a/b1" not in looks.seen and "a/b2" in looks.seen


def test_what_is_far_is_read_each_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distant, "below", lambda path: True)
    looks, read = naming(store, monkeypatch)
    looks.look(), looks.look()
    assert len(read) == 10


def exactly(store: Store) -> set[str]:
    links = (link for one in store.tree.repositories() for links in (one.layers(), one.revisions()) for link in links)
    return {layout.digest_of(link) for link in links if os.path.lexists(link)}


def test_never_less_than_is_named_whatever_happens(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    chance, (looks, read) = random.Random(1), naming(store, monkeypatch)
    long = f"sha512:{'0' * 127}"
    for step in range(120):
        name = f"a/b{chance.randrange(7)}"
        one = Repository(store.tree, name)
        links = [*one.layers(), *one.revisions()]
        match chance.randrange(6):
            case 0:
                store.push(name, str(chance.randrange(9)), "1")
            case 1:
                store.layer(name, str(chance.randrange(20)).encode())
            case 2 if links:
                Path(chance.choice(links)).unlink(missing_ok=True)
            case 3 if links:
                shutil.rmtree(Path(chance.choice(links)).parent)
            case 4:
                shutil.rmtree(one.path, ignore_errors=True)
            case 5:
                store.link(one.layer(f"{long}{chance.randrange(9)}"), long)
        changed(store)
        found = looks.look()
        assert [one for one in exactly(store) if one not in found] == [], step
    assert len(read) < 120 * 5
