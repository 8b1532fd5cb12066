"""Stores as distribution 3.x writes them: what it puts down it writes beside, and renames into place, so that a link is
another file each time, and a registry that is killed leaves `link.UUID.tmp`; blobs can have SHA-512."""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from pathlib import Path

import pytest

from secreg_host.base import marks
from secreg_host.images import deleting, undeleting
from secreg_host.images.collecting import Collector, Wish
from secreg_host.images.filesystem import Filesystem
from secreg_host.images.layout import Repository, Tree
from secreg_host.images.looker import Look
from secreg_host.images.overview import Overview
from secreg_host.images.survey import Survey
from secreg_host.images.targets import Target
from tests.distribution import Distribution, image, index
from tests.stores import digest_of
from tests.unit.images import test_collecting_races as races

NOW = Wish(grace=0, untagged=0, purge=True)


class Renaming(Distribution):
    """A registry that renames what it wrote into place."""

    def _write(self, path: str, data: bytes) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.pause()
        beside = Path(f"{path}.{uuid.uuid4()}.tmp")
        beside.write_bytes(data)
        self.pause()
        try:
            beside.rename(path)
        except FileNotFoundError:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            raise
        self.pause()


@pytest.fixture
def registry(tmp_path: Path) -> Distribution:
    """Images, one of several architectures, one that was overwritten, uploads, and what a killed registry left."""
    made = Renaming(Tree(tmp_path))
    one = Repository(made.tree, "a/b")
    for words in ("old", "new"):
        made.put("a/b", "1", image(*(made.upload("a/b", data) for data in (b"{}", words.encode()))))
    child = made.put("a", "", image(*(made.upload("a", data) for data in (b"{}", b"amd64"))))
    made.put("a", "multi", index(child))
    for link in (one.current("1"), one.layer(digest_of(b"new")), made.tree.blob(digest_of(b"new"))):
        Path(f"{link}.{uuid.uuid4()}.tmp").write_bytes(b"sha256:")
    place = Path(one.path, "_uploads", str(uuid.uuid4()))
    for name, data in (("startedat", "2026-11-30T10:00:00Z"), ("data", "12"), ("hashstates/sha256/2", "state")):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(data)
    time.sleep(0.01)
    return made


def collect(registry: Distribution, wish: Wish = NOW) -> None:
    time.sleep(0.01)
    list(Collector(registry.tree, wish, registry.settled).collect())


def test_what_is_overwritten_goes_and_all_else_stays(registry: Distribution) -> None:
    collect(registry)
    assert registry.wrong() == [] and registry.tree.size(digest_of(b"old")) is None
    assert {"_uploads"} <= {path.name for path in Path(Repository(registry.tree, "a/b").path).iterdir()}
    collect(registry, Wish(grace=0, uploads=0))
    assert list(Path(Repository(registry.tree, "a/b").path, "_uploads").iterdir()) == []


def test_lists_and_checks_are_right(registry: Distribution) -> None:
    found = Overview()
    found.heard(Look(Filesystem(registry.tree), Overview(), registry.tree).lines(), Overview())
    assert {(name, *one.tags) for name, one in found.repositories.items()} == {("a", "multi"), ("a/b", "1")}
    assert len(found.repositories["a/b"].revisions) == 2 and found.wrong == {}
    told = list(Survey(registry.tree).entries())
    assert {entry[1] for entry in told if entry[0] == "blob"} == {*registry.tree.blobs()}
    assert [entry for entry in told if entry[0] in ("broken", "gone")] == []


def test_what_is_deleted_comes_back_with_all_that_lay_beside(registry: Distribution) -> None:
    digest = Path(Repository(registry.tree, "a/b").current("1")).read_text()
    list(deleting.delete(registry.tree, deleting.plan(registry.tree, [Target("a/b", digest=digest)]), "images rm"))
    assert list(Repository(registry.tree, "a/b").tags()) == []
    collect(registry, Wish(grace=0))
    assert {entry[0] for entry in undeleting.undelete(registry.tree, Target("a/b", "1"))} == {"tag"}
    assert registry.wrong() == [] and Path(Repository(registry.tree, "a/b").current("1")).read_text() == digest


def test_blobs_by_sha512(registry: Distribution) -> None:
    data = b"by another algorithm"
    digest = f"sha512:{hashlib.sha512(data).hexdigest()}"
    one, other = Repository(registry.tree, "a/b"), f"sha512:{hashlib.sha512(b'left').hexdigest()}"
    for name, content in ((digest, data), (other, b"left")):
        registry._write(registry.tree.blob(name), content)
        registry._write(one.layer(name), name.encode())
    registry.put("a/b", "long", json.dumps({"schemaVersion": 2, "layers": [{"digest": digest}]}).encode())
    collect(registry)
    assert registry.tree.size(digest) == len(data) and os.path.lexists(one.layer(digest))
    assert registry.tree.size(other) is None and not os.path.lexists(one.layer(other))


@pytest.mark.parametrize("served", [False, True])
def test_no_image_is_broken_whatever_is_pushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: bool) -> None:
    monkeypatch.setattr(races, "Distribution", Renaming)
    monkeypatch.setattr(marks, "COARSE", 0.02)
    wish = Wish(grace=0, untagged=0) if served else races.GREEDY
    found = races.race(tmp_path, wish, served=served)
    assert found["pushed"] > 20 and found["hidden"] > 20
