"""What becomes of a store, and of the trash, by what clients push and delete."""

from __future__ import annotations

import errno
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from secreg_host.base import waiting
from secreg_host.generation.behind import Behind
from secreg_host.images import deleting, flight, targets
from secreg_host.images.layout import Repository
from secreg_host.images.manifests import Manifest
from secreg_host.images.trash import Trash
from secreg_host.push import answers, steps, trashed, upstream
from secreg_host.push.answers import Answer
from secreg_host.push.asked import Asked
from secreg_host.push.trashed import Runs
from tests.stores import Store, digest_of
from tests.unit.push.conftest import MARK, Registry, body, is_now, of


def rm(store: Store, *named: str) -> None:
    planned = deleting.plan(store.tree, [targets.parse(one) for one in named])
    assert list(deleting.delete(store.tree, planned, "images rm")), planned


def test_a_push_is_the_registrys_own_answer(store: Store, registry: Registry, behind: Behind) -> None:
    data = body(store, "team/app", "two")
    answer = steps.done(of(behind, "PUT", "v2", data))
    assert (answer.status, answer.has("docker-content-digest"), answer.has("x-own")) == (201, digest_of(data), "yes")
    assert registry.asked == [("PUT", "v2")] and is_now(store, "v2") == digest_of(data)


def test_a_registry_that_is_elsewhere_by_now_is_asked_by_who_is_started_next(
    store: Store, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: after REGISTRY_HOST was set each push was 503, for a service that began before may ask on sockets only."""

    def walled(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(upstream, "_once", walled)
    for where in (behind, Behind("127.0.0.1:5000")):
        for method in ("PUT", "DELETE"):
            with pytest.raises(steps.Stale):
                steps.done(of(where, method, "v1", b"{}"))


@pytest.mark.promise("manifest-service")
def test_what_a_manifest_names_comes_back(store: Store, registry: Registry, behind: Behind) -> None:
    """Seen: distribution refuses it, for a client that was told that the blob is there."""
    data = Path(store.tree.blob(is_now(store, "v1") or "")).read_bytes()
    one = Repository(store.tree, "team/app")
    planned = deleting.plan(store.tree, [targets.parse("team/app")], whole=True)
    list(deleting.delete(store.tree, planned, "images rm"))
    assert not Path(one.path).exists()
    assert registry.distribution.head("team/app", json.loads(data)["config"]["digest"]) is False
    there = []
    registry.before = lambda: there.append(Path(one.revision(digest_of(data))).exists())
    assert steps.done(of(behind, "PUT", "v1", data)).status == 201
    assert all(Path(one.layer(part["digest"])).exists() for part in json.loads(data)["layers"])
    assert is_now(store, "v1") == digest_of(data)
    assert there == [True], "a registry that remembers it writes no link of it"


@pytest.mark.parametrize("said", [b"", b"sha256:12"])
def test_a_link_that_a_full_disk_cut_is_mended(store: Store, registry: Registry, behind: Behind, said: bytes) -> None:
    """Seen red: the front gives out what it is of, so a client skips the upload; the registry takes no manifest that
    names it."""
    data = body(store, "team/app", "two")
    cut = [Path(Repository(store.tree, "team/app").layer(digest_of(one))) for one in (b"two", b"{}")]
    for link in cut:
        link.write_bytes(said)
    assert steps.done(of(behind, "PUT", "v2", data)).status == 201
    assert [link.read_text() for link in cut] == [digest_of(b"two"), digest_of(b"{}")]
    Path(store.tree.blob(digest_of(b"two"))).write_bytes(b"odd")
    cut[0].write_bytes(said)
    steps.done(of(behind, "PUT", "v3", data))
    assert cut[0].read_bytes() == said, "of wrong bytes nothing is made right"


def test_while_it_is_passed_on_nobody_gives_that_tag_by_hand(store: Store, registry: Registry, behind: Behind) -> None:
    """Seen red: the service's own locks are in its own process, and `images tag` is another one."""
    found = []

    def look() -> None:
        for tag in ("v2", "v3"):
            with flight.turn(store.tree, "team/app", tag, 0) as mine:
                found.append(mine)

    registry.before = look
    assert steps.done(of(behind, "PUT", "v2", body(store, "team/app", "two"))).status == 201
    assert found == [False, True]


def test_while_it_is_passed_on_nobody_hides_links(store: Store, registry: Registry, behind: Behind) -> None:
    found = []

    def look() -> None:
        with flight.still(store.tree, "team/app", 0) as still:
            found.append(still)

    registry.before = look
    assert steps.done(of(behind, "PUT", "v2", body(store, "team/app", "two"))).status == 201
    with flight.still(store.tree, "team/app", 0) as still:
        found.append(still)
    assert found == [False, True]


@pytest.mark.parametrize("data", [b"{", b"[]", b"{}", b"\xff" * 300_000])
def test_what_is_no_manifest_the_registry_refuses(
    store: Store, registry: Registry, behind: Behind, data: bytes
) -> None:
    assert steps.done(of(behind, "PUT", "v2", data)).codes == ("MANIFEST_INVALID",)
    assert is_now(store, "v2") is None


def test_what_is_lacking_the_registry_refuses(store: Store, registry: Registry, behind: Behind) -> None:
    data = json.dumps({"config": {"digest": digest_of(b"nowhere")}, "layers": []}).encode()
    assert steps.done(of(behind, "PUT", "v2", data)).codes == ("MANIFEST_BLOB_UNKNOWN",)


@pytest.mark.parametrize("there", ["", "elsewhere"])
def test_images_that_are_not_ours_are_left_to_the_registry(store: Store, registry: Registry, there: str) -> None:
    """Or nothing was ever pushed there."""
    behind = Behind("10.0.0.1:5000", str(store.tree.root / there) if there else "")
    (store.tree.root / "elsewhere").mkdir()
    assert steps.done(of(behind, "PUT", "v2", body(store, "team/app", "two"))).status == 201
    assert steps.done(of(behind, "DELETE", is_now(store, "v1") or "")).status == 202
    assert [asked[0] for asked in registry.asked] == ["PUT", "DELETE"]
    assert Trash(store.tree).runs() == [] and not (store.tree.root / "elsewhere/docker").exists()


@pytest.mark.promise("manifest-service")
def test_a_tag_is_untagged(store: Store, registry: Registry, behind: Behind) -> None:
    digest = is_now(store, "v1")
    answer = steps.done(of(behind, "DELETE", "v1"))
    assert (answer.status, answer.digest, answer.body, answer.has("x-own")) == (202, digest, b"", "yes")
    assert is_now(store, "v1") is None and is_now(store, "latest") == digest
    [run] = Trash(store.tree).runs()
    assert (run.why, run.open) == ("DELETE of user alice", False)
    assert [(item.kind, item.name) for item in Trash(store.tree).all([run])] == [("_tags", "v1")]


@pytest.mark.promise("manifest-service")
def test_a_manifest_goes_with_its_tags(store: Store, registry: Registry, behind: Behind) -> None:
    """What the registry remembers of it, it is told to forget."""
    other = store.push("team/app", "other", "other")
    digest = is_now(store, "v1") or ""
    assert steps.done(of(behind, "DELETE", digest)).status == 202
    assert registry.asked == [("DELETE", steps.NOBODY), ("DELETE", digest)]
    assert [is_now(store, tag) for tag in ("v1", "latest", "other")] == [None, None, other]
    items = [(item.kind, item.name) for item in Trash(store.tree).all(Trash(store.tree).runs())]
    own = ("_layers", digest_of(b"one"))
    assert sorted(items) == [own, ("_revisions", digest), ("_tags", "latest"), ("_tags", "v1")]


@pytest.mark.promise("manifest-service-trash")
def test_with_the_last_manifest_a_repository_leaves_the_catalog(
    store: Store, registry: Registry, behind: Behind
) -> None:
    """Seen red. Who was told before that a layer is there has it back with his manifest: layers go along, as by `images
    rm`, so that what is brought back is whole, whatever was collected meanwhile."""
    first, second = is_now(store, "v1") or "", store.push("team/app", "two")
    data = Path(store.tree.blob(first)).read_bytes()
    assert steps.done(of(behind, "DELETE", second)).status == 202
    assert [one.name for one in store.tree.repositories()] == ["team/app"]
    assert steps.done(of(behind, "DELETE", first)).status == 202
    assert [*store.tree.repositories()] == []
    assert steps.done(of(behind, "PUT", "v1", data)).status == 201
    assert is_now(store, "v1") == first and [*store.entries()] != []


def test_clients_take_an_index_apart(store: Store, registry: Registry, behind: Behind) -> None:
    """As with the registry alone; `images rm` refuses that."""
    digest = is_now(store, "v1") or ""
    store.manifest("team/app", {"manifests": [{"digest": digest}]}, "all")
    assert steps.done(of(behind, "DELETE", digest)).status == 202
    assert is_now(store, "v1") is None and is_now(store, "all") is not None


def test_a_tag_that_can_not_be_read_goes_too(store: Store, registry: Registry, behind: Behind) -> None:
    Path(Repository(store.tree, "team/app").current("v1")).write_text("")
    answer = steps.done(of(behind, "DELETE", "v1"))
    assert (answer.status, answer.digest) == (202, "")
    assert "v1" not in [*Repository(store.tree, "team/app").tags()]


@pytest.mark.parametrize(
    ("name", "reference", "code"),
    [
        ("team/app", "v9", "MANIFEST_UNKNOWN"),
        ("team/app", digest_of(b"none"), "MANIFEST_UNKNOWN"),
        ("team/none", "v1", "NAME_UNKNOWN"),
    ],
)
def test_what_is_not_there(
    store: Store, registry: Registry, behind: Behind, name: str, reference: str, code: str
) -> None:
    answer = steps.done(of(behind, "DELETE", reference, name=name))
    assert (answer.status, answer.codes, answer.has("x-own")) == (404, (code,), "yes")
    assert Trash(store.tree).runs() == []


@pytest.mark.promise("manifest-service-deletes")
@pytest.mark.parametrize("reference", ["v1", "digest"])
def test_a_registry_that_deletes_nothing_has_the_last_word(
    store: Store, registry: Registry, behind: Behind, reference: str
) -> None:
    registry.deletes = False
    digest = is_now(store, "v1") or ""
    answer = steps.done(of(behind, "DELETE", digest if reference == "digest" else reference))
    assert (answer.status, answer.codes) == (405, ("UNSUPPORTED",))
    assert is_now(store, "v1") == digest and Trash(store.tree).runs() == []


@pytest.mark.parametrize(
    "first",
    [
        answers.refusal(401, "UNAUTHORIZED", "of its own"),
        answers.away("not now"),
        answers.refusal(404, "NAME_INVALID", ""),
        Answer(202),
    ],
)
def test_what_the_registry_says_first_is_the_answer(
    store: Store, behind: Behind, monkeypatch: pytest.MonkeyPatch, first: Answer
) -> None:
    monkeypatch.setattr(upstream, "ask", lambda *_: first)
    assert steps.done(of(behind, "DELETE", "v1")) == first
    assert is_now(store, "v1") is not None


def test_nothing_is_written_where_nothing_is_to_be(store: Store, registry: Registry, behind: Behind) -> None:
    data = Path(store.tree.blob(is_now(store, "v1") or "")).read_bytes()
    link = Path(Repository(store.tree, "team/app").layer(json.loads(data)["config"]["digest"]))
    before = link.stat().st_ctime_ns
    steps.done(of(replace(behind, readonly=True), "PUT", "v1", data))
    assert link.stat().st_ctime_ns == before and not Path(Trash(store.tree).path).exists()
    steps.done(of(behind, "PUT", "v1", data))
    assert link.stat().st_ctime_ns != before


@pytest.mark.promise("manifest-service-decides")
@pytest.mark.parametrize(("method", "reference"), [("PUT", "v1"), ("DELETE", "v1"), ("DELETE", "digest")])
def test_who_may_not_changes_nothing(
    store: Store, registry: Registry, behind: Behind, monkeypatch: pytest.MonkeyPatch, method: str, reference: str
) -> None:
    """The seam for rights, quotas and tags that must not move: they are asked under the lock."""
    digest, found = is_now(store, "v1") or "", []

    def decide(asked: Asked) -> Answer | None:
        with flight.still(store.tree, "team/app", 0) as still:
            found.append((asked.method, still))
        return answers.refusal(403, "DENIED", "that tag must not move")

    monkeypatch.setattr(steps, "DECISIONS", (lambda _: None, decide))
    wanted = digest if reference == "digest" else reference
    assert steps.done(of(behind, method, wanted, body(store, "team/app", "two"))).codes == ("DENIED",)
    assert registry.asked == [] and is_now(store, "v1") == digest and Trash(store.tree).runs() == []
    assert found == [(method, method != "PUT")]


def test_an_answer_is_completed(
    store: Store, registry: Registry, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    def more(asked: Asked, answer: Answer) -> Answer:
        return replace(answer, headers=(*answer.headers, ("OCI-Subject", asked.reference)))

    monkeypatch.setattr(steps, "COMPLETIONS", (more,))
    for method in ("PUT", "DELETE"):
        assert steps.done(of(behind, method, "v2", body(store, "team/app", "two"))).has("oci-subject") == "v2"


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_another_store_in_its_place_is_not_written(
    store: Store, registry: Registry, behind: Behind, method: str
) -> None:
    mark = store.tree.root / MARK
    mark.unlink()
    for odd in (False, True):
        if odd:
            mark.mkdir()
        with pytest.raises(steps.Stale):
            steps.done(of(behind, method, "v1", body(store, "team/app", "two")))
    assert registry.asked == [] and not Path(Trash(store.tree).path).exists()


@pytest.mark.parametrize("number", [errno.EROFS, errno.ESTALE])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_store_that_is_not_seen_any_more_is_looked_for_anew(
    store: Store, registry: Registry, behind: Behind, monkeypatch: pytest.MonkeyPatch, number: int, method: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(steps.flight if method == "PUT" else Runs, "putting" if method == "PUT" else "move", fail)
    with pytest.raises(steps.Stale):
        steps.done(of(behind, method, "v1", body(store, "team/app", "two")))


def test_a_full_disk_keeps_no_push_away(
    store: Store, registry: Registry, behind: Behind, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether there is room, the registry says. What can't be moved to the trash stays."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(steps.flight, "putting", full)
    monkeypatch.setattr(Runs, "move", full)
    assert steps.done(of(behind, "PUT", "v2", body(store, "team/app", "two"))).status == 201
    assert steps.done(of(behind, "DELETE", "v2")).codes == ("UNAVAILABLE",)
    assert is_now(store, "v2") is not None and "full" in caplog.text


def test_large_manifests_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory they are many times as much."""
    reading, most, turn = [0], [0], threading.Lock()
    read = steps.manifests.read

    def counted(data: bytes) -> Manifest:
        with turn:
            reading[0] += 1
            most[0] = max(most[0], reading[0])
        try:
            return read(data)
        finally:
            with turn:
                reading[0] -= 1

    monkeypatch.setattr(steps.manifests, "read", counted)
    data = json.dumps({"config": {"digest": digest_of(b"")}, "layers": [], "x": [{} for _ in range(200_000)]}).encode()
    threads = [threading.Thread(target=steps._read, args=(data,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


@pytest.mark.promise("manifest-service-trash")
def test_many_deletions_of_one_are_one_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cleanup of thousands of tags would be as many runs, of which each push looks at all."""
    for number in range(4):
        store.push("team/app", "one", f"t{number}")
    runs = Runs()

    def delete(tag: str, why: str = "DELETE of user alice") -> int:
        planned = trashed.plan(store.tree, targets.parse(f"team/app:{tag}"))
        assert len(runs.move(store.tree, planned, why)) == 1
        return len(Trash(store.tree).runs())

    assert [delete("t0"), delete("t1"), delete("t2", "DELETE of user bob")] == [1, 1, 2]
    store.push("team/app", "two", "t0")
    assert delete("t0") == 3, "what was deleted twice is there twice"
    monkeypatch.setattr(trashed, "SECONDS", 0.2)
    store.push("team/app", "one", "t5", "t6")
    carols = "DELETE of user carol"
    assert delete("t5", carols) == 4
    assert waiting.until(lambda: runs.runs[store.tree, carols][1].over, 5)
    assert delete("t6", carols) == 5, "half an hour is over"


def test_what_was_deleted_before_is_not_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: each DELETE read the record of each run, 1,000 of them in a tenth of a second."""
    there = Trash(store.tree)
    for _ in range(20):
        there.begin("images rm")
    real, read = trashed.trash.records.peek, list[Path]()
    monkeypatch.setattr(trashed.trash.records, "peek", lambda path, *more: read.append(path) or real(path, *more))
    planned = trashed.plan(store.tree, targets.parse("team/app:v1"))
    assert Runs().move(store.tree, planned, "why") and len(read) < 3, read
    assert len(there.runs()) == 21


def test_a_run_that_was_emptied_is_not_filled_again(store: Store) -> None:
    store.push("team/app", "one", "t0", "t1")
    runs, there = Runs(), Trash(store.tree)
    for tag in ("t0", "t1"):
        runs.move(store.tree, trashed.plan(store.tree, targets.parse(f"team/app:{tag}")), "why")
        [run] = there.runs()
        assert run.why == "why", "its record is there"
        for run in there.runs():
            for item in there.all([run]):
                there.forget(item)
            there.sweep(run)
        assert there.runs() == []


@pytest.mark.promise("who-did-what")
def test_what_a_tag_was_is_known_afterwards(store: Store, registry: Registry, behind: Behind) -> None:
    """Under its lock, so of two who overwrite it at once each names what he overwrote."""
    old = is_now(store, "v1")
    data = body(store, "team/app", "two")
    assert steps.done(of(behind, "PUT", "v1", data)).was == old
    assert steps.done(of(behind, "PUT", "v1", data)).was == digest_of(data)
    assert steps.done(of(behind, "PUT", "new", data)).was == ""
    assert steps.done(of(behind, "PUT", digest_of(data), data)).was == ""
    Path(Repository(store.tree, "team/app").current("v1")).write_bytes(b"sha256:12")
    assert (answer := steps.done(of(behind, "PUT", "v1", data))).status == 201 and answer.was == ""
