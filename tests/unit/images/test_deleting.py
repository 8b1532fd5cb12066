"""Deleting, the trash, and bringing back."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from secreg_host.base.errors import BadInput
from secreg_host.images import deleting, emptying, flight, targets, undeleting
from secreg_host.images.collecting import Collector, Wish
from secreg_host.images.emptying import Choice
from secreg_host.images.layout import Repository, Tree
from secreg_host.images.survey import Entry
from secreg_host.images.targets import Target
from secreg_host.images.trash import LAYER, Trash
from tests.distribution import Distribution, image, index
from tests.killed import STRIDE, killed
from tests.stores import digest_of


def push(registry: Distribution, name: str, words: str, *tags: str) -> str:
    layers = [registry.upload(name, data) for data in (b"{}", words.encode())]
    return [registry.put(name, tag, image(*layers)) for tag in tags or ("",)][-1]


def rm(registry: Distribution, *said: str, whole: bool = False) -> list[Entry]:
    planned = deleting.plan(registry.tree, map(targets.parse, said), whole=whole)
    if planned and planned[0][0] == "wrong":
        return planned
    done = list(deleting.delete(registry.tree, planned, "images rm"))
    assert sorted(done) == sorted(planned)
    return done


def undelete(registry: Distribution, said: str) -> list[Entry]:
    return list(undeleting.undelete(registry.tree, targets.parse(said)))


def tags(registry: Distribution, name: str = "a") -> set[str]:
    return {*Repository(registry.tree, name).tags()}


def collect(registry: Distribution, wish: Wish) -> None:
    time.sleep(0.01)
    list(Collector(registry.tree, wish, registry.settled).collect())


def test_what_can_be_named() -> None:
    digest = "sha256:" + 64 * "a"
    assert targets.parse("a/b:1") == Target("a/b", "1")
    assert targets.parse(f"a@{digest}") == Target("a", digest=digest)
    assert str(targets.parse("a/b")) == "a/b"
    for wrong in ("A", "a:", "a@", "a@sha256:12", "host:5000/a", "", "a//b", "a:1:2", f"a:1@{digest}", "../a"):
        with pytest.raises(BadInput):
            targets.parse(wrong)


@pytest.mark.promise("deleted-comes-back")
def test_a_tag_is_untagged_and_comes_back_with_its_history(registry: Distribution) -> None:
    old, new = push(registry, "a", "old", "1"), push(registry, "a", "new", "1", "2")
    assert rm(registry, "a:1") == [("tag", "a", "1", new)]
    one = Repository(registry.tree, "a")
    assert tags(registry) == {"2"} and Path(one.revision(new)).exists()
    assert undelete(registry, "a:1") == [("tag", "a", "1", new)]
    assert tags(registry) == {"1", "2"} and Path(one.once("1", old)).exists() and registry.wrong() == []


@pytest.mark.promise("deleted-comes-back", "what-is-needed-stays")
def test_a_manifest_goes_with_each_tag_that_leads_to_it(registry: Distribution) -> None:
    digest, other = push(registry, "a", "one", "1", "2"), push(registry, "a", "two", "3")
    done = rm(registry, f"a@{digest}")
    assert {entry[:2] for entry in done} == {("tag", "a"), ("revision", "a"), ("layer", "a")}
    assert [entry[2] for entry in done if entry[0] == "layer"] == [digest_of(b"one")], "{} is the other one's, too"
    assert tags(registry) == {"3"} and not Path(Repository(registry.tree, "a").revision(digest)).exists()
    assert not registry.head("a", digest_of(b"one")) and registry.wrong() == []
    collect(registry, Wish(grace=0, purge=True))
    assert undelete(registry, f"a@{digest}")[0] == ("revision", "a", digest)
    assert tags(registry) == {"1", "2", "3"} and registry.head("a", digest_of(b"one")) and registry.wrong() == []
    assert other


def test_with_its_last_manifest_a_repository_leaves_the_catalog_and_comes_back(registry: Distribution) -> None:
    """Seen red: with the links of blobs left."""
    digest, again = push(registry, "a", "one", "1"), push(registry, "a", "two")
    registry.upload("a", b"of a push that was cut")
    rm(registry, f"a@{digest}")
    assert [one.name for one in registry.tree.repositories()] == ["a"]
    rm(registry, f"a@{again}")
    assert [*registry.tree.repositories()] == []
    assert undelete(registry, "a:1") and registry.wrong() == [] and tags(registry) == {"1"}


def test_directories_stay_in_which_an_upload_may_be_about_to_write(registry: Distribution) -> None:
    """Seen red: the registry makes a directory and writes there in its next step, and that push would have failed."""
    digest, one = push(registry, "a", "one", "1"), Repository(registry.tree, "a")
    upload = Path(one.uploads, "0e6ad0c3-5b39-4f4b-a4a4-2a7a0c7a0f57")
    upload.mkdir(parents=True)
    rm(registry, f"a@{digest}")
    assert list(one.layers()) and not any(map(os.path.lexists, one.layers()))
    upload.rmdir()
    push(registry, "a", "one", "1")
    rm(registry, "a", whole=True)
    assert not Path(one.path).exists()


@pytest.mark.promise("what-is-needed-stays")
def test_what_became_needed_while_somebody_was_asked_stays(registry: Distribution) -> None:
    """Seen red: each of these, by a deletion of what was planned, and no more."""
    child, moved = push(registry, "a", "amd64", "amd64"), push(registry, "b", "old", "1")
    planned = deleting.plan(registry.tree, [Target("a", digest=child), Target("b", "1"), Target("b", digest=moved)])
    top = registry.put("a", "1", index(child))
    new = push(registry, "b", "new", "1")
    done = list(deleting.delete(registry.tree, planned, "images rm"))
    assert [entry[:3] for entry in done if entry[1] == "a"] == [("tag", "a", "amd64")]
    assert {entry[:3] for entry in done if entry[1] == "b"} == {
        ("revision", "b", moved),
        ("layer", "b", digest_of(b"old")),
    }
    assert registry.wrong() == [] and tags(registry, "b") == {"1"} and new and top
    planned = deleting.plan(registry.tree, [Target("b", digest=new)])
    registry.put("b", "2", image(*(registry.upload("b", data) for data in (b"{}", b"new"))))
    assert {entry[0] for entry in deleting.delete(registry.tree, planned, "images rm")} == {"tag"}
    assert registry.wrong() == [] and tags(registry, "b") == {"2"}


def test_nothing_goes_while_manifests_keep_coming(registry: Distribution, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = push(registry, "a", "one", "1")
    monkeypatch.setattr(flight, "SECONDS", 0.01)
    planned = deleting.plan(registry.tree, [Target("a", digest=digest)])
    with flight.putting(registry.tree, "a"):
        assert list(deleting.delete(registry.tree, planned, "images rm")) == []
    assert tags(registry) == {"1"} and registry.wrong() == []


@pytest.mark.promise("what-is-needed-stays")
def test_a_part_of_an_image_is_not_deleted_alone(registry: Distribution) -> None:
    child = push(registry, "a", "amd64")
    top = registry.put("a", "1", index(child))
    assert [entry[0] for entry in rm(registry, f"a@{child}")] == ["wrong"]
    planned: list[Entry] = [("revision", "a", child)]
    assert list(deleting.delete(registry.tree, planned, "images rm")) == []
    assert list(deleting.delete(registry.tree, planned, "DELETE", apart=True)) == planned
    assert undelete(registry, f"a@{child}") and registry.wrong() == []
    assert len([entry for entry in rm(registry, f"a@{child}", f"a@{top}") if entry[0] != "layer"]) == 3
    assert undelete(registry, "a:1") and registry.wrong() == []


def test_what_is_not_there_is_said_and_nothing_done(registry: Distribution) -> None:
    push(registry, "a", "one", "1")
    for said in ("b:1", "a:2", f"a@sha256:{64 * 'a'}"):
        assert [entry[0] for entry in rm(registry, "a:1", said)] == ["wrong"]
        assert undelete(registry, said)[0][0] == "wrong"
    assert tags(registry) == {"1"}


def test_a_whole_repository_leaves_the_catalog_and_comes_back(registry: Distribution) -> None:
    push(registry, "a", "one", "1", "2"), push(registry, "a/b", "two", "1"), push(registry, "a", "three")
    rm(registry, "a", whole=True)
    assert [one.name for one in registry.tree.repositories()] == ["a/b"]
    undelete(registry, "a")
    assert tags(registry) == {"1", "2"} and registry.wrong() == [] and registry.head("a", digest_of(b"three"))


def test_a_tag_that_is_there_again_is_not_written_over(registry: Distribution) -> None:
    push(registry, "a", "one", "1")
    rm(registry, "a:1")
    new = push(registry, "a", "two", "1")
    assert undelete(registry, "a:1")[0][0] == "wrong"
    assert Path(Repository(registry.tree, "a").current("1")).read_text() == new


def test_what_was_deleted_twice_comes_back_as_it_was_last(registry: Distribution) -> None:
    for words in ("one", "two"):
        last = push(registry, "a", words, "1")
        rm(registry, "a:1")
    assert undelete(registry, "a:1") == [("tag", "a", "1", last)]


def test_what_was_purged_can_not_come_back_and_nothing_does(registry: Distribution) -> None:
    digest = push(registry, "a", "one", "1")
    rm(registry, f"a@{digest}")
    trash = Trash(registry.tree)
    for item in [item for item in trash.all(trash.runs()) if item.kind == LAYER]:
        trash.forget(item)
    collect(registry, Wish(grace=0, purge=True))
    found = undelete(registry, f"a@{digest}")
    assert found[0][0] == "wrong" and "purged" in found[0][2]
    assert not Path(Repository(registry.tree, "a").revision(digest)).exists() and tags(registry) == set()


def test_what_nobody_here_put_into_the_trash_keeps_nobody_from_it(registry: Distribution) -> None:
    """Whoever took over the registry, or a disk that fails, leaves anything there. Seen red: gc, and the list of what
    is in the trash, ended in bugs."""
    push(registry, "a", "one", "1")
    rm(registry, "a:1")
    there = Trash(registry.tree)
    run = there.runs()[0]
    for kind in (LAYER, "_revisions", "_tags"):
        for name in (b"x", b"sha256-", b"sha256-..", b"a\nb", b"\xff", f"sha256-{64 * 'g'}".encode(), b"\x1b[2J"):
            folder = Path(there.path, run.name, "repositories", "a", kind)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / os.fsdecode(name)).mkdir()
    tagged = {item.name for item in there.all([run]) if item.kind == "_tags"}
    assert tagged == {"1", "x", "sha256-", "sha256-..", f"sha256-{64 * 'g'}"} and not list(there.digests())
    for number, made in enumerate((10**400, -(10**18), 10**13)):
        odd = Path(there.path, f"00090{number}-20260101T000000Z-abcdef01")
        Path(odd, "repositories/a/_revisions").mkdir(parents=True)
        Path(odd, "repositories/a/_revisions", f"sha256-{64 * 'a'}").touch()
        Path(odd, "run.json").write_text(json.dumps({"why": "", "made": made, "day": 0, "open": False, "version": 1}))
    told = [entry[3:6] for entry in emptying.listed(registry.tree)]
    assert told.count(("a", "manifest", f"sha256:{64 * 'a'}")) == 3
    collect(registry, Wish(grace=0))
    assert undelete(registry, "a:1")[0][0] == "tag"


def test_what_is_in_the_trash_outlives_collecting(registry: Distribution) -> None:
    digest = push(registry, "a", "one", "1")
    rm(registry, f"a@{digest}")
    for _ in range(3):
        collect(registry, Wish(grace=0, untagged=0))
    assert undelete(registry, "a:1") and registry.wrong() == [] and tags(registry) == {"1"}
    assert list(Trash(registry.tree).digests()) == []


def test_deleting_that_is_killed_at_any_step_loses_nothing(tmp_path: Path) -> None:
    """Nor does undeleting; once more, and it is done."""
    number, was = 0, True
    while was:
        registry = Distribution(Tree(tmp_path / str(number)))
        one, two = push(registry, "a", "one", "1"), push(registry, "a", "two", "2", "3")
        planned = deleting.plan(registry.tree, [Target("a", "1"), Target("a", digest=two)])
        was = killed((entry for entry in deleting.delete(registry.tree, planned, "images rm")), number)
        assert registry.wrong() == [], f"killed at step {number}"
        for said in ("a:1", f"a@{two}"):
            planned = deleting.plan(registry.tree, [targets.parse(said)])
            if planned[0][0] != "wrong":
                list(deleting.delete(registry.tree, planned, "images rm"))
        assert tags(registry) == set() and registry.wrong() == []
        for said in ("a:1", f"a@{two}"):
            inner = killed(undeleting.undelete(registry.tree, targets.parse(said)), number)
            assert registry.wrong() == [], f"undelete {said} killed at step {number}"
            if inner:
                undelete(registry, said)
        assert {"1", "2", "3"} - tags(registry) == set(), f"killed at step {number}"
        assert registry.wrong() == [] and registry.head("a", digest_of(b"two")), (number, one)
        number += STRIDE
    assert number > 15


def test_emptying_that_is_killed_at_any_step_leaves_images_whole(tmp_path: Path) -> None:
    number, was = 0, True
    while was:
        registry = Distribution(Tree(tmp_path / str(number)))
        push(registry, "a", "one", "1", "2"), push(registry, "b", "two", "1")
        rm(registry, "a", whole=True)
        time.sleep(0.01)
        was = killed(Collector(registry.tree, Wish(grace=0), registry.settled).empty(Choice()), number)
        push(registry, "a", "one", "1")
        assert registry.wrong() == [], f"killed at step {number}, and pushed again"
        time.sleep(0.01)
        list(Collector(registry.tree, Wish(grace=0), registry.settled).empty(Choice()))
        assert (
            registry.wrong() == [] and len([*registry.tree.blobs()]) == 5 and list(Trash(registry.tree).digests()) == []
        )
        number += STRIDE
    assert number > 15
