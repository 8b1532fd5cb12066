"""What the collector takes, and what it never does; and what it leaves when it is killed at any of its steps."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from secreg_host.base import marks
from secreg_host.base.errors import SecregError
from secreg_host.images import collecting, deleting, moving, room, trash, undeleting
from secreg_host.images.collecting import Collector, Wish
from secreg_host.images.emptying import Choice
from secreg_host.images.layout import Repository, Tree
from secreg_host.images.purging import Purge
from secreg_host.images.survey import Entry
from secreg_host.images.targets import Target
from secreg_host.images.trash import LAYER, REVISION, Trash
from tests.distribution import Distribution, image, index
from tests.killed import STRIDE, killed
from tests.stores import digest_of

NOW = Wish(grace=0, untagged=0, purge=True)
HIDE = Wish(grace=0, untagged=0)


def push(registry: Distribution, name: str, words: str, tag: str = "", **more: object) -> str:
    """An image of a layer that all have, and one of its own."""
    layers = [registry.upload(name, data) for data in (b"{}", b"shared", words.encode())]
    return registry.put(name, tag, json.dumps({**json.loads(image(*layers)), **more}).encode())


def collect(registry: Distribution, wish: Wish = NOW) -> list[Entry]:
    time.sleep(0.01)  # file times are coarse: what was written in the same tick counts as changed
    return list(Collector(registry.tree, wish, registry.settled).collect())


def revisions(registry: Distribution, name: str = "a") -> set[str]:
    return {link.rsplit("/", 2)[1] for link in Repository(registry.tree, name).revisions() if os.path.lexists(link)}


def hexes(*digests: str) -> set[str]:
    return {one.removeprefix("sha256:") for one in digests}


def test_what_was_overwritten_a_hundred_times_is_one_image(registry: Distribution) -> None:
    for number in range(100):
        last = push(registry, "a", str(number), "latest")
    found = collect(registry)
    assert revisions(registry) == hexes(last) and registry.wrong() == []
    assert {*registry.tree.blobs()} == {last, digest_of(b"{}"), digest_of(b"shared"), digest_of(b"99")}
    assert next(one[:2] for one in found if one[0] == "freed") == ("freed", "198")


def test_what_a_tag_was_is_known_as_long_as_it_can_come_back(registry: Distribution) -> None:
    """A tag that was moved a hundred thousand times has as many files of its history."""
    old, new = push(registry, "a", "old", "1"), push(registry, "a", "new", "1")

    def history() -> set[str]:
        return {link.rsplit("/", 2)[1] for link in Repository(registry.tree, "a").history("1")}

    collect(registry, HIDE)
    assert history() == hexes(old, new)
    collect(registry, Wish(grace=3600, days=0))
    assert history() == hexes(old, new)
    collect(registry, Wish(grace=0, days=0))
    assert registry.tree.size(old) is None and history() == hexes(new) and registry.wrong() == []


def test_by_default_only_what_nothing_refers_to_goes(registry: Distribution) -> None:
    """Manifests without a tag stay: people pull by digest."""
    old, new = push(registry, "a", "old", "1"), push(registry, "a", "new", "1")
    left = registry.upload("a", b"of no image")
    found = collect(registry, Wish(grace=0, purge=True))
    assert revisions(registry) == hexes(old, new) and registry.tree.size(left) is None
    assert [one for one in found if one[0] == "hidden"] == [("hidden", "a", LAYER, left)]


def test_what_is_younger_than_the_grace_stays(registry: Distribution) -> None:
    left = registry.upload("a", b"of no image")
    assert collect(registry, Wish(grace=60, untagged=0, purge=True)) == [] and registry.head("a", left)


def test_bytes_that_are_younger_than_the_grace_stay(registry: Distribution) -> None:
    """The link is about to be written. Seen red: they went."""
    left = registry.upload("a", b"of no image")
    Path(Repository(registry.tree, "a").layer(left)).unlink()
    assert collect(registry, Wish(grace=60)) == [] and registry.tree.size(left)
    assert collect(registry, Wish(grace=0)) == [("freed", "1", "11")]


@pytest.mark.promise("never-collected")
def test_children_referrers_and_what_they_need_stay(registry: Distribution) -> None:
    child, other = push(registry, "a", "amd64"), push(registry, "a", "arm64")
    nested = registry.put("a", "", index(other))
    top = registry.put("a", "1", index(child, nested))
    about = push(registry, "a", "signature", subject={"digest": child})
    further = push(registry, "a", "of the signature", subject={"digest": about})
    tagged = push(registry, "a", "cosign", f"sha256-{child.removeprefix('sha256:')}.sig")
    orphan = push(registry, "a", "orphan", subject={"digest": digest_of(b"gone")})
    collect(registry)
    assert revisions(registry) == hexes(child, other, nested, top, about, further, tagged)
    assert registry.wrong() == [] and registry.tree.size(orphan) is None
    for words in (b"amd64", b"arm64", b"signature", b"of the signature", b"cosign"):
        assert registry.head("a", digest_of(words))


def test_a_repository_of_which_something_can_not_be_read_is_left_alone(registry: Distribution) -> None:
    old, _ = push(registry, "a", "old", "1"), push(registry, "a", "new", "1")
    Path(Repository(registry.tree, "a").current("1")).write_bytes(b"")
    found = collect(registry)
    assert old.removeprefix("sha256:") in revisions(registry) and [one[0] for one in found] == ["held"]


def test_other_repositories_keep_what_one_has_no_more(registry: Distribution) -> None:
    push(registry, "a", "one", "1")
    registry.delete("b", push(registry, "b", "one", "1"))
    last = push(registry, "b", "two", "1")
    registry.delete("b", last)
    collect(registry)
    assert registry.wrong() == [] and registry.head("a", digest_of(b"one"))
    assert not registry.head("b", digest_of(b"one")) and registry.tree.size(digest_of(b"two")) is None


def test_what_is_hidden_is_in_the_trash_with_its_bytes(registry: Distribution) -> None:
    old, _ = push(registry, "a", "old", "1"), push(registry, "a", "new", "1")
    collect(registry, HIDE)
    there = Trash(registry.tree)
    items = list(there.all(there.runs()))
    assert {(item.kind, item.name) for item in items} == {(REVISION, old), (LAYER, digest_of(b"old"))}
    assert registry.tree.size(digest_of(b"old")) == 3 and not registry.head("a", digest_of(b"old"))
    for item in items:
        there.back(item)
    assert registry.head("a", digest_of(b"old")) and old.removeprefix("sha256:") in revisions(registry)


def test_purge_frees_nothing_that_was_in_the_trash_before(registry: Distribution) -> None:
    push(registry, "a", "old", "1"), push(registry, "a", "new", "1")
    collect(registry, HIDE)
    push(registry, "a", "newer", "1")
    collect(registry)
    assert registry.tree.size(digest_of(b"old")) == 3 and registry.tree.size(digest_of(b"new")) is None


def test_days_count_daily_runs_too(registry: Distribution, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that jumps a month ahead empties nothing, nor do runs without days."""
    push(registry, "a", "old", "1"), push(registry, "a", "new", "1")
    daily = Wish(grace=0, untagged=0, days=2, daily=True)
    collect(registry, daily)
    real = Trash.now
    monkeypatch.setattr(Trash, "now", lambda self: real(self) + 40 * 86400 * 10**9)
    collect(registry, daily)
    assert registry.tree.size(digest_of(b"old")) == 3, "one day later by the clock's jump"
    collect(registry, daily)
    assert registry.tree.size(digest_of(b"old")) is None
    monkeypatch.setattr(Trash, "now", real)
    push(registry, "a", "newer", "1")
    for _ in range(4):
        collect(registry, daily)
    assert registry.tree.size(digest_of(b"new")) == 3, "no day went by"


def test_a_dry_run_writes_nothing_and_tells_what_a_run_frees(registry: Distribution) -> None:
    for number in range(3):
        push(registry, "a", str(number), "latest")
    time.sleep(0.01)
    before = sorted(map(str, registry.tree.root.rglob("*")))
    planned = list(Collector(registry.tree, NOW, registry.settled).plan())
    assert sorted(map(str, registry.tree.root.rglob("*"))) == before
    assert sorted(planned) == sorted(collect(registry, NOW)[:-2] + [planned[-1]])


def test_uploads_that_nobody_ended_go(registry: Distribution) -> None:
    place = Path(Repository(registry.tree, "a").path, "_uploads/one")
    place.mkdir(parents=True)
    (place / "data").write_bytes(b"12345")
    push(registry, "a", "1", "1")
    assert collect(registry, Wish(uploads=3600)) == [] and place.exists()
    assert collect(registry, Wish(uploads=0)) == [("uploads", "1", "5")] and not place.exists()


def test_what_a_link_names_by_the_last_look_comes_back(registry: Distribution) -> None:
    """A push was acknowledged for which the bytes were there, and only the link was written."""
    left = registry.upload("a", b"of no image")
    one = Collector(registry.tree, NOW, lambda: None)
    Path(Repository(registry.tree, "a").layer(left)).unlink()
    time.sleep(0.01)
    one.settle = lambda: registry._write(Repository(registry.tree, "b").layer(left), left.encode())
    found = list(one.collect())
    assert ("kept", "1") in found and registry.head("b", left)


def test_what_is_linked_again_in_its_old_place_comes_back(
    registry: Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No directory changes then but that of the link itself, and all else was seen long ago."""
    monkeypatch.setattr(marks, "COARSE", 0.005)
    push(registry, "a", "1", "1")
    left = registry.upload("a", b"of no image")
    link = Repository(registry.tree, "a").layer(left)
    Path(link).unlink()
    time.sleep(0.05)
    one = Collector(registry.tree, NOW, lambda: registry._write(link, left.encode()))
    assert ("kept", "1") in list(one.collect()) and registry.head("a", left) and registry.wrong() == []


@pytest.mark.parametrize("step", ["second", "away"])
def test_a_link_that_is_written_anew_before_it_goes_stays(
    registry: Distribution, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Before it has its second name, and before it loses the first one."""
    left = registry.upload("a", b"of no image")
    link = Repository(registry.tree, "a").layer(left)
    real = getattr(moving, step)

    def wrapped(source: str, target: str) -> bool:
        if source == link:
            registry._write(link, left.encode())
        return bool(real(source, target))

    monkeypatch.setattr(moving, step, wrapped)
    assert collect(registry) == [] and registry.head("a", left)


def test_killed_at_any_step_and_a_push_comes_before_it_goes_on(tmp_path: Path) -> None:
    """What is pushed then may need what was hidden, and what was moved away."""
    number = 0
    while True:  # the last one is not killed
        registry = Distribution(Tree(tmp_path / str(number)))
        kept = push(registry, "b", "kept", "1")
        for words in ("one", "two", "three"):
            body = push(registry, "a", words, "latest")
        registry.upload("c/d", b"left")
        time.sleep(0.01)
        again = Path(registry.tree.blob(body)).read_bytes()
        registry.delete("a", body)
        was = killed(Collector(registry.tree, NOW, registry.settled).collect(), number)
        assert registry.wrong() == [], f"killed at step {number}"
        for data in (b"{}", b"shared", b"three"):
            registry.head("a", digest_of(data)) or registry.upload("a", data)
        registry.put("a", "latest", again)
        assert registry.wrong() == [], f"killed at step {number}, and pushed then"
        collect(registry)
        assert registry.wrong() == [], f"killed at step {number}, and gone on"
        stays = {kept, body, *map(digest_of, (b"{}", b"shared", b"three", b"kept"))}
        assert {*registry.tree.blobs()} == stays | {*Trash(registry.tree).digests()}
        assert Purge(registry.tree).there() == []
        assert list(Collector(registry.tree, NOW, registry.settled).go_on()) == []
        if not was:
            break
        number += STRIDE
    assert number > 30


def test_killed_after_it_hid_what_a_push_was_about_to_name(registry: Distribution) -> None:
    """The registry had looked at the links before; the next run brings them back, though it has no stamps."""
    layers = [registry.upload("a", data) for data in (b"{}", b"one")]
    for digest in layers:
        os.utime(Repository(registry.tree, "a").layer(digest), (1000, 1000))
    time.sleep(0.01)

    def die() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(Collector(registry.tree, NOW, die).collect())
    assert not registry.head("a", layers[0])
    one, body = Repository(registry.tree, "a"), image(*layers)
    for path, data in (
        (registry.tree.blob(digest_of(body)), body),
        (one.revision(digest_of(body)), digest_of(body).encode()),
        (one.current("1"), digest_of(body).encode()),
    ):
        registry._write(path, data)
    assert registry.wrong() != []
    found = collect(registry)
    assert registry.wrong() == [] and [one[0] for one in found].count("back") == 2


def refuse() -> None:
    raise SecregError("it remembers", "")


@pytest.mark.promise("gc-under-a-cache")
def test_where_the_registry_does_not_forget_all_is_as_it_was(registry: Distribution) -> None:
    """Before the second look, and before the last one. Seen red: what was hidden stayed so."""
    kept = push(registry, "a", "old", "1"), push(registry, "a", "new", "1")
    time.sleep(0.01)
    with pytest.raises(SecregError, match="it remembers"):
        list(Collector(registry.tree, NOW, refuse).collect())
    assert revisions(registry) == hexes(*kept) and [*Trash(registry.tree).digests()] == []
    collect(registry, HIDE)
    list(Collector(registry.tree, HIDE, registry.settled).empty(Choice()))
    push(registry, "a", "newer", "2")
    left = registry.upload("b", b"left")
    Path(Repository(registry.tree, "b").layer(left)).unlink()
    time.sleep(0.01)
    with pytest.raises(SecregError, match="it remembers"):
        list(Collector(registry.tree, NOW, refuse).collect())
    assert registry.tree.size(left) == 4 and Purge(registry.tree).there() == []


@pytest.mark.promise("gc-under-a-cache")
@pytest.mark.parametrize("forgets", [True, False])
def test_a_run_that_was_killed_is_gone_on_with_by_a_registry_that_forgot(registry: Distribution, forgets: bool) -> None:
    """It may still take manifests that name what is hidden, and those that are under way are waited for, too. Seen red:
    the next run looked at once."""
    layers = [registry.upload("a", data) for data in (b"{}", b"one")]
    time.sleep(0.01)

    def die() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(Collector(registry.tree, NOW, die).collect())
    assert not registry.head("a", layers[0])

    def settle() -> None:
        if not forgets:
            raise SecregError("it remembers", "")
        one, body = Repository(registry.tree, "a"), image(*layers)
        registry._write(registry.tree.blob(digest_of(body)), body)
        registry._write(one.revision(digest_of(body)), digest_of(body).encode())

    again = Collector(registry.tree, Wish(), settle).collect()
    if forgets:
        assert [entry[0] for entry in again].count("back") == 2
    else:
        with pytest.raises(SecregError, match="it remembers"):
            list(again)
    assert all(registry.head("a", one) for one in layers)


def test_batches_of_any_size_do_the_same(registry: Distribution, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "BATCH", 1)
    for number in range(5):
        last = push(registry, f"a{number % 2}", str(number), "latest")
    collect(registry)
    assert registry.wrong() == [] and len([*registry.tree.blobs()]) == 2 + 2 + 2 and registry.tree.size(last)


def test_a_clock_that_was_set_back_takes_nothing(registry: Distribution, monkeypatch: pytest.MonkeyPatch) -> None:
    push(registry, "a", "old", "1"), push(registry, "a", "new", "1")
    real = Trash.now
    monkeypatch.setattr(Trash, "now", lambda self: real(self) - 40 * 86400 * 10**9)
    assert collect(registry, Wish(grace=0, untagged=0, purge=True, days=0, uploads=0)) == []
    assert len([*registry.tree.blobs()]) == 6


def test_the_same_where_files_have_one_name_only(registry: Distribution, monkeypatch: pytest.MonkeyPatch) -> None:
    """CIFS, FAT."""

    def link(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    old = push(registry, "a", "old", "1")
    push(registry, "a", "new", "1")
    collect(registry, HIDE)
    assert old.removeprefix("sha256:") not in revisions(registry) and registry.tree.size(digest_of(b"old")) == 3
    list(undeleting.undelete(registry.tree, Target("a", digest=old)))
    assert old.removeprefix("sha256:") in revisions(registry) and registry.head("a", digest_of(b"old"))
    list(deleting.delete(registry.tree, deleting.plan(registry.tree, [Target("a", "1")]), "images rm"))
    assert list(undeleting.undelete(registry.tree, Target("a", "1"))) != [] and registry.wrong() == []
    collect(registry)
    assert len([*registry.tree.blobs()]) == 4 and registry.wrong() == []


@pytest.mark.promise("gc-on-a-full-disk")
def test_room_for_the_trash_is_kept_and_given_up_on_a_full_disk(
    registry: Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = registry.tree.base / "_trash/reserve/0/0"
    push(registry, "a", "old", "1"), collect(registry)
    assert kept.stat().st_size == room.SIZE // room.PARTS <= kept.stat().st_blocks * 512
    push(registry, "a", "new", "1"), collect(registry, HIDE)
    real, begun = Trash.begin, list[bool]()

    def begin(one: Trash, why: str, *, open: bool = True) -> trash.Run:
        begun.append(kept.exists())
        return real(one, why, open=open)

    monkeypatch.setattr(Trash, "begin", begin)
    full = SimpleNamespace(f_bavail=1, f_frsize=4096, f_files=0, f_favail=0)
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    collect(registry)
    assert begun == [False] and not kept.exists(), "nor is it kept where nothing is left"
    list(deleting.delete(registry.tree, deleting.plan(registry.tree, [Target("a", "1")]), "images rm"))
    assert begun == [False, False]
    full.f_bavail = 1 << 20
    collect(registry), collect(registry)
    assert begun[3:] == [True], "there is room"
