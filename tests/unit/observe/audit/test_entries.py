"""What becomes an entry of the log of who did what, what a line of it holds, and which are found again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from secreg_host.observe.audit import entries
from secreg_host.observe.audit.entries import Entry, Wanted

AT = 1_764_561_845_123_456
DIGEST, OTHER = f"sha256:{64 * 'a'}", f"sha256:{64 * 'b'}"
SAID = {
    "KIND": "manifest",
    "USER": "alice",
    "ADDRESS": "192.0.2.7",
    "METHOD": "PUT",
    "REPOSITORY": "team/app",
    "REFERENCE": "1.0",
    "DIGEST": DIGEST,
    "STATUS": "201",
}
FRONT: dict[str, Any] = {
    "at": AT / 10**6,
    "user": "bob",
    "address": "192.0.2.9",
    "method": "POST",
    "uri": "/v2/team/app/blobs/uploads/?mount=x",
    "status": 403,
    "path": "/v2/team/app/blobs/uploads/",
    "digest": "",
}


def only(said: dict[str, str]) -> Entry:
    [found] = entries.of_journal(said, AT)
    return found


@pytest.mark.promise("who-did-what")
@pytest.mark.parametrize(
    ("more", "did"),
    [
        ({}, "push"),
        ({"WAS": OTHER}, "overwrite"),
        ({"METHOD": "DELETE", "STATUS": "202"}, "delete"),
        ({"STATUS": "403"}, "refused"),
        ({"METHOD": "DELETE", "STATUS": "405"}, "refused"),
    ],
)
def test_what_became_of_a_manifest(more: dict[str, str], did: str) -> None:
    one = only(SAID | more)
    assert (one.did, one.user, one.address, one.repository, one.tag, one.digest, one.was, one.by) == (
        *(did, "alice", "192.0.2.7", "team/app", "1.0", DIGEST, more.get("WAS", ""), "manifests"),
    )


@pytest.mark.parametrize("status", ["400", "404", "503", "", "-1", "\uff12\uff10\uff11", "9999999"])
def test_what_failed_was_not_done(status: str) -> None:
    assert list(entries.of_journal(SAID | {"STATUS": status}, AT)) == []


def test_what_is_named_by_its_digest_has_no_tag() -> None:
    one = only(SAID | {"REFERENCE": OTHER, "DIGEST": ""})
    assert (one.tag, one.digest) == ("", OTHER)


@pytest.mark.promise("who-did-what")
def test_each_user_has_a_line() -> None:
    said = {"KIND": "users", "MESSAGE": "users: ...", "ADDED": "bob\neve", "REMOVED": "alice", "CHANGED": "x, y; z"}
    found = [(one.did, one.user) for one in entries.of_journal(said, AT)]
    assert found == [
        ("user added", "bob"),
        ("user added", "eve"),
        ("user removed", "alice"),
        ("user changed", "x, y; z"),
    ]
    many = only({"KIND": "users", "MESSAGE": "users: added a and 400 more"})
    assert (many.did, many.said) == ("users changed", "users: added a and 400 more")


@pytest.mark.promise("who-did-what")
def test_what_changed_of_the_configuration() -> None:
    one = only({"KIND": "change", "PART": "certificate", "BY": "gencert", "SAID": "localhost, until 2027-01-01"})
    assert (one.did, one.by, one.said) == ("certificate changed", "gencert", "localhost, until 2027-01-01")
    assert list(entries.of_journal({"KIND": "rejected", "PART": "nginx"}, AT)) == []


@pytest.mark.promise("who-did-what")
@pytest.mark.parametrize(
    ("more", "did", "said"),
    [
        ({}, "refused", "POST /v2/team/app/blobs/uploads/?mount=x"),
        ({"method": "GET", "status": 200, "path": "/v2/team/app/manifests/1.0", "digest": DIGEST}, "pull", ""),
        ({"method": "DELETE", "status": 202, "digest": DIGEST}, "delete", ""),
    ],
)
def test_what_the_front_says(more: dict[str, Any], did: str, said: str) -> None:
    one = entries.of_front(json.dumps(FRONT | more).encode())
    assert one is not None
    assert (one.did, one.user, one.said, one.by, one.at // 1000) == (did, "bob", said, "front", AT // 1000)
    assert (one.repository, one.tag, one.digest) == ("team/app", "1.0" if did == "pull" else "", more.get("digest", ""))


@pytest.mark.parametrize(
    ("uri", "path", "about"),
    [
        ("/v2/a/%6danifests/v1", "/v2/a/manifests/v1", ("a", "v1", "")),
        ("/v2/a/b/manifests/v1?ns=x", "/_secreg/0/busy", ("a/b", "v1", "")),
        (f"/v2/a/manifests/{DIGEST}", f"/v2/a/manifests/{DIGEST}", ("a", "", DIGEST)),
        ("/v2/a/manifests/manifests/v1", "/v2/a/manifests/manifests/v1", ("a/manifests", "v1", "")),
        ("/v2/a/tags/list", "/v2/a/tags/list", ("a", "", "")),
        ("/v2/_catalog", "/v2/_catalog", ("", "", "")),
        ("/x", "/x", ("", "", "")),
    ],
)
def test_which_repository_an_address_is_about(uri: str, path: str, about: tuple[str, str, str]) -> None:
    one = entries.of_front(json.dumps(FRONT | {"uri": uri, "path": path}).encode())
    assert one is not None and (one.repository, one.tag, one.digest) == about


def test_bytes_that_are_no_text_hide_nothing() -> None:
    """nginx writes them as they came."""
    line = json.dumps(FRONT | {"uri": "/v2/a/tags/list?XX"}).encode().replace(b"XX", b"\xff\xc3")
    one = entries.of_front(line)
    assert one is not None and (one.did, one.repository) == ("refused", "team/app")


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"null", b'{"at": 1}', json.dumps(FRONT | {"status": "403"}).encode(), b"\xff" * 9]
)
def test_what_is_no_line_of_the_fronts_is_passed_over(line: bytes) -> None:
    assert entries.of_front(line) is None


@pytest.mark.parametrize("at", [-1e300, -5, 1e300, float("1e18")])
def test_a_date_that_no_calendar_has(at: float) -> None:
    one = entries.of_front(json.dumps(FRONT | {"at": at}).encode())
    assert one is not None and entries.read(one.line) is not None


NASTY = ["a\nb", '{"did": "push"}\n', "\x1b[2J", "\x00", "é漢\u2028\u202e", "\ud800", "\\", '"', "x" * 5000]


@pytest.mark.promise("who-did-what-is-a-line")
@pytest.mark.parametrize("text", NASTY)
def test_nothing_that_is_sent_is_another_line(text: str) -> None:
    """In each place that a client has."""
    one = Entry(AT, text, text, text, text, text, text, text, 403, text, text)
    line = one.line
    assert line.endswith(b"\n") and line.count(b"\n") == 1 and all(32 <= char < 127 for char in line[:-1])
    assert len(line) < 12_000
    again = entries.read(line)
    assert again is not None and again.at == AT and again.user[:1000] == text[:1000]


def test_a_line_is_read_as_it_was_written() -> None:
    one = Entry(AT, "overwrite", "alice", "::1", "team/app", "1.0", DIGEST, OTHER, 201, "", "manifests")
    assert entries.read(one.line) == one
    assert json.loads(one.line)["time"] == "2025-12-01T04:04:05.123456Z"
    for line in (b"", b"{}", b"[]", b'{"did": 1}', b'{"did": "x"}', b'{"did": "x", "time": "9"}', b"\xff"):
        assert entries.read(line) is None
    assert entries.read(b'{"did": "x", "time": "2025-12-01T04:04:05Z", "user": 5}') is None
    assert entries.read(b'{"did": "x", "time": "2025-12-01T04:04:05Z", "later": 5}') is not None, "of a later version"


@pytest.mark.parametrize(
    ("glob", "names", "others"),
    [
        ("team-a/app", ["team-a/app"], ["team-a/apps", "team-a", "xteam-a/app"]),
        ("team-a/*", ["team-a/app"], ["team-a", "team-a/app/x", "team-b/app"]),
        ("team-a/**", ["team-a", "team-a/app", "team-a/app/x"], ["team-ab/app", "x/team-a/app"]),
        ("**/app", ["app", "team-a/app", "a/b/app"], ["myapp", "team-a/myapp"]),
        ("**", ["", "a", "a/b"], []),
        ("a?p", ["app"], ["ap", "a/p"]),
        ("a.p", ["a.p"], ["app"]),
    ],
)
def test_repositories_that_fit(glob: str, names: list[str], others: list[str]) -> None:
    wanted = Wanted(repositories=entries.pattern(glob))
    assert [one for one in [*names, *others] if wanted.has(Entry(AT, "push", repository=one))] == names


def test_what_is_asked_for() -> None:
    one = Entry(AT, "push", "alice", repository="a")
    assert Wanted().has(one) and Wanted("alice", None, AT).has(one)
    assert not Wanted("bob").has(one) and not Wanted(since=AT + 1).has(one)
