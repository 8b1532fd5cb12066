"""Who was let in last, by lines of the front's logs that a client can't write for somebody else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from secreg_host.base.paths import Paths
from secreg_host.observe import logins

AT = datetime(2026, 12, 1, 3, 0, tzinfo=UTC).timestamp()


def line(user: str, status: int = 200, minute: int = 0, request: str = "GET /v2/ HTTP/1.1") -> str:
    return f'192.0.2.7 - {user} [01/Dec/2026:03:{minute:02}:00 +0000] "{request}" {status} 2 "-" "docker/29"\n'


@pytest.fixture
def paths(tmp_path: pytest.TempPathFactory) -> Paths:
    found = Paths(tmp_path)  # type: ignore[arg-type]
    found.log.mkdir(parents=True)
    return found


def test_the_last_line_of_each_counts(paths: Paths) -> None:
    (paths.log / "access.log.1").write_text(line("alice") + line("carol", minute=1))
    (paths.log / "access.log").write_text(line("alice", minute=2) + line("bob", 404, 3) + line("alice", 201, 5))
    assert logins.last(paths) == {"alice": AT + 300, "bob": AT + 180, "carol": AT + 60}


def test_the_other_log_counts_too(paths: Paths) -> None:
    said = '{"time":"2026-12-01T04:10:00+01:00","user":"dave","uri":"/v2/","status":200}\n'
    wrong = said.replace("dave", "erin").replace("200", "401")
    broken = ["nonsense\n", "[]\n", '{"user":1}\n', said.replace("2026", "x").replace("dave", "x"), said[:40]]
    (paths.log / "access.json").write_text("".join([said, wrong, *broken]))
    assert logins.last(paths) == {"dave": AT + 600}


@pytest.mark.parametrize(
    "text",
    [
        line("alice", 401),
        line("alice", 403),
        line("alice", 429),
        line("alice", 503),
        line("alice", request="GET /v1/_ping HTTP/1.1"),  # nobody checks a password there
        line("alice", request="GET /ca.crt HTTP/1.1"),
        line("alice [01/Dec/2026:03:00:00 +0000] \\x22GET /v2/ HTTP/1.1\\x22 200 2 \\x22", 401),
        line("-", request="GET /x?/v2/ HTTP/1.1"),
        "nonsense",
        line("alice").replace("Dec", "Foo"),
    ],
)
def test_who_was_not_let_in_is_nobody(paths: Paths, text: str) -> None:
    (paths.log / "access.log").write_text(text)
    assert "alice" not in logins.last(paths)


def test_names_are_read_as_nginx_escapes_them(paths: Paths) -> None:
    (paths.log / "access.log").write_text(line("a\\x22b \\xC3\\xA4"))
    assert list(logins.last(paths)) == ['a"b ä']


def test_of_a_large_log_the_end_is_read(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "TAIL", 200)
    (paths.log / "access.log").write_text(line("early") + line("late") * 5)
    assert list(logins.last(paths)) == ["late"]


def test_without_logs_nothing_is_known(paths: Paths) -> None:
    (paths.log / "access.log").mkdir()
    assert logins.last(paths) == {}
