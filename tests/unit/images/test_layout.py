"""The layout of a store: what is walked in it, and what is passed over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from secreg_host.images import layout
from secreg_host.images.layout import Malformed, Repository, Tree

ONE, OTHER = ("sha256:" + character * 64 for character in "0f")
LONG = "sha512:" + "a" * 128


def put(place: Path | str, said: str) -> str:
    link = Path(place)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.write_text(said)
    return str(link)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Repositories within one another, one of which was only begun."""
    found = Tree(tmp_path)
    for name in ("a", "a/b", "z__y/x"):
        one = Repository(found, name)
        put(one.current("latest"), ONE)
        put(one.revision(ONE), ONE)
        put(one.layer(OTHER), OTHER)
    (found.base / "repositories/begun/_uploads").mkdir(parents=True)
    for digest in (OTHER, ONE, LONG):
        put(found.blob(digest), "bytes")
    return found


def test_what_is_there(tree: Tree) -> None:
    assert [one.name for one in tree.repositories()] == ["a", "a/b", "begun", "z__y/x"]
    assert list(tree.blobs()) == [ONE, OTHER, LONG]
    one = Repository(tree, "a")
    assert (list(one.tags()), list(one.revisions()), list(one.layers())) == (
        ["latest"],
        [one.revision(ONE)],
        [one.layer(OTHER)],
    )
    assert [layout.digest_of(link) for link in one.layers()] == [OTHER]
    assert list(one.history("latest")) == []


def test_what_is_no_part_of_it_is_passed_over(tree: Tree, tmp_path: Path) -> None:
    repositories = tree.base / "repositories"
    (repositories / "file").write_text("")
    (repositories / "A/_manifests").mkdir(parents=True)
    (repositories / "_x/_layers").mkdir(parents=True)  # seen red: a repository without a name
    (repositories / "-x/_layers").mkdir(parents=True)
    os.symlink(repositories / "a", repositories / "linked")
    Path(Repository(tree, "a").path, "_manifests/tags/other").symlink_to(tmp_path)
    Path(Repository(tree, "a").path, "_manifests/tags/no tag/current").mkdir(parents=True)
    Path(Repository(tree, "a").path, "_layers/sha256/short").mkdir()
    Path(Repository(tree, "a").path, "_layers/md5", "0" * 32).mkdir(parents=True)
    (tree.base / "blobs/sha256/00" / ("0" * 63 + "1")).mkdir()
    test_what_is_there(tree)


def test_nothing_is_there() -> None:
    nowhere = Tree(Path("/nowhere"))
    assert [*nowhere.blobs(), *nowhere.repositories(), *Repository(nowhere, "a").tags()] == []


def test_bytes(tree: Tree, tmp_path: Path) -> None:
    assert [tree.size(digest) for digest in (ONE, LONG, "sha256:" + "e" * 64)] == [5, 5, None]
    Path(tree.blob(ONE)).unlink()
    os.symlink(tmp_path / "x", tree.blob(ONE))
    assert tree.size(ONE) is None


def test_links(tree: Tree) -> None:
    one = Repository(tree, "a")
    os.utime(one.current("latest"), (7, 7))
    assert layout.dated(one.current("latest")) == (ONE, 7)
    assert (layout.written(one.current("latest")), layout.written(one.current("gone"))) == (7, None)
    assert layout.linked(one.current("latest")) == ONE
    assert layout.linked(one.current("gone")) is None
    assert layout.linked(put(tree.base / "x/link", LONG)) == LONG


@pytest.mark.parametrize("said", ["", "sha256:", ONE[:-1], ONE + "\n", ONE + "0", "md5:" + "0" * 32, ONE.upper()])
def test_what_is_no_link_is_named(tmp_path: Path, said: str) -> None:
    link = put(tmp_path / "link", said)
    with pytest.raises(Malformed, match="link: it (is empty|holds no digest)") as error:
        layout.linked(link)
    assert error.value.path == link


def test_no_link_is_followed_and_nothing_waits(tmp_path: Path) -> None:
    real = put(tmp_path / "real", ONE)
    os.symlink(real, tmp_path / "link")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="symbolic"):
        layout.linked(str(tmp_path / "link"))
    with pytest.raises(Malformed, match="no regular file"):
        layout.linked(str(tmp_path / "pipe"))
