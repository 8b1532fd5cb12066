"""Power cuts at each moment of a backup, and of pruning: a backup that has its name is whole, with all its blobs."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from secreg_host.base.paths import Paths
from secreg_host.images import marker
from secreg_host.upkeep import listing
from tests.power import cuts, scenes, trace
from tests.power.cuts import Tree
from tests.power.disk import Disk
from tests.stores import Store

SEED = int(os.environ.get("SECREG_POWER_SEED", "1"))
MIXES = int(os.environ.get("SECREG_POWER_MIXES", "2"))
THERE = "srv/backup"
YML = "version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\n"

pytestmark = pytest.mark.real


def typed(root: Path, *words: str) -> Callable[[Path], list[str]]:
    return lambda _: list(scenes.program("backup", *words)(root))


def run(root: Path, *words: str) -> list[trace.Change]:
    """What `secure-registry backup` changes."""
    done, ended = trace.run(typed(root, *words)(root), root, scenes.environment(), "")
    assert ended.returncode == 0, ended.stderr
    return list(done)


@pytest.fixture
def store(root: Path) -> Store:
    """A store with an image, of which there is a backup, and another image."""
    paths = Paths(root)
    paths.etc.mkdir(parents=True)
    paths.state.mkdir(parents=True)
    paths.registry_yml.write_text(YML % paths.storage)
    paths.ca_key.write_text("KEY")
    paths.storage.mkdir(parents=True)
    made = Store(paths.storage)
    made.push("a", "one", "1")
    run(root, "create", str(root / THERE))
    made.push("b", "two", "1", "2")
    return made


def lists(tree: Tree) -> dict[str, bytes]:
    """The lists of the backups that have their names in `tree`."""
    below = f"{THERE}/backups/"
    return {path: data for path, (kind, data, _) in tree.items() if path.startswith(below) and kind == "file"}


def wrong(tree: Tree, tmp: Path) -> Iterator[str]:
    """What is not whole of the backups in `tree`."""
    for path, data in lists(tree).items():
        tmp.write_bytes(data)
        try:
            found = list(listing.entries(tmp))
        except listing.Damaged as error:
            yield f"{path}: {error}"
            continue
        name = path.rpartition("/")[2]
        for word, *values in found:
            if word == "config" and digest(tree, f"{THERE}/config/{name}.tar") != values[1]:
                yield f"{path}: its configuration"
            if word == "blob" and digest(tree, f"{THERE}/blobs/sha256/{values[0][7:9]}/{values[0][7:]}") != values[0]:
                yield f"{path}: blob {values[0]}"


def digest(tree: Tree, path: str) -> str:
    return f"sha256:{hashlib.sha256(tree[path][1]).hexdigest()}" if path in tree else ""


def cut(root: Path, tmp_path: Path, *words: str) -> tuple[list[Tree], Tree]:
    """All states that a cut of a command leaves, of which each is judged; and what it is afterwards."""
    disk = Disk(root, scenes.MEMORY)
    done = run(root, *words)
    after = cuts.read(root, scenes.MEMORY)
    every = list(cuts.cuts(disk, done, SEED, MIXES))
    assert cuts.unlike(cuts.tree(disk), after) == [], "the model is not what the kernel did"
    said = (
        f"{what} (after {done[one.after].short}: {one.said})"
        for one in every
        for what in wrong(one.tree, tmp_path / "list")
    )
    assert list(itertools.islice(said, 20)) == []
    print(f"{words[0]}: seed {SEED}, {len(done)} changes, {len(every)} states")
    return [one.tree for one in every], after


@pytest.mark.promise("backup-that-is-cut")
def test_a_backup_that_has_its_name_is_whole(store: Store, root: Path, tmp_path: Path) -> None:
    before = lists(cuts.read(root, scenes.MEMORY))
    states, after = cut(root, tmp_path, "create", str(root / THERE))
    assert len(before) == 1 and len(lists(after)) == 2
    assert all(before.items() <= lists(state).items() for state in states), "older ones stay"
    assert {len(lists(state)) for state in states} == {1, 2}


@pytest.mark.promise("backup-that-is-cut", "backup-prune")
def test_what_is_pruned_leaves_whole_backups(store: Store, root: Path, tmp_path: Path) -> None:
    one = next(iter(lists(cuts.read(root, scenes.MEMORY))))
    store.delete("a", store.push("a", "one"))
    run(root, "create", str(root / THERE))
    states, after = cut(root, tmp_path, "prune", str(root / THERE), "--keep-last", "1")
    assert len(lists(after)) == 1 and one not in lists(after)
    assert all(lists(after).items() <= lists(state).items() for state in states)


@pytest.fixture
def both(root: Path) -> Path:
    """A host with images and a configuration of its own, and a backup of others."""
    for words in ("new", "old"):
        for path in (root / one for one in ("etc", "var") if (root / one).exists()):
            shutil.rmtree(path)
        paths = Paths(root)
        for path in (paths.etc, paths.state, paths.storage):
            path.mkdir(parents=True)
        paths.registry_yml.write_text(f"# {words}\n{YML % paths.storage}")
        paths.ca_key.write_text(words)
        Store(paths.storage).push(words, words, "1")
        if words == "new":
            run(root, "create", str(root / THERE))
    (paths.storage / MARKED).write_bytes(b"")
    return root


STORAGE = "var/lib/secure-registry/storage"
MARKED = f"{marker.PREFIX}{'a' * 32}"
YML_AT = "etc/secure-registry/docker-registry.yml"


def bare(tree: Tree) -> Tree:
    """It without modes: the model knows no umask, which the registry's user has."""
    return {path: (kind, data, 0) for path, (kind, data, _) in tree.items()}


def within(tree: Tree, folder: str) -> dict[str, bytes]:
    """The links and blobs below a folder of images."""
    below = f"{folder}/registry/"
    return {
        path.removeprefix(below): data
        for path, (kind, data, _) in tree.items()
        if path.startswith(below) and kind == "file"
    }


def neither(tree: Tree, before: Tree, after: Tree) -> Iterator[str]:
    """What is neither as it was nor as it is to be, or lost."""
    old, new = (within(one, f"{STORAGE}/docker") for one in (before, after))
    aside = [path for path in tree if re.fullmatch(rf"{STORAGE}/docker\.[0-9TZ-]+", path)]
    beside = [path for path in tree if re.fullmatch(rf"{STORAGE}/docker\.[0-9TZ-]+\.new", path)]
    if any(within(tree, path) != old for path in aside):
        yield "what is aside is not what was there"
    if f"{STORAGE}/docker" not in tree:
        if f"{STORAGE}/{MARKED}" in tree or not aside or [within(tree, path) for path in beside] != [new]:
            yield "there are no images, and nothing that the next apply could put there"
    elif (now := within(tree, f"{STORAGE}/docker")) != old and (now != new or not aside):
        yield "the images are neither"
    ymls = {path: tree[path] for path in tree if path.endswith("/docker-registry.yml")}
    kept = [path for path in ymls if ".bak-" in path]
    if YML_AT not in ymls:
        if ymls.get("etc/.secure-registry.restored/docker-registry.yml") != after[YML_AT] or not kept:
            yield "there is no configuration, and none that the next apply could put there"
    elif ymls[YML_AT] != before[YML_AT] and (ymls[YML_AT] != after[YML_AT] or not kept):
        yield f"the configuration is neither: {ymls[YML_AT]}"
    if any(ymls[path] != before[YML_AT] for path in kept):
        yield "the configuration that is aside is not what was there"
    key = "var/lib/secure-registry/state/ca.key"
    keys = [tree[path][1] for path in tree if path == key or re.fullmatch(r".*/state\.bak-[^/]*/ca\.key", path)]
    if tree.get(key) not in (before[key], after[key]) or before[key][1] not in keys:
        yield f"the key: {tree.get(key)}, of {keys}"


@pytest.mark.promise("restore-loses-nothing")
def test_a_restore_over_images_leaves_the_old_or_the_new(both: Path) -> None:
    """What a cut leaves between two renames, the next apply finishes (tests/unit/images/test_site, test_unpacking)."""
    before, disk = cuts.read(both, scenes.MEMORY), Disk(both, scenes.MEMORY)
    argv = scenes.program("restore", str(both / THERE), "--force")(both)
    done, ended = trace.run(argv, both, scenes.environment(), "")
    assert ended.returncode == 0, ended.stderr
    after = cuts.read(both, scenes.MEMORY)
    known = bare(before), bare(after)
    every = list(cuts.cuts(disk, done, SEED, MIXES))
    assert bare(cuts.tree(disk)) == bare(after), "the model is not what the kernel did"
    said = (
        f"{what} (after {done[one.after].short}: {one.said})"
        for one in every
        for what in neither(bare(one.tree), *known)
    )
    assert list(itertools.islice(said, 20)) == []
    assert {f"{STORAGE}/docker" in one.tree for one in every} == {True, False}
    print(f"restore: seed {SEED}, {len(done)} changes, {len(every)} states")


@pytest.mark.promise("restore-loses-nothing", "restores")
def test_a_restore_on_a_fresh_host_leaves_all_or_nothing(both: Path) -> None:
    """What is served, and what is read of /etc, is never half of it. Seen red: half of the images were."""
    for path in (both / "etc", both / "var"):
        shutil.rmtree(path)
    disk = Disk(both, scenes.MEMORY)
    done, ended = trace.run(scenes.program("restore", str(both / THERE))(both), both, scenes.environment(), "")
    assert ended.returncode == 0, ended.stderr
    after = bare(cuts.read(both, scenes.MEMORY))
    every = [bare(one.tree) for one in cuts.cuts(disk, done, SEED, MIXES)]
    assert bare(cuts.tree(disk)) == after, "the model is not what the kernel did"
    seen = set()
    for tree in every:
        images, yml = within(tree, f"{STORAGE}/docker"), tree.get(YML_AT)
        assert images in ({}, within(after, f"{STORAGE}/docker")) and yml in (None, after[YML_AT])
        seen.add((bool(images), bool(yml)))
    assert {(False, False), (True, True)} <= seen and after[YML_AT][1].startswith(b"# new")
