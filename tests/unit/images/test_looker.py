"""What a look at a store tells, and that what is remembered changes nothing of it."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from pathlib import Path
from typing import ClassVar

import pytest

from secreg_host.base import marks
from secreg_host.images import looker, remembered, usage
from secreg_host.images.filesystem import Filesystem
from secreg_host.images.layout import Repository
from secreg_host.images.looker import Look, Share
from secreg_host.images.overview import Overview
from tests.stores import Store, digest_of


class Counting(Filesystem):
    """Knows what was read."""

    read_keys: ClassVar[list[str]] = []

    def read(self, key: str, limit: int) -> bytes | None:
        self.read_keys.append(key)
        return super().read(key, limit)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    Counting.read_keys.clear()
    return Store(tmp_path / "images")


def look(store: Store, before: Overview | None = None, *, later: float = 0.0, many: int = 1) -> Overview:
    """What a look finds that begins so many seconds `later`, by `many` lookers."""
    known, found = before or Overview(), Overview()
    driver = Counting(store.tree, time.time() + later)
    shares = [Look(driver, known, store.tree, Share(number, many)) for number in range(many)]
    found.heard([line for one in shares for line in one.lines()], known)
    return found


def plain(found: Overview) -> object:
    """All that somebody could be told."""
    repositories = {name: one._replace(mark="", away=()) for name, one in sorted(found.repositories.items())}
    return repositories, dict(sorted(found.manifests.items())), dict(sorted(found.blobs.items())), usage.images(found)


LATER = 10.0
"""Seconds by which all that is there is old enough to be remembered."""


def test_what_is_there(store: Store) -> None:
    one, two = store.push("a", "one", "1", "latest"), store.push("b/c", "two", "1")
    untagged = store.push("a", "three")
    found = look(store)
    assert set(found.repositories) == {"a", "b/c"} and found.news
    assert found.repositories["a"].tags == {"1": (one, 1000), "latest": (one, 1000)}
    assert found.repositories["a"].revisions == dict.fromkeys(sorted((one, untagged)), 1000)
    assert found.repositories["b/c"].tags == {"1": (two, 1000)}
    assert set(found.blobs[one]) == {digest_of(b"{}"), digest_of(b"shared"), digest_of(b"one")}


def test_platforms_sizes_and_kinds(store: Store) -> None:
    config = store.layer("a", json.dumps({"os": "linux", "architecture": "arm", "variant": "v7"}).encode())
    layer = {"digest": store.layer("a", b"x" * 9), "size": 9}
    arm = store.manifest("a", {"config": {"digest": config, "size": 5}, "layers": [layer]}, "arm")
    children = [
        {"digest": arm, "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}, "size": 1},
        {"digest": store.push("a", "two"), "platform": {"os": "linux", "architecture": "amd64"}},
        {"digest": store.push("a", "attested"), "platform": {"os": "unknown", "architecture": "unknown"}},
    ]
    index = store.manifest("a", {"manifests": children}, "all")
    chart: dict[str, object] = {
        "config": {"digest": config, "mediaType": "application/vnd.cncf.helm.config.v1+json"},
        "layers": [],
    }
    helm = store.manifest("a", chart, "chart")
    said = look(store).manifests
    assert said[arm].platforms == ("linux/arm/v7",) and said[arm].kind == ""
    assert said[index].platforms == ("linux/arm/v7", "linux/amd64") and len(said[index].children) == 3
    assert said[helm].kind == "application/vnd.cncf.helm.config.v1+json" and said[helm].platforms == ()
    assert look(store).blobs[arm] == {config: 5, layer["digest"]: 9}


def test_what_is_odd_is_told(store: Store) -> None:
    one = store.push("a", "one", "1", "empty", "odd", "gone")
    repository = Repository(store.tree, "a")
    Path(repository.current("empty")).write_text("")
    Path(repository.current("odd")).write_text("sha256:ab")
    Path(repository.current("gone")).unlink()
    bad = store.manifest("a", {"layers": "none"}, "bad")
    Path(store.tree.blob(bad)).write_text("no JSON")
    found = look(store)
    assert found.repositories["a"].odd == {
        "empty": "it is a tag of nothing",
        "odd": "its link holds no digest",
        "gone": "it is a tag of nothing",
    }
    assert found.repositories["a"].tags.keys() == {"1", "bad"}
    assert (found.manifests[bad].why, found.manifests[one].why) == ("it is no JSON", "")
    Path(store.tree.blob(bad)).unlink()
    assert look(store).manifests[bad].why == "its bytes are not there"


def test_what_somebody_put_there_holds_up_nothing(store: Store, tmp_path: Path) -> None:
    """Who took over the registry may have made links, pipes, and names that no repository has. Seen red: with links
    followed, of files and of directories."""
    digest = store.push("a", "one", "1", "pipe", "large", "link")
    one, base = Repository(store.tree, "a"), store.tree.base / "repositories"
    for tag in ("pipe", "large", "link"):
        Path(one.current(tag)).unlink()
    os.mkfifo(one.current("pipe"))
    Path(one.current("large")).write_text(digest + "x" * 1000)
    (tmp_path / "secret").write_text(digest)
    Path(one.current("link")).symlink_to(tmp_path / "secret")
    (base / "linked").symlink_to(base / "a")
    (base / "Odd\x1b").mkdir()
    (base / os.fsdecode(b"bytes\xff")).mkdir()
    found = look(store)
    assert set(found.repositories) == {"a"} and set(found.folders) == {"", "a"}
    assert found.repositories["a"].tags.keys() == {"1"} and found.repositories["a"].odd.keys() == {
        "pipe",
        "large",
        "link",
    }


def test_what_can_not_be_read_is_told_and_the_rest_is_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen red: all of it failed."""
    for name in ("a", "b", "c"):
        store.push(name, name, "1")
    real = Counting.list

    def list_(self: Counting, folder: str) -> list[str]:
        if folder.endswith("/b/_manifests/tags"):
            raise PermissionError(13, "Permission denied", folder)
        return real(self, folder)

    first = look(store, later=LATER)
    store.push("b", "new", "2")
    monkeypatch.setattr(Counting, "list", list_)
    found = look(store, first, later=LATER)
    assert set(found.repositories) == {"a", "c"} and "Permission denied" in found.wrong["b"]
    monkeypatch.undo()
    assert set(look(store, found, later=LATER).repositories) == {"a", "b", "c"}


@pytest.mark.promise("looks-are-quick-again")
def test_what_did_not_change_is_not_read_again(store: Store) -> None:
    """Seen red: with `same` never told."""
    for name in ("a", "b/c", "b/c/d", "e"):
        store.push(name, name, "1")
    first = look(store, later=LATER)
    assert Counting.read_keys
    Counting.read_keys.clear()
    again = look(store, first, later=LATER)
    assert Counting.read_keys == [] and not again.news
    again.kept = json.dumps(first.blobs).encode()
    assert plain(again) == plain(first)
    moved = store.push("b/c", "new", "1")
    third = look(store, first, later=LATER)
    assert third.news and third.repositories["b/c"].tags["1"][0] == moved
    assert all("/b/c/_" in key or "/blobs/" in key for key in Counting.read_keys)


@pytest.mark.promise("looks-are-quick-again")
def test_what_was_just_written_is_not_remembered(store: Store) -> None:
    """Times of files are coarse: another write might leave the same. Seen red: with COARSE = 0."""
    first_digest, link = store.push("a", "one", "1"), Path(Repository(store.tree, "a").current("1"))
    first = look(store)
    store.push("a", "two")
    second_digest = store.push("a", "two", "2")
    shutil.rmtree(link.parents[1].parent / "2")
    before = link.stat()
    link.write_text(second_digest)
    os.utime(link, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert first.repositories["a"].tags["1"][0] == first_digest
    assert first.repositories["a"].mark == "" and first.folders[""].mark == ""
    assert look(store, first).repositories["a"].tags["1"][0] == second_digest


@pytest.mark.promise("looks-are-quick-again")
def test_a_platform_that_comes_back(store: Store) -> None:
    """A configuration that was away is looked for again, though nothing else changed. Seen red: with all remembered."""
    data = json.dumps({"os": "linux", "architecture": "arm64"}).encode()
    config = Path(store.tree.blob(store.layer("a", data)))
    one = store.manifest("a", {"config": {"digest": digest_of(data)}, "layers": []}, "1")
    config.unlink()
    first = look(store, later=LATER)
    config.write_bytes(data)
    assert (first.manifests[one].platforms, look(store, first, later=LATER).manifests[one].platforms) == (
        (),
        ("linux/arm64",),
    )


@pytest.mark.promise("looks-are-quick-again")
@pytest.mark.parametrize("seed", range(6))
def test_what_is_remembered_changes_nothing(store: Store, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens between two looks, what is told is what somebody tells who remembers nothing. Seen red: without
    the mark of a manifest's bytes, of a revision's link, of the directory of tags."""
    monkeypatch.setattr(marks, "COARSE", 0.03)
    monkeypatch.setattr(looker, "FEW", 3)
    chance, known = random.Random(seed), Overview()
    names = ["a", "a/b", "c", "c/d/e", "f", "g"]
    for number in range(40):
        for _ in range(chance.randrange(3)):
            change(store, chance, names, number)
        if chance.random() < 0.3:
            time.sleep(0.05)
        found = look(store, known, many=chance.choice((1, 2, 3)))
        if not found.news:
            found.kept = json.dumps(known.blobs).encode()
        assert plain(found) == plain(look(store)), (seed, number)
        remembered.save(store.tree.root.parent / "kept", store.tree.root, found)
        known = remembered.load(store.tree.root.parent / "kept", store.tree.root)


def change(store: Store, chance: random.Random, names: list[str], number: int) -> None:
    """Something that a client, the registry, or bad luck does."""
    name, tag = chance.choice(names), chance.choice("xyz")
    one = Repository(store.tree, name)
    revisions = [link for link in one.revisions() if Path(link).exists()]
    match chance.randrange(8):
        case 0 | 1:
            store.push(name, f"{number} {chance.random()}", tag)
        case 2 if revisions:
            store.delete(name, Path(chance.choice(revisions)).read_text())
        case 3:
            shutil.rmtree(f"{one.tagged}/{tag}", ignore_errors=True)
        case 4 if Path(one.current(tag)).exists():
            Path(one.current(tag)).write_text(chance.choice(("", "sha256:ab", "sha256:" + 64 * "0")))
        case 5 if revisions:
            Path(store.tree.blob(Path(chance.choice(revisions)).read_text())).unlink(missing_ok=True)
        case 6 if revisions:
            store.link(one.current(tag), Path(chance.choice(revisions)).read_text())
        case 7:
            shutil.rmtree(one.path, ignore_errors=True)


@pytest.mark.promise("looks-are-quick-again")
def test_what_is_kept_is_for_speed_only(store: Store, tmp_path: Path) -> None:
    """Damaged, cut, of another store: it is as if there was none. Seen red: without the digest in its head."""
    store.push("a", "one", "1")
    found, kept = look(store, later=LATER), tmp_path / "kept"
    found.weights = usage.images(found)
    remembered.save(kept, store.tree.root, found)
    known = remembered.load(kept, store.tree.root)
    assert plain(known) == plain(found) and known.weights["a"].keys() == found.weights["a"].keys()
    assert kept.stat().st_mode & 0o777 == 0o600
    data = kept.read_bytes()
    for broken in (b"", data[:-9], data.replace(b"sha256", b"sha255"), b"{}", data[:40], b"\0\n\xff"):
        kept.write_bytes(broken)
        assert remembered.load(kept, store.tree.root) == Overview()
    kept.write_bytes(data)
    assert remembered.load(kept, tmp_path) == Overview()
