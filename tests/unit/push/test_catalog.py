"""The catalogue as one sees it who may read some of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from secreg_host.formats.robots import Own
from secreg_host.generation.behind import Behind
from secreg_host.images import layout
from secreg_host.push import catalog, steps, upstream
from secreg_host.push.answers import Answer
from secreg_host.push.asked import Asked

POLICY = """\
adminPolicy: {users: [docker], actions: [read]}
repositories:
  "a/**": {defaultPolicy: [read]}
  "b/**": {policies: [{users: [bob], actions: [create]}]}
"""
NAMES = ("a", "a/b", "a/b/c", "a-b", "b/x", "c", "secure-registry-probe")


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    for one in (catalog._listing, catalog._reader, catalog._rules):
        one.cache_clear()
    yield


@pytest.fixture
def access(tmp_path: Path) -> Path:
    path = tmp_path / "access.yml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def behind(tmp_path: Path) -> Behind:
    for name in NAMES:
        (tmp_path / layout.TREE / "repositories" / name / "_layers").mkdir(parents=True)
    (tmp_path / layout.TREE / "repositories/a/never/_uploads").mkdir(parents=True)
    return Behind("unix:/nowhere", str(tmp_path))


def shown(behind: Behind, access: Path, user: str, query: str = "") -> Answer:
    return steps.done(Asked("GET", "", "", user, "", behind, query=query, access=str(access)))


def names(answer: Answer) -> list[str]:
    assert answer.status == 200
    found: list[str] = json.loads(answer.body)["repositories"]
    return found


def test_it_shows_what_one_may_read(behind: Behind, access: Path) -> None:
    assert names(shown(behind, access, "bob")) == ["a", "a/b", "a/b/c"]
    assert names(shown(behind, access, "docker")) == ["a", "a/b", "a/b/c", "a-b", "b/x", "c"]


def test_it_has_pages(behind: Behind, access: Path) -> None:
    first = shown(behind, access, "docker", "n=4")
    assert names(first) == ["a", "a/b", "a/b/c", "a-b"]
    assert first.has("Link") == '</v2/_catalog?last=a-b&n=4>; rel="next"'
    second = shown(behind, access, "docker", "n=4&last=a-b")
    assert names(second) == ["b/x", "c"] and not second.has("Link")
    assert not shown(behind, access, "bob", "n=3").has("Link"), "that there are more that one may not read"
    assert names(shown(behind, access, "bob", "n=2&last=a%2Fb")) == ["a/b/c"]
    for odd in ("n=0", "n=-1", "n=x", "n=", "n=" + "9" * 30):
        assert len(names(shown(behind, access, "docker", odd))) == 6


def test_what_comes_and_goes_is_seen(behind: Behind, access: Path) -> None:
    top = Path(behind.store) / layout.TREE / "repositories"
    assert "a/new" not in names(shown(behind, access, "bob"))
    (top / "a/new/_layers").mkdir(parents=True)
    (top / "a/b/c/_layers").rmdir()
    assert names(shown(behind, access, "bob")) == ["a", "a/b", "a/new"]


def test_without_the_rules_nothing_is_shown(behind: Behind, tmp_path: Path) -> None:
    for text in (None, "", "x: [", "x: y"):
        place = tmp_path / "other.yml"
        if text is not None:
            place.write_text(text)
        answer = shown(behind, place, "docker")
        assert (answer.status, answer.codes) == (503, ("UNAVAILABLE",))


def test_where_the_store_is_not_ours_the_registry_is_asked(access: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for = []

    def get(_: Asked, address: str) -> Answer:
        asked_for.append(address)
        if "last=a-b" in address:
            return Answer(200, (), json.dumps({"repositories": ["b/x", "c"]}).encode())
        return Answer(200, (("Link", "x"),), json.dumps({"repositories": ["a", "a/b", "a-b"]}).encode())

    monkeypatch.setattr(upstream, "get", get)
    away = Behind("127.0.0.1:5000")
    assert names(shown(away, access, "bob")) == ["a", "a/b"]
    assert asked_for == ["/v2/_catalog?n=1000", "/v2/_catalog?n=1000&last=a-b"]
    monkeypatch.setattr(upstream, "get", lambda *_: Answer(200, (), b"[]"))
    assert shown(away, access, "bob").status == 503
    monkeypatch.setattr(upstream, "get", lambda *_: Answer(401, (), b"no"))
    assert shown(away, access, "bob").status == 401


@pytest.mark.promise("robots-own-rights")
def test_a_robot_is_shown_what_it_may_read_with_rules_and_without(behind: Behind, access: Path) -> None:
    """Not what is given to whoever is logged in."""
    own = (("b/**", frozenset({"read"})), ("c", frozenset({"read", "create"})))

    def to_robot(place: str, rights: Own) -> list[str]:
        asked = Asked("GET", "", "", "robot-ci", "", behind, access=place, own=rights)
        return names(steps.done(asked))

    assert to_robot("", own) == to_robot(str(access), own) == ["b/x", "c"]
    assert to_robot("", ()) == to_robot(str(access), ()) == []
