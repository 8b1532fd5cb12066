"""In which order blobs come to be in the pool."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from secreg_host.upkeep import hashing, pool
from secreg_host.upkeep import place as places
from secreg_host.upkeep.place import Place
from secreg_host.upkeep.pool import Blob
from tests.stores import digest_of


@pytest.fixture
def given(tmp_path: Path) -> list[Blob]:
    """Blobs in files that are called by their digests."""
    found = []
    for number in range(200):
        data = str(number).encode() * number
        (tmp_path / digest_of(data)).write_bytes(data)
        found.append(Blob(digest_of(data), len(data)))
    return found


def copied(there: Place, given: list[Blob], source: Path) -> list[pool.Failed]:
    return list(pool.copy(there, given, lambda digest: os.open(source / digest, os.O_RDONLY)))


def test_bytes_are_on_disk_before_the_name_and_the_name_before_the_end(
    there: Place, given: list[Blob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    named: dict[str, bool] = {}
    folders: set[Path] = set()
    real_sync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        real_sync(descriptor)

    def replace(name: str, target: str, **folders: int) -> None:
        named[target] = os.stat(name, dir_fd=folders["src_dir_fd"]).st_ino in synced  # noqa: PTH116
        real_replace(name, target, **folders)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(places, "sync", lambda path: folders.add(path))
    assert copied(there, given, tmp_path) == []
    assert len(named) == 200 and all(named.values())
    assert {path.parent for _, path in places.blobs(there)} <= folders and there.pool / "sha256" in folders


def test_many_at_once_in_batches_and_each_once(
    there: Place, given: list[Blob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MUCH", 4000)
    seen: list[int] = []
    (tmp_path / given[7].digest).write_bytes(b"other")
    (tmp_path / given[9].digest).unlink()
    failed = list(pool.copy(there, given, lambda digest: os.open(tmp_path / digest, os.O_RDONLY), seen.append))
    assert {one.digest: one.why for one in failed} == {
        given[7].digest: pool.OTHER_BYTES,
        given[9].digest: "it can't be read: No such file or directory",
    }
    whole = [one for one in given if one not in (given[7], given[9])]
    assert sum(seen) == sum(one.size for one in whole) + len(b"other")
    assert sorted(digest for digest, _ in places.blobs(there)) == sorted(one.digest for one in whole)
    assert list(there.incoming.iterdir()) == []
    assert [one.digest for one in hashing.check(given, hashing.opener(there))] == [given[7].digest, given[9].digest]


def test_what_is_as_long_as_it_should_be_but_not_announced(there: Place, given: list[Blob], tmp_path: Path) -> None:
    odd = given[5]._replace(size=4)
    assert copied(there, [odd], tmp_path) == [pool.Failed(odd.digest, pool.OTHER_SIZE)]


def test_what_has_no_end_is_not_read_to_it(there: Place, given: list[Blob], tmp_path: Path) -> None:
    """A file that is all holes. Seen red: all of it was read, and written to the backups."""
    os.truncate(tmp_path / given[5].digest, 1 << 33)
    seen: list[int] = []
    found = pool.copy(there, [given[5]], lambda digest: os.open(tmp_path / digest, os.O_RDONLY), seen.append)
    assert list(found) == [pool.Failed(given[5].digest, pool.OTHER_SIZE)] and sum(seen) <= pool.PIECE


def test_long_digests(there: Place, tmp_path: Path) -> None:
    digest = f"sha512:{hashlib.sha512(b'x').hexdigest()}"
    (tmp_path / digest).write_bytes(b"x")
    assert copied(there, [Blob(digest, 1)], tmp_path) == []
    assert [found for found, _ in places.blobs(there)] == [digest] and list(
        hashing.check([Blob(digest, 1)], hashing.opener(there))
    ) == []


def test_nobody_is_begun_once_one_failed(there: Place, given: list[Blob], tmp_path: Path) -> None:
    begun: list[str] = []

    def opened(digest: str) -> int:
        begun.append(digest)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(pool.copy(there, given * 50, opened))
    assert len(begun) <= pool.AHEAD + pool.WORKERS + 1
