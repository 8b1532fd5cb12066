"""Images of a backup back in a store, and what is proven of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from secreg_host.base.errors import SecregError
from secreg_host.base.process import Account
from secreg_host.host.host import Host
from secreg_host.images.closure import Flaw
from secreg_host.images.layout import Repository, Tree
from secreg_host.images.manifests import Manifest
from secreg_host.upkeep import hashing, judging, placing, refill
from secreg_host.upkeep.judging import Broken
from secreg_host.upkeep.listing import Section
from secreg_host.upkeep.place import Place
from secreg_host.upkeep.refill import Refilled, Wanted
from tests.stores import Store, digest_of
from tests.unit.upkeep.conftest import SILENT, Back, forge


@pytest.fixture
def other(tmp_path: Path) -> Store:
    """Another store, which is empty."""
    (tmp_path / "other").mkdir()
    return Store(tmp_path / "other")


@pytest.fixture
def memory() -> Iterator[Store]:
    """A store on a file system that keeps any date, where there is one."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        yield Store(Path(folder))


def put(host: Host, there: Place, other: Store, **wanted: object) -> Refilled:
    return refill.refill(host, there, other.tree.root, Wanted(there.names()[-1], **wanted), SILENT)  # type: ignore[arg-type]


def proven(host: Host, there: Place, other: Store, **wanted: str) -> list[Broken]:
    return refill.proof(host, there, other.tree.root, Wanted(there.names()[-1], **wanted), SILENT)  # type: ignore[arg-type]


@pytest.mark.promise("restores")
def test_all_of_it_is_as_it_was(host: Host, store: Store, there: Place, back: Back, other: Store) -> None:
    store.push("a", "one", "1", "latest")
    store.push("a", "two", "latest")
    store.push("b/c", "three")
    back()
    done = put(host, there, other)
    assert (done.repositories, done.tags, done.failed, done.kept) == (2, 2, {}, [])
    assert other.entries() == store.entries(), "with the history of tags, and all dates"
    assert proven(host, there, other) == []
    modes = {path.stat().st_mode & 0o777 for path in other.tree.root.rglob("*") if path.is_file()}
    assert modes == {0o660}, "the front reads it, as a member of the group"
    assert [path.name for path in other.tree.root.iterdir()] == ["docker"]
    again = put(host, there, other)
    assert (again.size, again.tags, other.entries()) == (0, 2, store.entries())


def test_a_run_that_is_killed_is_gone_on_with(
    host: Host, store: Store, there: Place, back: Back, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.push("a", "one", "1")
    back()
    real = placing.link
    monkeypatch.setattr(placing, "link", lambda *_, **__: os.kill(os.getpid(), 9))
    with pytest.raises(SecregError, match="was ended"):
        put(host, there, other)
    assert other.entries() == []
    monkeypatch.setattr(placing, "link", real)
    assert put(host, there, other).size == 0 and other.entries() == store.entries()


def test_tags_come_last_and_blobs_first(
    host: Host, store: Store, there: Place, back: Back, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a registry that runs serves what is whole."""
    store.push("a", "one", "1")
    store.push("a", "two", "1")
    back()
    path, wanted = there.lists / there.names()[-1], Wanted(there.names()[-1])
    (part,) = refill.parts(path, wanted, judging.reader(there), hashing.opened)
    written: list[str] = []
    monkeypatch.setattr(placing, "_write", lambda path, *_: written.append(path))
    assert list(placing.link(other.tree, part, (), force=False)) == []
    kinds = [next(kind for kind in ("_layers", "revisions", "index", "current") if kind in path) for path in written]
    assert kinds == ["_layers"] * 4 + ["revisions"] * 2 + ["index"] * 2 + ["current"]


def test_one_repository_into_a_store_that_is_used(
    host: Host, store: Store, there: Place, back: Back, other: Store
) -> None:
    one = store.push("a", "one", "1", "2")
    store.push("b", "two", "1")
    back()
    mine = other.push("a", "mine", "2", "3")
    done = put(host, there, other, repository="a")
    assert (done.repositories, done.tags, done.kept) == (1, 1, ["a:2"])
    tags = {entry[1]: entry[2] for entry in other.entries() if entry[0] == "tag"}
    assert tags == {"1": one, "2": mine, "3": mine}
    assert [found.tag for found in proven(host, there, other, repository="a")] == ["2"]
    assert put(host, there, other, repository="a", force=True).kept == []
    assert proven(host, there, other, repository="a") == []
    assert not Path(other.tree.blob(digest_of(b"two"))).exists()


def test_one_tag_with_what_belongs_to_it(host: Host, store: Store, there: Place, back: Back, other: Store) -> None:
    child = store.push("a", "child")
    index = store.manifest("a", {"manifests": [{"digest": child}]}, "1")
    signature = store.push("a", "signature", f"{index.replace(':', '-')}.sig")
    about = store.manifest("a", {"layers": [{"digest": store.layer("a", b"sbom")}], "subject": {"digest": child}})
    other_one = store.push("a", "other", "2")
    back()
    put(host, there, other, repository="a", tag="1")
    found = other.entries()
    assert {entry[1] for entry in found if entry[0] == "revision"} == {child, index, signature, about}
    assert {entry[1] for entry in found if entry[0] == "tag"} == {"1", f"{index.replace(':', '-')}.sig"}
    assert {digest_of(b"child"), digest_of(b"sbom"), digest_of(b"signature")} <= {
        entry[1] for entry in found if entry[0] == "layer"
    }
    assert (
        other_one not in {entry[1] for entry in found if len(entry) > 1}
        and proven(host, there, other, repository="a", tag="1") == []
    )


def test_a_cache_alone(host: Host, store: Store, there: Place, back: Back, other: Store) -> None:
    """Its index names blobs. Seen red: they stayed away."""
    store.manifest("a", {"manifests": [{"digest": store.layer("a", b"cached")}]}, "cache")
    store.push("a", "one", "1")
    assert not back().degraded
    put(host, there, other, repository="a", tag="cache")
    assert proven(host, there, other, repository="a", tag="cache") == []
    assert [entry[1] for entry in other.entries() if entry[0] == "layer"] == [digest_of(b"cached")]


def test_no_room_is_known_before_anything_is_written(
    host: Host, store: Store, there: Place, back: Back, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.push("a", "one", "1")
    back()
    other.push("mine", "x", "1")
    before = other.entries()

    def no_room(tree: Tree, size: int) -> None:
        assert size > 0
        raise OSError(28, "No space left on device", str(tree.root))

    monkeypatch.setattr(placing, "check_room", no_room)
    with pytest.raises(SecregError, match="No space left on device"):
        put(host, there, other)
    assert other.entries() == before


def test_what_is_damaged_in_the_backup_is_not_put_back(
    host: Host, store: Store, there: Place, back: Back, other: Store
) -> None:
    two = store.push("a", "two", "2")
    one = store.push("a", "one", "1")
    back()
    Path(there.blob(digest_of(b"one"))).write_bytes(b"eno")
    done = put(host, there, other)
    assert not Path(Repository(other.tree, "a").layer(digest_of(b"one"))).exists()
    assert list(done.failed) == [digest_of(b"one")] and not Path(other.tree.blob(digest_of(b"one"))).exists()
    assert {(found.tag, found.digest) for found in proven(host, there, other)} >= {("1", digest_of(b"one"))}
    tags = {entry[1]: entry[2] for entry in other.entries() if entry[0] == "tag"}
    assert tags == {"1": one, "2": two}, "what is there of it is there"


@pytest.mark.promise("restore-loses-nothing")
def test_no_tag_is_moved_to_what_is_not_whole(host: Host, store: Store, there: Place, back: Back, other: Store) -> None:
    """Not even by force. Seen red."""
    store.push("a", "one", "1")
    two = store.push("a", "two", "2")
    back()
    Path(there.blob(digest_of(b"one"))).unlink()
    mine = other.push("a", "mine", "1", "2")
    assert put(host, there, other, repository="a", force=True).kept == ["a:1"]
    assert {entry[1]: entry[2] for entry in other.entries() if entry[0] == "tag"} == {"1": mine, "2": two}


@pytest.mark.promise("restore-proves")
def test_what_became_of_it_is_proven(host: Host, store: Store, there: Place, back: Back, other: Store) -> None:
    store.push("a", "one", "1")
    store.push("b", "two", "1")
    back()
    put(host, there, other)
    Path(other.tree.blob(digest_of(b"one"))).write_bytes(b"eno")
    Path(Repository(other.tree, "b").layer(digest_of(b"two"))).unlink()
    found = {(one.repository, one.tag, one.digest) for one in proven(host, there, other)}
    assert found == {("", "", digest_of(b"one")), ("b", "1", digest_of(b"two")), ("b", "", digest_of(b"two"))}


def test_it_is_the_registrys_and_nothing_else_is_handed_out(
    host: Host, store: Store, there: Place, back: Back, other: Store
) -> None:
    if os.geteuid() != 0:
        return
    store.push("a", "one", "1")
    back()
    for path in (other.tree.root, *other.tree.root.parents):
        if path != Path("/") and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o055)
    os.chown(other.tree.root, 65534, 65534)
    accounts = replace(host.accounts, registry=Account("nobody", 65534, 65534))
    found = replace(host, accounts=accounts)
    put(found, there, other)
    assert {path.stat().st_uid for path in other.tree.root.rglob("*")} == {65534}
    assert proven(found, there, other) == []
    for name in ("config/x.tar", "secure-registry-backup", "backups/../config", "blobs/sha256/aa/../../../lock"):
        assert not refill.ALLOWED.fullmatch(name)


@pytest.mark.parametrize("seconds", ["9" * 18, f"-{'9' * 18}"])
def test_a_date_of_no_calendar_blocks_nothing(
    host: Host, store: Store, there: Place, back: Back, memory: Store, seconds: str
) -> None:
    """Of a forged list, or set by whoever took over the registry, on a file system that keeps it (tmpfs, btrfs). Seen
    red: what was put together could not be surveyed, and so neither proven nor backed up, until it was removed."""
    store.push("a", "one", "1")
    back()
    forge(there.lists / there.names()[-1], " 1000\n", f" {seconds}\n")
    put(host, there, memory)
    assert proven(host, there, memory) == []
    for path in memory.tree.root.rglob("link"):
        os.utime(path, (int(seconds), int(seconds)))
    assert not back(memory.tree.root).degraded


@pytest.mark.promise("backups-of-planted-files")
@pytest.mark.skipif(os.geteuid() != 0, reason="chroot(2) is root's")
def test_no_link_in_the_store_leads_out_of_it(
    host: Host, store: Store, there: Place, back: Back, other: Store, tmp_path: Path
) -> None:
    """What restores writes as the registry's user, without the sandbox that it has. Seen red: links of images were
    written where a planted one led, and such bytes passed for the store's."""
    store.push("a", "one", "1")
    back()
    (tmp_path / "out").mkdir()
    (other.tree.base / "repositories").mkdir(parents=True)
    (other.tree.base / "repositories/a").symlink_to(tmp_path / "out")
    with pytest.raises(SecregError, match="cannot write the images"):
        put(host, there, other)
    assert list((tmp_path / "out").iterdir()) == []
    (other.tree.base / "repositories/a").unlink()
    put(host, there, other)
    blob = Path(other.tree.blob(digest_of(b"one"))).parent
    blob.rename(tmp_path / "out/blob")
    blob.symlink_to(tmp_path / "out/blob")
    assert {found.digest for found in proven(host, there, other)} == {digest_of(b"one")}


class Walked(dict[str, str]):
    """Tags that count how often they are gone through."""

    count: int = 0

    def __iter__(self) -> Iterator[str]:
        self.count += 1
        return super().__iter__()


def test_an_index_of_many_takes_as_long_as_they_are_many() -> None:
    """Of a forged one, say. Seen red: for each manifest of it, all tags and all manifests were gone through."""
    digests = [digest_of(str(number).encode()) for number in range(100)]
    tags = Walked({"1": digests[0]} | {f"{one.replace(':', '-')}.sig": one for one in digests[50:]})
    section = Section("a", tags=tags, revisions=dict.fromkeys(digests, "1"))
    read = lambda digest: Manifest(children=tuple(digests[1:50]) if digest == digests[0] else (), subject=digests[1])  # noqa: E731
    part = placing.part_of(section, "1", read)
    assert part is not None and {digest for digest, _ in part.revisions} == {*digests} and tags.count < 5


class Told(list[Flaw]):
    """What was broken before, which counts how often it is gone through."""

    times: int = 0

    def __iter__(self) -> Iterator[Flaw]:
        self.times += 1
        return super().__iter__()


def test_many_broken_images_take_as_long_as_they_are_many() -> None:
    """Seen red: for each, all that was broken before was gone through."""
    digests = [digest_of(str(number).encode()) for number in range(100)]
    before = Told([Flaw(str(number), digest, "") for number, digest in enumerate(digests)])
    section = Section("a", tags={str(number): digest for number, digest in enumerate(digests)}, broken=before)
    assert judging.judge(section, {}, lambda _: Manifest()) == () and before.times < 5
