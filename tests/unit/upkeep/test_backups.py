"""Backups of a store that is used meanwhile, what becomes of them, and what is proven."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from secreg_host.base.errors import SecregError
from secreg_host.base.process import Account
from secreg_host.host.host import Host
from secreg_host.images import survey
from secreg_host.images.layout import Repository
from secreg_host.upkeep import create, hashing, listing, pool, prune, verify
from secreg_host.upkeep import place as places
from secreg_host.upkeep.create import Made
from secreg_host.upkeep.judging import Broken
from secreg_host.upkeep.place import Place
from secreg_host.upkeep.pool import Blob
from secreg_host.upkeep.verify import Verdict
from tests.stores import Store, digest_of
from tests.unit.upkeep.conftest import BEGIN, SILENT, Back

SHARED, EMPTY = digest_of(b"shared"), digest_of(b"{}")


def verdicts(there: Place) -> list[Verdict]:
    return list(verify.verify(there, there.names(), SILENT))


def in_pool(there: Place) -> dict[str, bytes]:
    return {digest: path.read_bytes() for digest, path in places.blobs(there)}


def in_list(there: Place, name: str, *words: str) -> list[tuple[str, ...]]:
    return [entry for entry in listing.entries(there.lists / name) if entry[0] in words]


def everything(path: Path) -> dict[str, bytes]:
    return {str(one.relative_to(path)): one.read_bytes() for one in path.rglob("*") if one.is_file()}


@pytest.mark.promise("backups")
def test_what_is_there_is_in_it(store: Store, there: Place, back: Back) -> None:
    one, two = store.push("a", "one", "1", "latest"), store.push("b/c", "two", "1")
    made = back()
    assert (made.name, made.broken, made.gone, made.problems) == ("20261130T051500Z", [], [], ())
    assert made.counts == {
        "about": 1,
        "config": 1,
        "repository": 2,
        "tag": 3,
        "was": 3,
        "revision": 2,
        "layer": 6,
        "blob": 6,
    }
    assert in_pool(there).keys() == {one, two, SHARED, EMPTY, digest_of(b"one"), digest_of(b"two")}
    assert all(digest_of(data) == digest for digest, data in in_pool(there).items())
    assert (made.new, made.new_size, made.size) == (6, *[sum(map(len, in_pool(there).values()))] * 2)
    assert {path.stat().st_mode & 0o777 for _, path in places.blobs(there)} == {0o600}
    (found,) = verdicts(there)
    assert found.whole and found.counts == made.counts and found.size == made.size
    with tarfile.open(there.config(made.name)) as tar:
        assert {"about.json", "etc/secure-registry/secure-registry.conf"} <= set(tar.getnames())
    said = listing.about(there.lists / made.name)
    assert (said["made"], said["images"]) == ("2026-11-30T05:15:00Z", str(store.tree.root))
    assert list(there.incoming.iterdir()) == []


@pytest.mark.promise("backup-copies-what-is-new")
def test_what_is_in_the_pool_is_not_copied_again(store: Store, there: Place, back: Back) -> None:
    store.push("a", "one", "1")
    back()
    before = {path: path.stat().st_ino for _, path in places.blobs(there)}
    again = back()
    assert (again.new, again.new_size) == (0, 0)
    store.push("a", "two", "2")
    assert back().new == 2
    assert {path: path.stat().st_ino for path in before} == before
    Path(there.blob(SHARED)).write_bytes(b"shar")  # of another size
    assert back().new == 1 and in_pool(there)[SHARED] == b"shared"
    assert len(there.names()) == 4 and all(one.whole for one in verdicts(there))


def test_configuration_alone(store: Store, there: Place, back: Back) -> None:
    store.push("a", "one", "1")
    made = back(None)
    assert made.counts == {"about": 1, "config": 1} and in_pool(there) == {}
    assert listing.about(there.lists / made.name)["images"] is None
    assert [one.whole for one in verdicts(there)] == [True]


def test_an_empty_store(store: Store, there: Place, back: Back) -> None:
    assert back().counts["repository"] == 0 and verdicts(there)[0].whole


@pytest.mark.promise("backup-names-what-is-broken")
def test_what_is_broken_is_named_and_the_rest_is_saved(store: Store, there: Place, back: Back) -> None:
    store.push("a", "one", "1")
    two = store.push("a", "two", "2")
    store.push("b", "three", "1")
    Path(Repository(store.tree, "a").current("1")).write_text("")
    Path(store.tree.blob(digest_of(b"three"))).write_bytes(b"eerht")
    made = back()
    assert made.degraded
    assert {(one.repository, one.tag, one.digest): one.why for one in made.broken} == {
        (
            "a",
            "1",
            "",
        ): f"{Repository(store.tree, 'a').current('1')}: it is empty: a push was cut short, or the disk was full",
        ("b", "1", digest_of(b"three")): pool.OTHER_BYTES,
    }
    assert digest_of(b"three") not in in_pool(there)
    assert digest_of(b"three") not in {entry[1] for entry in in_list(there, made.name, "layer", "blob")}
    assert ("2", two) in {entry[1:3] for entry in in_list(there, made.name, "tag")}
    (found,) = verdicts(there)
    assert not found.whole and (found.broken, found.before) == ([], made.broken)
    assert list(there.incoming.iterdir()) == []
    Path(store.tree.blob(digest_of(b"three"))).write_bytes(b"three")
    store.push("a", "one", "1")
    assert not back().degraded and verdicts(there)[1].whole


def test_a_manifest_with_a_flipped_bit(store: Store, there: Place, back: Back) -> None:
    one = store.push("a", "one", "1", "2")
    path = Path(store.tree.blob(one))
    path.write_bytes(path.read_bytes().replace(b'"layers"', b'"lbyers"'))
    made = back()
    assert {(found.tag, found.digest) for found in made.broken} == {("1", one), ("2", one)}
    assert in_list(there, made.name, "tag", "revision", "was") == [] and one not in in_pool(there)
    assert in_list(there, made.name, "layer") and verdicts(there)[0].broken == []


def race(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let `act` happen once, between the survey and the copies."""
    real = pool.copy

    def copy(*args: object) -> Iterator[pool.Failed]:
        act()
        yield from real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(pool, "copy", copy)


def test_a_blob_that_somebody_removes_between_its_link_and_its_copy(
    store: Store, there: Place, back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand, say: what frees space of ours is locked out."""
    store.push("a", "one", "1")
    store.push("a", "two", "2")
    race(monkeypatch, Path(store.tree.blob(digest_of(b"one"))).unlink)
    made = back()
    assert [(one.tag, one.digest) for one in made.broken] == [("1", digest_of(b"one"))]
    assert "No such file" in made.broken[0].why
    linked = {entry[1] for entry in in_list(there, made.name, "layer", "revision")}
    assert linked == {entry[1] for entry in in_list(there, made.name, "blob")} == in_pool(there).keys()


@pytest.mark.promise("backup-while-it-runs")
def test_pushes_and_deletions_after_the_survey_change_nothing(
    store: Store, there: Place, back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = store.push("a", "one", "1")
    race(monkeypatch, lambda: (store.push("a", "two", "1"), store.delete("a", old)))
    made = back()
    assert not made.degraded and in_list(there, made.name, "tag")[0][2] == old
    assert verdicts(there)[0].whole


@pytest.mark.promise("backups-of-planted-files")
@pytest.mark.parametrize("plant", ["link", "pipe", "socket"])
def test_what_a_registry_that_was_taken_over_puts_there_is_not_copied(
    store: Store, there: Place, back: Back, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plant: str
) -> None:
    store.push("a", "one", "1")
    path = Path(store.tree.blob(digest_of(b"one")))
    (tmp_path / "secret").write_bytes(b"one")

    def put() -> None:
        path.unlink()
        if plant == "link":
            path.symlink_to(tmp_path / "secret")
        else:
            os.mknod(path, {"pipe": stat.S_IFIFO, "socket": stat.S_IFSOCK}[plant] | 0o600)

    race(monkeypatch, put)
    made = back()
    assert [one.digest for one in made.broken] == [digest_of(b"one")] and digest_of(b"one") not in in_pool(there)


@pytest.mark.promise("backups-of-planted-files")
@pytest.mark.skipif(os.geteuid() != 0, reason="chroot(2) is root's")
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_no_directory_leads_out_of_the_store(
    store: Store, there: Place, back: Back, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, when: str
) -> None:
    """The registry has a sandbox, and who reads for a backup has none. Seen red: what a planted link
    led to was in the backup, if it had the bytes that the name says."""
    store.push("a", "one", "1")
    path = Path(store.tree.blob(digest_of(b"one"))).parent

    def put() -> None:
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")

    if when == "before":
        put()
    else:
        race(monkeypatch, put)
    made = back()
    assert {one.digest for one in made.broken} == {digest_of(b"one")} and digest_of(b"one") not in in_pool(there)


@pytest.mark.promise("backups-of-planted-files")
def test_what_only_root_could_read_is_not_copied(host: Host, store: Store, there: Place, back: Back) -> None:
    if os.geteuid() != 0:
        return
    store.push("a", "one", "1")
    for path in (
        host.paths.root,
        *host.paths.lib.rglob("*"),
        host.paths.lib.parent.parent,
        host.paths.lib.parent,
        host.paths.lib,
    ):
        path.chmod(0o755 if path.is_dir() else 0o644)
    Path(store.tree.blob(digest_of(b"one"))).chmod(0o600)
    store.tree.root.parent.chmod(0o700)  # it is not let into what is above
    accounts = replace(host.accounts, registry=Account("nobody", 65534, 65534))
    made = create.create(replace(host, accounts=accounts), there, store.tree.root, BEGIN, SILENT)
    assert [(one.digest, one.why) for one in made.broken] == [
        (digest_of(b"one"), "it can't be read: Permission denied")
    ]
    assert SHARED in in_pool(there)


def test_who_frees_space_is_waited_for(host: Host, store: Store, there: Place, back: Back) -> None:
    host.paths.space.parent.mkdir(parents=True, exist_ok=True)
    with host.paths.space.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(SecregError, match="space is being freed"):
            back()
        fcntl.flock(file, fcntl.LOCK_SH)
        back()
    assert len(there.names()) == 1


def test_an_apply_that_hangs_is_told_and_waited_for_no_longer(
    host: Host, store: Store, there: Place, back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(create, "LOCK_SECONDS", 0.05)
    host.paths.lock.parent.mkdir(parents=True, exist_ok=True)
    with host.paths.lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        made = back()
    assert made.degraded and "holds" in made.problems[0].what and made.problems[0].where == str(host.paths.etc)


class Full(BaseException):
    """The process is killed."""


@pytest.mark.promise("backup-that-is-cut")
@pytest.mark.parametrize(
    "kind", [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EIO, "I/O error"), Full()]
)
@pytest.mark.parametrize("at", range(0, 60, 7))
def test_a_destination_that_fails_or_a_kill_leaves_older_backups_whole(
    store: Store, there: Place, back: Back, monkeypatch: pytest.MonkeyPatch, kind: BaseException, at: int
) -> None:
    """At any call that writes there; then it goes on where it was."""
    store.push("a", "one", "1")
    back()
    before = everything(there.path)
    store.push("b", "two", "1")
    calls = iter(range(1000))

    def failing(name: str) -> None:
        real = getattr(os, name)

        def act(*args: object, **more: object) -> object:
            if next(calls) == at:
                raise kind
            return real(*args, **more)

        monkeypatch.setattr(os, name, act)

    for name in ("write", "fsync", "replace", "rename", "mkdir"):
        failing(name)
    failed = False
    try:
        back()
    except SecregError as error:
        failed = "cannot" in error.message
    except Full:
        failed = True
    monkeypatch.undo()
    assert failed or len(there.names()) == 2
    now = everything(there.path)
    assert {path: now[path] for path in before if path != "lock"} == {
        path: before[path] for path in before if path != "lock"
    }
    assert all(digest_of(data) == digest for digest, data in in_pool(there).items()), "what has a name is whole"
    assert all(one.whole for one in verdicts(there))
    made = back()
    assert not made.degraded and list(there.incoming.iterdir()) == []
    assert [one.whole for one in verdicts(there)] == [True] * len(there.names())


def test_a_disk_without_room_is_not_filled(
    store: Store, there: Place, back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Least of all that of the images: pushes to a full disk destroy tags."""
    store.push("a", "one", "1")
    size = sum(path.stat().st_size for path in store.tree.base.glob("blobs/*/*/*/data"))

    def statvfs(_: object) -> SimpleNamespace:
        return SimpleNamespace(f_frsize=1, f_blocks=100 * size, f_bavail=free)

    monkeypatch.setattr(os, "statvfs", statvfs)
    free = size - 1
    with pytest.raises(SecregError, match="No space left on device"):
        back()
    free = size
    with pytest.raises(SecregError, match="the disk of the images"):
        back()
    assert there.names() == [] and in_pool(there) == {}
    free = size + 5 * size
    back()
    assert back().new == 0, "and nothing is needed where nothing is new"


def test_a_blob_that_fits_nowhere_keeps_no_other_one_away(
    store: Store, there: Place, back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen red: nothing was backed up any more."""
    store.push("a", "one", "1")
    store.push("a", "two", "2")
    os.truncate(store.tree.blob(digest_of(b"one")), 1 << 30)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_frsize=1, f_blocks=1 << 20, f_bavail=1 << 20))
    made = back()
    assert {(one.tag, one.digest) for one in made.broken} == {("1", digest_of(b"one"))}
    assert made.broken[0].why == f"it has {1 << 30} bytes, and {there.path} has room for {1 << 20}"
    assert digest_of(b"two") in in_pool(there) and digest_of(b"one") not in in_pool(there)
    assert back().degraded, "also where it is all that is new"


def test_a_blob_that_is_too_large_for_the_file_system_keeps_no_other_one_away(
    store: Store, there: Place, back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on FAT32. Seen red: there was no backup at all."""
    store.push("app", "x" * 5000, "large")
    store.push("app", "two", "2")
    real = os.write

    def write(descriptor: int, data: bytes) -> int:
        if len(data) == 5000:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    made = back()
    assert [(one.tag, one.digest) for one in made.broken] == [("large", digest_of(b"x" * 5000))]
    assert "4 GiB" in made.broken[0].why and made.degraded
    assert [entry[1] for entry in in_list(there, made.name, "tag")] == ["2", "large"]
    assert [one.broken for one in verdicts(there)] == [[]]


@pytest.mark.promise("backup-that-is-cut")
def test_a_destination_that_vanishes(store: Store, there: Place, back: Back, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was below the mount point is not filled."""
    store.push("a", "one", "1")
    elsewhere = there.path.with_name("unmounted")
    race(monkeypatch, lambda: (there.path.rename(elsewhere), there.path.mkdir()))
    with pytest.raises(SecregError, match="is not there any more"):
        back()
    assert list(there.path.iterdir()) == []
    there.path.rmdir()
    elsewhere.rename(there.path)
    monkeypatch.undo()
    assert not back().degraded and verdicts(there)[0].whole


# --- what verify finds ---


@pytest.fixture
def two(store: Store, there: Place, back: Back) -> tuple[Made, Made]:
    """Two backups: of one image, and of two."""
    store.push("a", "one", "1")
    first = back()
    store.push("b", "two", "1", "2")
    return first, back()


@pytest.mark.promise("backup-verify")
def test_a_flipped_bit_is_named_with_repository_and_tag(two: tuple[Made, Made], there: Place) -> None:
    path = Path(there.blob(digest_of(b"two")))
    path.write_bytes(b"twp")
    first, second = verdicts(there)
    assert first.whole and second.broken == [
        Broken("b", tag, digest_of(b"two"), pool.OTHER_BYTES) for tag in ("1", "2")
    ]
    path = Path(there.blob(SHARED))
    path.write_bytes(b"shares")
    first, second = verdicts(there)
    assert [(one.repository, one.tag) for one in first.broken] == [("a", "1")]
    assert {(one.repository, one.tag) for one in second.broken} == {("a", "1"), ("b", "1"), ("b", "2")}


@pytest.mark.promise("backup-verify")
@pytest.mark.parametrize("kind", ["gone", "longer", "link", "directory", "unreadable"])
def test_a_blob_that_is_not_there(two: tuple[Made, Made], there: Place, kind: str, tmp_path: Path) -> None:
    path = Path(there.blob(digest_of(b"two")))
    path.unlink()
    if kind == "longer":
        path.write_bytes(b"two longer")
    elif kind == "link":
        (tmp_path / "x").write_bytes(b"two")
        path.symlink_to(tmp_path / "x")
    elif kind == "directory":
        path.mkdir()
    elif kind == "unreadable":
        os.mkfifo(path)
    first, second = verdicts(there)
    assert first.whole and {(one.repository, one.tag, one.digest) for one in second.broken} == {
        ("b", "1", digest_of(b"two")),
        ("b", "2", digest_of(b"two")),
    }


def test_a_manifest_that_is_gone_is_named_by_its_tags(store: Store, there: Place, back: Back) -> None:
    child = store.push("a", "one")
    index = store.manifest("a", {"manifests": [{"digest": child}]}, "1")
    untagged = store.push("c", "alone")
    back()
    Path(there.blob(child)).unlink()
    Path(there.blob(untagged)).unlink()
    (found,) = verdicts(there)
    assert found.broken == [Broken("a", "1", child, hashing.NO_BYTES), Broken("c", "", untagged, hashing.NO_BYTES)]
    assert index in in_pool(there)


@pytest.mark.promise("backup-verify")
def test_a_cut_list_is_named_and_the_other_backup_is_proven(two: tuple[Made, Made], there: Place) -> None:
    path = there.lists / two[1].name
    path.write_bytes(path.read_bytes()[:-30])
    first, second = verdicts(there)
    assert first.whole and not second.whole
    assert second.damaged == [
        f"its list {path}: it is cut short, after {len(path.read_bytes().splitlines()) - 1} lines"
    ]


@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(b"x"), Path.unlink])
def test_a_configuration_that_is_not_as_it_was(
    two: tuple[Made, Made], there: Place, harm: Callable[[Path], object]
) -> None:
    harm(there.config(two[0].name))
    first, second = verdicts(there)
    assert second.whole and len(first.damaged) == 1 and str(there.config(two[0].name)) in first.damaged[0]


def test_a_backup_that_is_removed_meanwhile_is_no_damage(
    two: tuple[Made, Made], there: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = hashing.check

    def check(*args: object) -> Iterator[pool.Failed]:
        prune.prune(there, 1, None)
        yield from real(*args)  # type: ignore[arg-type]

    names = there.names()
    monkeypatch.setattr(hashing, "check", check)
    first, second = verify.verify(there, names, SILENT)
    assert first.away and first.whole and second.whole and not second.away


def test_each_blob_is_read_once(two: tuple[Made, Made], there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Blob] = []
    real = hashing._wrong
    monkeypatch.setattr(hashing, "_wrong", lambda one, *rest: (seen.append(one), real(one, *rest))[1])
    verdicts(there)
    assert len(seen) == len(set(seen)) == len(in_pool(there))


def test_what_the_store_should_never_hold_is_no_bug(store: Store, back: Back, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen red: a traceback, for a directory repositories/_x."""
    store.push("a", "one", "1")
    (store.tree.base / "repositories/_x/_layers").mkdir(parents=True)
    assert back().counts["repository"] == 1
    monkeypatch.setattr(survey.Survey, "entries", lambda _: [("repository", "")])
    with pytest.raises(SecregError, match="cannot read the images in .*: a line of it is none"):
        back()


def test_what_became_no_backup_leaves_no_keys(
    store: Store, there: Place, back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen red: its configuration stayed, and one that was sealed came back for one that was not."""
    stale = there.configs / f"{BEGIN:{places.STAMP}}.sealed"
    stale.write_bytes(b"x")
    store.push("a", "one", "1")
    first = back()
    assert there.config(first.name).suffix == ".tar" and not stale.exists()

    def fail(*_: object) -> None:
        raise SecregError("no")

    monkeypatch.setattr(create, "_copied", fail)
    with pytest.raises(SecregError, match="no"):
        back()
    assert [path.stem for path in there.configs.iterdir()] == [first.name]


# --- what prune removes ---


@pytest.mark.promise("backup-prune")
@pytest.mark.parametrize(
    ("last", "within", "stay"),
    [(1, None, "D"), (2, None, "CD"), (9, None, "ABCD"), (0, 24, "CD"), (0, 48, "BCD"), (3, 1, "BCD"), (0, 0, "CD")],
)
def test_which_backups_stay(last: int, within: int | None, stay: str) -> None:
    """Of four, a day apart each; ages are counted from the newest."""
    names = [f"{BEGIN + timedelta(days=day):{places.STAMP}}" for day in range(4)]
    found = prune.kept(names, last, None if within is None else timedelta(hours=within))
    assert found == tuple(name for name, letter in zip(names, "ABCD", strict=True) if letter in stay)
    assert prune.kept([], last, None) == prune.kept([], last, timedelta(days=1)) == ()


@pytest.mark.promise("backup-prune")
def test_a_clock_that_was_ahead_removes_nothing_that_is_young() -> None:
    """One backup was made by it, and those after it have its time, as none is before another. Seen red: A to D went."""
    names = [f"{BEGIN + timedelta(days=day):{places.STAMP}}" for day in (0, 10, 11, 12, 4000)]
    names += [f"{names[-1]}-{number}" for number in (2, 3)]
    assert prune.kept(names[:5], 1, timedelta(days=2)) == tuple(names[1:5])
    assert prune.kept(names, 1, timedelta(days=2)) == tuple(names[1:])
    later = f"{BEGIN + timedelta(days=4001):{places.STAMP}}"
    odd = ["20261399T999999Z", *names]
    assert prune.kept(odd, 1, timedelta(days=2)) == (odd[0], *names[1:]), "seen red: a traceback"
    assert prune.kept([*names, later], 1, timedelta(days=2)) == (*names[4:], later), "the clock came that far"


@pytest.mark.promise("backup-prune")
def test_the_newest_with_images_and_the_newest_whole_one_stay(store: Store, there: Place, back: Back) -> None:
    """Seen red: after a week without the disk, --keep-last 1 removed every image."""
    store.push("a", "one", "1")
    back()
    whole = back().name
    store.push("a", "two", "2")
    Path(store.tree.blob(digest_of(b"two"))).unlink()
    back()
    broken = back().name
    shutil.rmtree(store.tree.base)
    gone = back()
    assert gone.degraded and broken in gone.problems[-1].what
    again = back()
    assert not again.degraded, "it is said once"
    last = back(None)
    assert not last.degraded
    assert prune.plan(there, 1, None).keep == (whole, broken, last.name)
    prune.prune(there, 1, None)
    assert there.names() == [whole, broken, last.name] and digest_of(b"one") in in_pool(there)


@pytest.mark.promise("backup-prune")
def test_what_no_backup_needs_is_freed(store: Store, there: Place, back: Back) -> None:
    one = store.push("a", "one", "1")
    back()
    store.delete("a", one)
    Path(Repository(store.tree, "a").layer(digest_of(b"one"))).unlink()
    store.push("a", "two", "1")
    second = back()
    (there.pool / "sha256/notes").write_text("mine")
    there.config("20200101T000000Z").write_text("of a run that was killed")
    planned = prune.plan(there, 1, None)
    size = len(b"one") + len(in_pool(there)[one])
    assert (planned.blobs, planned.size, len(planned.remove)) == (2, size, 1)
    assert one in in_pool(there), "it was only a plan"
    assert prune.prune(there, 1, None) == planned
    assert there.names() == [second.name] and {one, digest_of(b"one")}.isdisjoint(in_pool(there))
    assert verdicts(there)[0].whole and (there.pool / "sha256/notes").exists()
    assert [path.stem for path in there.configs.iterdir()] == [second.name]


def test_what_interrupted_runs_left_is_freed_too(store: Store, there: Place, back: Back) -> None:
    back()
    stray = Path(there.blob(digest_of(b"stray")))
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"stray")
    (there.incoming / "x").touch()
    assert prune.prune(there, 5, None).blobs == 1
    assert not stray.exists() and list(there.incoming.iterdir()) == []


def test_nothing_is_removed_while_a_list_that_stays_is_damaged(two: tuple[Made, Made], there: Place) -> None:
    path = there.lists / two[1].name
    path.write_bytes(path.read_bytes()[:-1])
    before = everything(there.path)
    for act in (prune.plan, prune.prune):
        with pytest.raises(SecregError, match="is damaged") as caught:
            act(there, 1, None)
        assert f"rm {path}" in caught.value.hint
    assert {name: data for name, data in everything(there.path).items() if name != "lock"} == {
        name: data for name, data in before.items() if name != "lock"
    }


def test_a_damaged_list_may_go(two: tuple[Made, Made], there: Place) -> None:
    (there.lists / two[0].name).write_bytes(b"")
    assert prune.prune(there, 1, None).remove == (two[0].name,)


@pytest.mark.parametrize("at", range(8))
def test_a_prune_that_is_killed_leaves_no_backup_without_its_blobs(
    two: tuple[Made, Made], store: Store, there: Place, back: Back, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    for tag in ("1", "2"):
        store.push("b", "other", tag)
    calls, real = iter(range(1000)), os.unlink

    def unlink(name: str, **folder: int) -> None:
        if next(calls) == at:
            raise Full
        real(name, **folder)

    monkeypatch.setattr(os, "unlink", unlink)
    with contextlib.suppress(Full):
        prune.prune(there, 1, None)
    monkeypatch.undo()
    assert all(one.whole for one in verdicts(there) if not one.damaged), "a list without its configuration goes, too"
    prune.prune(there, 1, None)
    assert [one.whole for one in verdicts(there)] == [True]


def test_two_at_once_are_refused(
    two: tuple[Made, Made], there: Place, back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act() -> None:
        with pytest.raises(SecregError, match="works in"):
            prune.prune(there, 1, None)

    race(monkeypatch, act)
    (Path(there.blob(SHARED))).unlink()
    assert back().new == 1


def test_names_at_the_limits(store: Store, there: Place, back: Back) -> None:
    name, tag = "/".join(["a" * 50] * 5), "t" * 128
    store.push(name, "one", tag)
    back()
    (found,) = verdicts(there)
    assert found.whole and found.counts["tag"] == 1


def test_a_clock_that_is_set_back(store: Store, there: Place, back: Back) -> None:
    back(hours=-10)
    made = [back(hours=-10).name for _ in range(2)]
    assert there.names()[1:] == made and made == ["20261130T051500Z-2", "20261130T051500Z-3"]
