"""What it costs to look at many blobs: counted, for seconds are others on each machine (bench/backups.py has those)."""

from __future__ import annotations

import os
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import backups
from secreg_host.images.survey import Survey
from secreg_host.upkeep import hashing, listing, pool, prune, verify
from secreg_host.upkeep.place import Place
from tests.stores import Store

NAME = "20261130T051500Z"
FEW, MANY = 100, 700
NOISE = 40_000
"""Bytes that Python has for itself, now and then."""


@pytest.fixture
def sparse(there: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Store]:
    """Makes a store of so many blobs that are holes, 50 in a repository, and a backup of it, by its list."""
    monkeypatch.setattr(backups, "EACH", 50)

    def made(count: int) -> Store:
        root = tmp_path / f"store-{count}"
        backups.fill_sparse(root, there.pool / f"sha256-{count}", count)
        store = Store(root)
        writer = listing.Writer(there.lists / f"{NAME}-{count}")
        for entry in store.entries():
            writer.add(entry)
        writer.finish()
        return store

    return made


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often the kernel is asked for a file or a directory."""
    found: Counter[str] = Counter()

    def counting(name: str) -> Callable[..., object]:
        real = getattr(os, name)

        def act(*args: object, **more: object) -> object:
            found[name] += 1
            return real(*args, **more)

        return act

    with monkeypatch.context() as patched:
        for name in ("open", "stat", "lstat", "scandir", "listdir", "read", "readv"):
            patched.setattr(os, name, counting(name))
        yield found


def test_each_blob_is_looked_at_a_few_times_and_read_once(
    sparse: Callable[[int], Store], there: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three calls for a link (open, what it holds, how many bytes it leads to), one for the pool, two to prove it."""
    looked: list[Counter[str]] = []
    wanting: list[int] = []
    proven: list[Counter[str]] = []
    for count in (FEW, MANY):
        store, path = sparse(count), there.lists / f"{NAME}-{count}"
        with counted(monkeypatch) as calls:
            assert sum(entry[0] == "layer" for entry in Survey(store.tree).entries()) == count
        looked.append(calls)
        with counted(monkeypatch) as calls:
            assert sum(1 for _ in pool.wanting(there, listing.blobs(path))) == count + count // 50
        wanting.append(calls["lstat"])
        with counted(monkeypatch) as calls:
            assert list(hashing.check(listing.blobs(path), opener(store))) == []
        proven.append(calls)
    more = MANY - FEW
    each = {name: (looked[1][name] - looked[0][name]) / more for name in looked[1]}
    assert each.pop("scandir") < 0.2 and sum(each.values()) < 3.4, each
    assert (wanting[1] - wanting[0]) / more < 1.1
    assert (proven[1]["open"] - proven[0]["open"]) / more < 1.1
    assert (proven[1]["readv"] - proven[0]["readv"]) / more < 2.2


def opener(store: Store) -> pool.Open:
    return lambda digest: hashing.opened(store.tree.blob(digest))


def peak(act: Callable[[], object]) -> int:
    """Bytes that Python holds at the most while `act` runs."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def everything(store: Store, there: Place, name: str) -> dict[str, Callable[[], object]]:
    """What looks at many blobs."""
    path = there.lists / name

    def drained(found: Callable[[], Iterator[object]]) -> Callable[[], object]:
        return lambda: sum(1 for _ in found())

    return {
        "survey": drained(lambda: Survey(store.tree).entries()),
        "wanting": drained(lambda: pool.wanting(there, listing.blobs(path))),
        "read": lambda: verify.read(there, name),
        "prune": lambda: prune.plan(there, 1, None),
    }


def test_memory_is_bounded(sparse: Callable[[int], Store], there: Place) -> None:
    """Of a blob nobody holds more than the bytes of its digest, once its repository is done with."""
    grown: Counter[str] = Counter()
    for sign, count in ((-1, FEW), (1, MANY)):
        for act, work in everything(sparse(count), there, f"{NAME}-{count}").items():
            work()  # what is remembered between calls is no growth
            grown[act] += sign * peak(work)
    most = {"survey": 150, "wanting": 0, "read": 0, "prune": 150}
    assert {act: size for act, size in grown.items() if size > most[act] * (MANY - FEW) + NOISE} == {}
