"""Pushes at the worst moment, one by one: what the collector waits for, and what the manifest service can rely on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from secreg_host.base.marks import Stamp
from secreg_host.images import bringing, flight, manifests
from secreg_host.images.collecting import Collector, Wish
from secreg_host.images.hiding import Hidden
from secreg_host.images.layout import Repository
from secreg_host.images.marking import Spare
from secreg_host.images.purging import Purge
from secreg_host.images.survey import Entry
from tests.distribution import Distribution, image
from tests.stores import digest_of

NOW = Wish(grace=0, untagged=0, purge=True)


def held_up(registry: Distribution, monkeypatch: pytest.MonkeyPatch, request: Callable[[], object]) -> list[Entry]:
    """Collect while `request` has seen what is there, and has yet to write: it goes on once it is waited for. What the
    collector told."""
    seen, on = threading.Event(), threading.Event()
    real = registry._write

    def write(path: str, data: bytes) -> None:
        seen.set()
        assert on.wait(20)
        real(path, data)

    monkeypatch.setattr(registry, "_write", write)
    thread = threading.Thread(target=request)
    thread.start()
    assert seen.wait(20)

    def settle() -> None:
        on.set()
        thread.join()

    time.sleep(0.01)
    found = list(Collector(registry.tree, NOW, settle).collect())
    settle()
    return found


def test_a_manifest_whose_links_were_seen_before_they_went_is_whole(
    registry: Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen red: nothing was waited for before the second look."""
    body = image(*(registry.upload("a", data) for data in (b"{}", b"one")))
    found = held_up(registry, monkeypatch, lambda: registry.put("a", "1", body))
    assert registry.wrong() == [] and [entry[0] for entry in found].count("back") == 2


def test_a_blob_whose_bytes_were_seen_before_they_went_is_there(
    registry: Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was uploaded again: its bytes were kept, and a link is written. Seen red: nothing was waited for."""
    digest = registry.upload("a", b"one")
    place = Path(Repository(registry.tree, "b").path, "_uploads/u")
    place.mkdir(parents=True)
    Path(Repository(registry.tree, "a").layer(digest)).unlink()

    def commit() -> None:
        assert registry.tree.size(digest) == 3
        registry._write(Repository(registry.tree, "b").layer(digest), digest.encode())

    found = held_up(registry, monkeypatch, commit)
    assert registry.head("b", digest) and ("kept", "1") in found


def test_nothing_goes_where_a_manifest_is_on_its_way(registry: Distribution, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flight, "BUSY_SECONDS", 0.05)
    one, other = registry.upload("a", b"one"), registry.upload("b", b"other")
    time.sleep(0.01)
    with flight.putting(registry.tree, "a"):
        collector = Collector(registry.tree, Wish(grace=0), registry.settled)
        found = list(collector.collect())
    assert registry.head("a", one) and not registry.head("b", other)
    assert ("held", "a", "manifests keep coming") in found


def spare_bytes(registry: Distribution, data: bytes) -> str:
    """Bytes in the store that no link names."""
    digest = registry.upload("a", data)
    Path(Repository(registry.tree, "a").layer(digest)).unlink()
    time.sleep(0.01)
    return digest


def test_bytes_stay_where_they_are_while_any_manifest_is_on_its_way(
    registry: Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry may be about to look for them: they were brought back a moment ago. Seen red: it refused the
    manifest."""
    monkeypatch.setattr(flight, "BUSY_SECONDS", 0.05)
    digest = spare_bytes(registry, b"one")
    with flight.putting(registry.tree, "b"):
        assert list(Collector(registry.tree, NOW, registry.settled).collect()) == [("freed", "0", "0")]
        assert registry.tree.size(digest) == 3
    assert list(Collector(registry.tree, NOW, registry.settled).collect()) == [("freed", "1", "3")]


def test_no_image_lacks_bytes_for_a_moment_that_came_to_be_named(
    registry: Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector saw that no link names them; the push that keeps them had its answer then. Seen red: until the
    second look nobody could pull it."""
    spare_bytes(registry, b"one")
    registry.served, real = True, Purge.away

    def away(self: Purge, found: list[tuple[str, Stamp]]) -> list[str]:
        registry.put("a", "1", image(*(registry.upload("a", data) for data in (b"{}", b"one"))))
        went = real(self, found)
        assert (registry.wrong(), went) == ([], [])
        return went

    monkeypatch.setattr(Purge, "away", away)
    list(Collector(registry.tree, NOW, registry.settled).collect())
    assert registry.wrong() == []


def test_what_was_hidden_comes_back_where_a_manifest_does_not_land(
    registry: Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = registry.upload("a", b"one")
    monkeypatch.setattr(flight, "landed", lambda tree, repositories: False)
    time.sleep(0.01)
    found = list(Collector(registry.tree, NOW, registry.settled).collect())
    assert registry.head("a", one) and [entry[0] for entry in found] == ["hidden", "back"]


def test_who_hides_gets_his_turn_though_manifests_never_end(registry: Distribution) -> None:
    """Each begins before the last one has ended."""
    stop, turn = threading.Event(), threading.Event()

    def keep_putting() -> None:
        while not stop.is_set():
            with flight.putting(registry.tree, "a"):
                turn.set()
                time.sleep(0.02)

    threads = [threading.Thread(target=keep_putting) for _ in range(4)]
    for one in threads:
        one.start()
    assert turn.wait(5)
    with flight.still(registry.tree, "a", 5) as got:
        turn.clear()
        assert got and not turn.wait(0.1), "and nobody is on his way then"
    assert flight.landed(registry.tree, ["a", "b"], 5) and turn.wait(5)
    stop.set()
    for one in threads:
        one.join()


def test_what_a_manifest_names_does_not_go_after_it(registry: Distribution, monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector saw the links before, and that they are spare; the manifest had its answer then."""
    body = image(*(registry.upload("a", data) for data in (b"{}", b"one")))
    real = Hidden.hide

    def hide(self: Hidden, name: str, spare: Spare) -> bool:
        with flight.putting(registry.tree, name):
            assert bringing.named(registry.tree, name, manifests.read(body)) == ()
        return real(self, name, spare)

    monkeypatch.setattr(Hidden, "hide", hide)
    time.sleep(0.01)
    assert list(Collector(registry.tree, NOW, registry.settled).collect()) == []
    assert registry.head("a", digest_of(b"one"))


def test_what_a_manifest_names_comes_back_from_the_trash(registry: Distribution) -> None:
    body = image(*(registry.upload("a", data) for data in (b"{}", b"one")))
    time.sleep(0.01)
    list(Collector(registry.tree, Wish(grace=0), registry.settled).collect())
    assert not registry.head("a", digest_of(b"one"))
    assert bringing.named(registry.tree, "a", manifests.read(body)) == () and registry.head("a", digest_of(b"one"))
    assert bringing.named(registry.tree, "b", manifests.read(body)) == manifests.read(body).blobs, "of no other one"


def test_who_gives_a_tag_something_else_has_it_alone(registry: Distribution) -> None:
    with flight.turn(registry.tree, "a", "1") as first, flight.turn(registry.tree, "a", "1", 0.01) as second:
        assert (first, second) == (True, False)
    with flight.turn(registry.tree, "a", "1") as first, flight.turn(registry.tree, "a", "2", 0.01) as other:
        assert (first, other) == (True, True)
