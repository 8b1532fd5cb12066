"""Who may write which tag: by the letters that the front says, under the tag's lock."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from secreg_host.generation.behind import Behind
from secreg_host.images.layout import Repository
from secreg_host.push import answers, rights, steps, upstream
from secreg_host.push.answers import Answer
from secreg_host.push.asked import Asked
from tests.stores import Store, digest_of
from tests.unit.push.conftest import Registry, body, is_now, of


def put(behind: Behind, tag: str, data: bytes, letters: str) -> Answer:
    return steps.done(replace(of(behind, "PUT", tag, data), rights=letters))


@pytest.mark.parametrize("letters", ["rcud", "cu"])
def test_who_may_everything_moves_tags(store: Store, registry: Registry, behind: Behind, letters: str) -> None:
    data = body(store, "team/app", "two")
    assert put(behind, "v1", data, letters).status == 201 and is_now(store, "v1") == digest_of(data)


@pytest.mark.promise("immutable-tags")
@pytest.mark.parametrize("tag", ["v1", "latest"])
def test_who_may_create_moves_no_tag(store: Store, registry: Registry, behind: Behind, tag: str) -> None:
    """Not even latest."""
    before = is_now(store, tag)
    answer = put(behind, tag, body(store, "team/app", "two"), "rc")
    assert (answer.status, answer.codes, is_now(store, tag)) == (403, ("DENIED",), before)
    assert f"team/app:{tag} is {before} already" in answer.body.decode() and registry.asked == []


@pytest.mark.promise("immutable-tags")
@pytest.mark.parametrize("letters", ["rc", "ru"])
def test_the_same_again_is_taken(store: Store, registry: Registry, behind: Behind, letters: str) -> None:
    data = Path(store.tree.blob(is_now(store, "v1") or "")).read_bytes()
    assert put(behind, "v1", data, letters).status == 201


def test_a_new_tag_is_created_and_not_updated(store: Store, registry: Registry, behind: Behind) -> None:
    data = body(store, "team/app", "two")
    assert put(behind, "v2", data, "ru").codes == ("DENIED",) and is_now(store, "v2") is None
    assert put(behind, "v2", data, "rc").status == 201 and is_now(store, "v2") == digest_of(data)
    assert put(behind, "v2", body(store, "team/app", "three"), "ru").status == 201


@pytest.mark.parametrize("letters", ["rc", "ru"])
def test_by_its_digest_nothing_moves(store: Store, registry: Registry, behind: Behind, letters: str) -> None:
    data = body(store, "team/app", "two")
    assert put(behind, digest_of(data), data, letters).status == 201


@pytest.mark.parametrize("letters", ["", "r", "rd"])
def test_who_may_not_push_at_all_is_refused_here_too(
    store: Store, registry: Registry, behind: Behind, letters: str
) -> None:
    data = body(store, "team/app", "two")
    for reference in ("v1", "v2", digest_of(data)):
        assert put(behind, reference, data, letters).codes == ("DENIED",)
    assert registry.asked == []


@pytest.mark.promise("immutable-tags")
def test_of_two_first_pushes_at_once_one_wins(store: Store, registry: Registry, behind: Behind) -> None:
    pushes = [body(store, "team/app", f"push {number}") for number in range(8)]
    together = threading.Barrier(len(pushes))

    def push(data: bytes) -> int:
        together.wait()
        return put(behind, "release", data, "rc").status

    with ThreadPoolExecutor(len(pushes)) as pool:
        found = list(pool.map(push, pushes))
    assert sorted(found) == [201] + [403] * (len(pushes) - 1)
    assert is_now(store, "release") == digest_of(pushes[found.index(201)])


@pytest.mark.parametrize(
    ("status", "digest", "wanted"),
    [(404, "", 201), (200, "sha256:" + "1" * 64, 403), (200, "", 503), (503, "", 503), (401, "", 401)],
)
def test_where_the_store_is_not_ours_the_registry_is_asked(
    monkeypatch: pytest.MonkeyPatch, status: int, digest: str, wanted: int
) -> None:
    asked_for = []

    def ask(asked: Asked, _: str | None = None) -> Answer:
        asked_for.append(asked.method)
        if asked.method == "PUT":
            return Answer(201)
        assert not asked.body and "application/vnd.oci.image.index.v1+json" in dict(asked.headers)["accept"].decode()
        return Answer(status, (("Docker-Content-Digest", digest),) if digest else ())

    monkeypatch.setattr(upstream, "ask", ask)
    one = Asked("PUT", "team/app", "v1", "bob", "", Behind("127.0.0.1:5000"), body=b"{}", rights="rc")
    assert steps.done(one).status == wanted
    assert asked_for[0] == "HEAD" and ("PUT" in asked_for) == (wanted == 201)


def test_a_tag_that_says_nothing_the_registry_is_asked_about(
    store: Store, registry: Registry, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk emptied its link."""
    Path(Repository(store.tree, "team/app").current("v1")).write_bytes(b"")
    monkeypatch.setattr(upstream, "ask", lambda *_: answers.refusal(500, "UNKNOWN", "it has no link"))
    one = replace(of(behind, "PUT", "v1", body(store, "team/app", "two")), rights="rc")
    found = rights.refused(one, store.tree)
    assert found is not None and found.status == 500
