"""Power cuts at each moment of collecting and deleting: images with a tag are whole, what was deleted is somewhere."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from secreg_host.base.paths import Paths
from secreg_host.images import manifests
from secreg_host.images.layout import Repository
from tests.distribution import Distribution, image
from tests.distribution import Tree as Store
from tests.power import cuts, scenes, trace
from tests.power.cuts import Tree
from tests.power.disk import Disk
from tests.stores import digest_of

SEED = int(os.environ.get("SECREG_POWER_SEED", "1"))
MIXES = int(os.environ.get("SECREG_POWER_MIXES", "2"))
YML = "version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\n"
BASE = "var/lib/secure-registry/storage/docker/registry/v2"
NOW = ("gc", "--untagged-older", "0s", "--grace", "0s", "--purge", "--yes")

pytestmark = pytest.mark.real


@pytest.fixture
def registry(root: Path) -> Distribution:
    """A store in which a tag was overwritten, an index has a child, and a blob is of no image."""
    paths = Paths(root)
    paths.etc.mkdir(parents=True)
    paths.state.mkdir(parents=True)
    paths.registry_yml.write_text(YML % paths.storage)
    made = Distribution(Store(paths.storage))
    for words in ("old", "new"):
        made.put("a", "1", image(*(made.upload("a", data) for data in (b"{}", words.encode()))))
    made.upload("b", b"of no image")
    time.sleep(0.01)
    return made


def run(root: Path, *words: str, meanwhile: str = "") -> list[trace.Change]:
    """What a command changes, which waits for nobody; the link `meanwhile` of the store is written when it would
    wait."""
    argv = [sys.executable, "-B", "-m", "tests.power.collects", words[0], "--root", str(root), *words[1:]]
    done, ended = trace.run(argv, root, scenes.environment() | {"LINK": meanwhile}, "")
    assert ended.returncode == 0, ended.stderr
    return list(done)


def wrong(tree: Tree) -> Iterator[str]:
    """What is not whole of the images with a tag in `tree`."""
    for path, (kind, data, _) in tree.items():
        if kind != "file" or not path.endswith("/current/link") or "_trash" in path:
            continue
        name = path.removeprefix(f"{BASE}/repositories/").partition("/_manifests")[0]
        top = data.decode()
        if not linked(tree, f"{name}/_manifests/revisions", top):
            yield f"{path}: manifest {top}"
            continue
        for blob in manifests.read(tree[blob_at(top)][1]).blobs:
            if not linked(tree, f"{name}/_layers", blob):
                yield f"{path}: blob {blob}"


def blob_at(digest: str) -> str:
    return f"{BASE}/blobs/sha256/{digest[7:9]}/{digest[7:]}/data"


def linked(tree: Tree, folder: str, digest: str) -> bool:
    """Whether there is the link, and its bytes."""
    link = tree.get(f"{BASE}/repositories/{folder}/sha256/{digest[7:]}/link")
    bytes_there = tree.get(blob_at(digest))
    return link is not None and bytes_there is not None and digest_of(bytes_there[1]) == digest


def cut(root: Path, *words: str, meanwhile: str = "") -> list[Tree]:
    """All states that a cut of a command leaves; no image is broken in any of them."""
    disk = Disk(root, scenes.MEMORY)
    done = run(root, *words, meanwhile=meanwhile)
    every = list(cuts.cuts(disk, done, SEED, MIXES))
    said = (f"{what} (after {done[one.after].short}: {one.said})" for one in every for what in wrong(one.tree))
    assert list(itertools.islice(said, 20)) == []
    print(f"{words[0]}: seed {SEED}, {len(done)} changes, {len(every)} states")
    return [one.tree for one in every]


def is_somewhere(tree: Tree, repository: str, digest: str) -> bool:
    """Whether a link of the blob is in the store, or in the trash."""
    there = f"{BASE}/repositories/{repository}/_layers/sha256/{digest[7:]}/link" in tree
    return there or any(path.endswith(f"{repository}/_layers/{digest.replace(':', '-')}") for path in tree)


def test_collecting_leaves_images_whole_and_links_somewhere(registry: Distribution, root: Path) -> None:
    states = cut(root, "gc", "--grace", "0s")
    left = digest_of(b"of no image")
    assert all(is_somewhere(tree, "b", left) and blob_at(left) in tree for tree in states)


def test_purging_leaves_images_whole(registry: Distribution, root: Path) -> None:
    states = cut(root, *NOW)
    assert {blob_at(digest_of(b"old")) in tree for tree in states} == {True, False}


def test_what_is_deleted_and_undeleted_is_there_or_in_the_trash(registry: Distribution, root: Path) -> None:
    digest = Path(registry.tree.base, "repositories/a/_manifests/tags/1/current/link").read_text()
    for words in (("rm", f"a@{digest}", "--yes"), ("undelete", f"a@{digest}")):
        for tree in cut(root, "images", *words):
            kept = [path for path in tree if digest[7:] in path and ("/revisions/" in path or "_revisions" in path)]
            assert any(tree[path][0] == "file" for path in kept)
            assert any(path.endswith(("/tags/1/current/link", "/_tags/1/current/link")) for path in tree)


def test_bytes_that_a_push_came_to_need_are_there_or_on_their_way_out(registry: Distribution, root: Path) -> None:
    """Its link is on disk: they were there when it looked. Seen red: their second name was not on disk first."""
    digest = digest_of(b"of no image")
    Path(registry.tree.base, f"repositories/b/_layers/sha256/{digest[7:]}/link").unlink()
    link = f"{BASE}/repositories/c/_layers/sha256/{digest[7:]}/link"
    states = cut(root, "gc", "--grace", "0s", meanwhile=link.removeprefix("var/lib/secure-registry/storage/"))
    with_link = [tree for tree in states if tree.get(link, ("", b"", 0))[1] == digest.encode()]
    away = f"{BASE}/_trash/purging/{digest.replace(':', '-')}"
    assert with_link and all(blob_at(digest) in tree or away in tree for tree in with_link)
    assert {away in tree for tree in with_link} == {True, False}


def test_a_tag_that_is_given_is_whole_or_not_there(registry: Distribution, root: Path) -> None:
    """With its history. Seen red: written in place, it was a tag of nothing."""
    states = cut(root, "images", "tag", "a:1", "2")
    tags = f"{BASE}/repositories/a/_manifests/tags"
    assert {f"{tags}/2/current/link" in tree for tree in states} == {True, False}
    for tree in states:
        if (found := tree.get(f"{tags}/2/current/link")) is not None:
            assert tree[f"{tags}/2/index/sha256/{found[1].decode()[7:]}/link"][1] == found[1]


def test_mending_leaves_no_more_broken_than_there_was(registry: Distribution, root: Path) -> None:
    digest = Path(registry.tree.base, "repositories/a/_manifests/tags/1/current/link").read_text()
    links = [f"_layers/sha256/{digest_of(b'new')[7:]}", f"_manifests/revisions/sha256/{digest[7:]}"]
    for link in links:
        Path(registry.tree.base, f"repositories/a/{link}/link").write_text("")
    disk = Disk(root, scenes.MEMORY)
    done = run(root, "images", "check", "--repair")
    whole = [f"{BASE}/repositories/a/_manifests/tags/1/current/link"]
    for one in cuts.cuts(disk, done, SEED, MIXES):
        assert one.tree[whole[0]][1].decode() == digest
        for link in links:
            assert f"{BASE}/repositories/a/{link}/link" in one.tree
    assert all(Path(registry.tree.base, f"repositories/a/{link}/link").read_text() for link in links)


def test_what_is_mended_is_as_it_was_or_mended(registry: Distribution, root: Path) -> None:
    """`images check --repair`. All else is as it was; what a cut left of the link is mended by the next run."""
    link = f"{BASE}/repositories/a/_manifests/tags/1/current/link"
    digest = Path(root, link).read_text()
    (old,) = (one for one in Repository(registry.tree, "a").history("1") if digest[7:] not in one)
    os.utime(old, (1000, 1000))
    Path(root, link).write_text("")
    before = cuts.read(root)
    states: list[tuple[int, bytes]] = []
    disk = Disk(root, scenes.MEMORY)
    done = run(root, "images", "check", "--repair")
    for one in cuts.cuts(disk, done, SEED, MIXES):
        states.append((one.after, one.tree[link][1]))
        others = {path: entry for path, entry in one.tree.items() if path.startswith(BASE) and path != link}
        assert others == {path: entry for path, entry in before.items() if path.startswith(BASE) and path != link}
    assert {data for _, data in states} > {b"", digest.encode()}
    assert all(digest.encode().startswith(data.rstrip(b"\0")) for _, data in states)
    synced = max(number for number, one in enumerate(done) if one.path == root / link and one.kind == "sync")
    assert {data for after, data in states if after >= synced} <= {digest.encode()}
