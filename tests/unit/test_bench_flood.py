"""The floods of `make bench`: what bad clients say and how often, what counts as an answer, and what is made of it."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from bench import flood, guessers, holders, load, table, targets, witness
from bench.load import Door
from tests.unit.test_bench import MACHINE, some_results

DOOR = Door(1, "somebody", "a password")


def test_a_first_login_is_due_after_a_turn_of_each_address_and_two_more() -> None:
    assert flood.turns(seconds=1.6, hashing=0.1, addresses=30, cores=2) == 1.0
    assert flood.turns(seconds=1.6, hashing=0.1, addresses=30, cores=4) == 2.0


def test_of_two_kinds_of_half_open_connections_the_worse_counts() -> None:
    one = {"half_held": 20_000.0, "half_kept": 1.0, "half_refused": 3}
    other = {"half_held": 3000.0, "half_kept": 2.0, "half_refused": 0}
    assert flood.worse(one, other) == {"half_held": 20_000.0, "half_kept": 2.0, "half_refused": 3}


@pytest.mark.parametrize(
    ("rate", "seconds", "room", "number"),
    [(1000, 0.01, 500, 10), (1000, 60, 500, 20), (1000, 0.01, 3, 3), (1, 1, -2, 0)],
)
def test_connections_are_opened_at_their_rate_whatever_was_missed(
    rate: float, seconds: float, room: int, number: int
) -> None:
    assert holders.due(rate, seconds, room) == number


def test_what_guessers_send_is_what_docker_asks() -> None:
    first, *lines, _, end = guessers.question("docker", "wrong:one").decode().split("\r\n")
    assert (first, end) == ("GET /v2/ HTTP/1.1", "")
    said = dict(line.split(": ", 1) for line in lines)
    assert base64.b64decode(said["Authorization"].removeprefix("Basic ")) == b"docker:wrong:one"


def test_guessers_read_answers() -> None:
    assert guessers.answered(b"HTTP/1.1 401 Unauthorized\r\nX: y\r\ncontent-length: 87\r\n\r\n") == ("401", 87)
    for fields in (b"Transfer-Encoding: chunked", b"Content-Length: 1\r\nConnection: close"):
        assert guessers.answered(b"HTTP/1.1 503 Unavailable\r\n" + fields + b"\r\n\r\n") == ("503", None)


class Link:
    """A connection on which one answer after the other comes, or an error."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)

    def request(self, *_: object, **__: object) -> None:
        pass

    def getresponse(self) -> SimpleNamespace:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(status=answer, read=lambda: b"")

    def close(self) -> None:
        pass


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[int | Exception]:
    """What the front answers to the next questions."""
    found: list[int | Exception] = []

    @contextmanager
    def connection(door: Door, source: str) -> Iterator[Link]:
        link = Link()
        link.answers = found
        yield link

    monkeypatch.setattr(load, "connection", connection)
    return found


def test_a_login_without_a_good_answer_took_longest(answers: list[int | Exception]) -> None:
    answers += [200, 503, http.client.RemoteDisconnected("")]
    seen = witness.Witness()
    first, *refused = (seen.login(DOOR, "127.0.0.1") for _ in range(3))
    assert first < 1 and refused == [witness.NEVER, witness.NEVER]
    assert seen.answers == {"200": 1, "503": 1, "lost": 1} and seen.refused == 2


def test_a_kept_connection_that_broke_is_made_anew_once(
    answers: list[int | Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witness, "PACE", 0.01)
    broken = ConnectionResetError()
    answers += [200, 200, broken, 200, broken, broken, 200]
    seen = witness.Witness()
    times = seen.kept(DOOR, "127.0.0.1", "/", 0.035)
    assert [one == witness.NEVER for one in times] == [False, False, True, False]
    assert seen.refused == 1 and answers == []


def test_an_answer_that_was_late_makes_the_next_ones_late(
    answers: list[int | Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(witness.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(witness.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(witness, "PACE", 0.25)

    def status(*_: object) -> str:
        now[0] += waits.pop(0)
        return "200"

    monkeypatch.setattr(witness, "_status", status)
    waits = [0.0, 0.125, 1.0, 0.125, 0.125]
    assert witness.Witness().kept(DOOR, "127.0.0.1", "/", 1.0) == [0.125, 1.0, 0.875, 0.75]


def test_floods_are_in_the_tables() -> None:
    figures = {one.key: 1.0 for one in targets.FLOOD} | {"guess_p99": 51.0, "half_refused": 0}
    del figures["half_new"]
    size = {"addresses": 30, "connections": 40, "pace": 200}
    found = some_results() | {"flood": {"figures": figures, "size": size, "machine": MACHINE}}
    for text in (table.report(found), table.readme(found)):
        assert "| flooded by passwords: logged in, p99 (ms) | 51 | ≤ 50 |" in text
        assert "| half-open connections: another's new ones, p99 (ms) | - | ≤ 50 |" in text
        assert "| half-open connections: right passwords refused (answers) | 0 | ≤ 0 |" in text
        assert "\n\n30 addresses send wrong passwords over 40 connections each" in text
    verdicts = table.verdicts(found)
    assert "| flooded by passwords: logged in, p99 | ≤ 50 ms | 51 ms | **no** |" in verdicts
    assert "| flooded by passwords: the slowest first login, in turns | ≤ 1 times | 1 times | yes |" in verdicts
    assert "Floods" not in table.report(some_results()) and "half-open" not in table.verdicts(some_results())
