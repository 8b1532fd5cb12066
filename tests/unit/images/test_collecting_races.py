"""The collector in a loop, against a registry that does on disk what distribution does (tests/distribution)."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from secreg_host.base import marks, waiting
from secreg_host.images.collecting import Collector, Wish
from secreg_host.images.layout import Tree
from tests.distribution import Distribution, Refused, image, index, slow
from tests.killed import killed
from tests.stores import digest_of

SECONDS = float(os.environ.get("SECREG_RACE_SECONDS", "3"))
SEED = int(os.environ.get("SECREG_RACE_SEED", "1"))
NAMES = ("a", "b/c", "b")
POOL = [f"layer {number}".encode() * 10 for number in range(10)]


@pytest.fixture(autouse=True)
def marks_tell_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is known here how coarse the clock of files is: what was seen of a repository counts a moment later."""
    monkeypatch.setattr(marks, "COARSE", 0.02)


class Pushers:
    """Clients that push, skip what is there, mount, move tags, delete, and push what was deleted."""

    def __init__(self, registry: Distribution, seconds: float) -> None:
        self.registry, self.until = registry, waiting.within(seconds)
        self.count: Counter[str] = Counter()
        self.errors: list[BaseException] = []
        self.acknowledged: dict[tuple[str, str], str] = {}
        self.last = ""

    def run(self, meanwhile: Callable[[], None]) -> None:
        threads = [threading.Thread(target=self._guarded, args=(number,)) for number in range(4)]
        for one in threads:
            one.start()
        while any(one.is_alive() for one in threads):
            meanwhile()
        assert self.errors == []

    def _guarded(self, number: int) -> None:
        try:
            chance = random.Random(SEED * 10 + number)
            while not self.until.over:
                self._push(chance, number)
        except BaseException as error:
            self.errors.append(error)
            raise

    def _push(self, chance: random.Random, number: int) -> None:
        name, tag = chance.choice(NAMES), f"t{number}"
        try:
            made = [self._image(name, chance, number) for _ in range(chance.choice((1, 1, 2)))]
            body = made[0] if len(made) == 1 else index(*(self.registry.put(name, "", one) for one in made))
            self.registry.put(name, tag, body)
        except Refused as error:
            self.count["refused"] += 1
            self.last = str(error)
            return
        self.count["pushed"] += 1
        self.acknowledged[name, tag] = digest_of(body)
        if chance.random() < 0.3:
            with contextlib.suppress(Refused):  # two delete one image
                self.registry.delete(name, digest_of(body))
            self.acknowledged.pop((name, tag))
            self.count["deleted"] += 1

    def _image(self, name: str, chance: random.Random, number: int) -> bytes:
        """Layers are shared; the manifest is the pusher's own: distribution itself loses the one that two push and
        delete by digest at one moment, whoever collects."""
        layers = chance.sample(POOL, 3)
        for data in layers:
            if self.registry.head(name, digest_of(data)):
                self.count["skipped"] += 1
            elif self.registry.mount(name, digest_of(data), chance.choice(NAMES)):
                self.count["mounted"] += 1
            else:
                self._uploaded(name, data)
        self.registry.pause()
        return image(*(digest_of(data) for data in layers), words=f"by {number}")

    def _uploaded(self, name: str, data: bytes) -> None:
        """As docker does, which tries again."""
        for _ in range(5):
            try:
                self.registry.upload(name, data)
            except Refused:
                self.count["again"] += 1
            else:
                break
        self.count["uploaded"] += 1


def race(tmp_path: Path, wish: Wish, *, served: bool) -> Counter[str]:
    """Push and collect at once; what was done. No image is broken afterwards."""
    chance = random.Random(SEED)
    registry = Distribution(Tree(tmp_path), slow(0.002, chance), served=served)
    registry.tree.base.joinpath("repositories").mkdir(parents=True)
    registry.tree.base.joinpath("blobs").mkdir(parents=True)
    pushers, told = Pushers(registry, SECONDS), Counter[str]()

    def collect() -> None:
        for entry in Collector(registry.tree, wish, registry.settled).collect():
            told[entry[0]] += int(entry[1]) if entry[0] in ("freed", "kept", "uploads", "emptied") else 1

    pushers.run(collect)
    assert registry.wrong() == []
    assert pushers.count["refused"] == 0 or not (wish.grace or served), pushers.last
    for (name, tag), digest in pushers.acknowledged.items():
        found = Path(registry.tree.base, "repositories", name, "_manifests/tags", tag, "current/link")
        assert found.read_text() == digest, "what was acknowledged is there"
    print(f"seed {SEED}: {dict(pushers.count)}; collector: {dict(told)}")
    return Counter(pushers.count) + told


GREEDY = Wish(grace=0, untagged=0, purge=True, uploads=3600)


def test_no_image_is_broken_whatever_is_pushed(tmp_path: Path) -> None:
    found = race(tmp_path, GREEDY, served=False)
    assert found["pushed"] > 20 and found["freed"] > 20 and found["hidden"] > 20


def test_no_push_is_refused_that_comes_by_the_service(tmp_path: Path) -> None:
    """Though all that is not needed at a moment is hidden in the next one: what a manifest names comes back from the
    trash. (What left the trash does not: `--purge` with a grace shorter than a push is what GREEDY is.)"""
    found = race(tmp_path, Wish(grace=0, untagged=0), served=True)
    assert found["refused"] == 0 and found["pushed"] > 20 and found["hidden"] > 20


@pytest.mark.parametrize("served", [False, True])
def test_no_push_is_refused_within_the_grace(tmp_path: Path, served: bool) -> None:
    """Everything is younger than it."""
    found = race(tmp_path, Wish(grace=3600, untagged=0, purge=True), served=served)
    assert found["pushed"] > 20 and found["hidden"] == 0


def test_no_push_is_refused_when_what_is_older_than_one_goes(tmp_path: Path) -> None:
    found = race(tmp_path, Wish(grace=1, untagged=1), served=True)
    assert found["pushed"] > 20 and found["hidden"] > 0


def test_no_image_is_broken_by_collectors_that_are_killed(tmp_path: Path) -> None:
    """Each at another step; one that is not, at the end, goes on where they were. (Until then an image can lack what
    was hidden when one was killed, where no manifest service is.)"""
    chance = random.Random(SEED)
    registry = Distribution(Tree(tmp_path), slow(0.001, chance))
    for name in ("blobs", "repositories"):
        (registry.tree.base / name).mkdir(parents=True)
    pushers, count = Pushers(registry, SECONDS), Counter[bool]()

    def settle() -> None:
        waiting.until(lambda: False, 0.15, 0.05)

    def collect() -> None:
        count[killed(Collector(registry.tree, GREEDY, settle).collect(), chance.randrange(300))] += 1

    pushers.run(collect)
    while count[True] < 3:  # where the machine is slow
        collect()
    list(Collector(registry.tree, GREEDY, registry.settled).collect())
    assert registry.wrong() == []
    print(f"seed {SEED}: {dict(pushers.count)}; killed: {dict(count)}")
    assert count[True] > 2 and pushers.count["pushed"] > 20
