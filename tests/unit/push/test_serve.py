"""The service at its socket, and one that asks as the front does."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http.client
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from secreg_host.base import handed, waiting
from secreg_host.generation.behind import Behind
from secreg_host.images import manifests
from secreg_host.push import asked, serve, steps
from secreg_host.push.answers import Answer
from secreg_host.push.asked import Asked
from secreg_host.push.serve import Service
from tests.stores import digest_of

SECONDS = 20.0
Got = tuple[int, dict[str, str], bytes]


class Running:
    """The service, in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.path, self.service, self.begun = path, Service, threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.thread.start()
        assert self.begun.wait(SECONDS)

    async def _run(self) -> None:
        self.one, self.loop = Service(), asyncio.get_running_loop()
        owner = os.getuid(), os.getgid()
        with handed.bound(self.path, owner, 64) as listener:
            running = asyncio.ensure_future(self.one.run(listener))
            self.begun.set()
            await running

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.one.ended.set)

    def listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as link:
            return link.connect_ex(str(self.path)) == 0

    def joined(self) -> bool:
        self.thread.join(SECONDS)
        return not self.thread.is_alive()

    def linked(self) -> http.client.HTTPConnection:
        link = http.client.HTTPConnection("x", timeout=SECONDS)
        link.sock = socket.socket(socket.AF_UNIX)
        link.sock.settimeout(SECONDS)
        link.sock.connect(str(self.path))
        return link

    def ask(self, method: str, place: str, body: bytes = b"", **headers: str) -> Got:
        with contextlib.closing(self.linked()) as link:
            said = {"X-Secreg-User": "alice", "X-Real-IP": "10.0.0.7", **headers}
            link.request(method, place, body, said)
            answer = link.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path / "s")
    yield found
    found.end()
    assert found.joined()


SAID = {"X-Secreg-Behind": Behind("unix:/nowhere").said}


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Asked], Answer]], None]:
    return lambda does: monkeypatch.setattr(steps, "done", does)


def test_it_lives(running: Running) -> None:
    assert running.ask("GET", asked.LIVES)[0] == 204


@pytest.mark.promise("manifest-service-told")
def test_what_is_asked_is_done_and_told(
    running: Running, done: Callable[[object], None], caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Asked] = []

    def does(one: Asked) -> Answer:
        seen.append(one)
        return Answer(201, (("Location", "/x"), ("X-Two", "1"), ("X-Two", "2")))

    done(does)
    with caplog.at_level(logging.INFO):
        status, headers, body = running.ask(
            "PUT", "/v2/team/app/manifests/v1", b"{}", Authorization="Basic c2VjcmV0", **SAID
        )
    assert (status, headers["location"], headers["x-two"], body) == (201, "/x", "2", b"")
    assert [(one.repository, one.reference, one.user, one.body) for one in seen] == [("team/app", "v1", "alice", b"{}")]
    [line] = [json.loads(record.message) for record in caplog.records if record.name.endswith("push.audit")]
    assert line.pop("duration") < SECONDS
    assert line == {
        "user": "alice",
        "address": "10.0.0.7",
        "method": "PUT",
        "repository": "team/app",
        "reference": "v1",
        "digest": digest_of(b"{}"),
        "status": 201,
    }
    assert "c2VjcmV0" not in caplog.text


def test_what_can_not_be(running: Running, done: Callable[[object], None]) -> None:
    done(lambda _: pytest.fail("it was passed on"))
    large = b" " * (manifests.LARGEST + 1)
    for method, place, body, status, code in (
        ("PUT", "/v2/App/manifests/v1", b"", 400, "NAME_INVALID"),
        ("GET", "/v2/app/manifests/v1", b"", 405, "UNSUPPORTED"),
        ("PUT", "/v2/app/manifests/v1", large, 413, "MANIFEST_INVALID"),
    ):
        found = running.ask(method, place, body, **SAID)
        assert (found[0], json.loads(found[2])["errors"][0]["code"]) == (status, code)


def test_a_bug_is_an_answer(running: Running, done: Callable[[object], None], caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: Asked) -> Answer:
        raise KeyError("secret")

    done(fails)
    found = running.ask("PUT", "/v2/app/manifests/v1", b"{}", **SAID)
    assert (found[0], json.loads(found[2])["errors"][0]["code"]) == (500, "UNKNOWN")
    assert "KeyError" in caplog.text
    done(lambda _: Answer(201))
    assert running.ask("PUT", "/v2/app/manifests/v1", b"{}", **SAID)[0] == 201


def test_what_is_packed_is_not_unpacked(
    running: Running, done: Callable[[object], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Two megabytes were two gigabytes, and each such request fifty lines of the journal; what was unpacked was passed
    on, of which the registry by itself would have taken nothing."""
    done(lambda _: pytest.fail("it was passed on"))
    for body in (gzip.compress(b" " * (64 << 20)), gzip.compress(b"{}"), b"{}"):
        for coding in ("gzip", "deflate", "br", "zstd", "odd"):
            found = running.ask("PUT", "/v2/app/manifests/v1", body, **SAID, **{"Content-Encoding": coding})
            assert (found[0], json.loads(found[2])["errors"][0]["code"]) == (415, "UNSUPPORTED")
    assert caplog.records == []
    seen: list[bytes] = []
    done(lambda one: seen.append(one.body) or Answer(201))  # type: ignore[func-returns-value]
    assert running.ask("PUT", "/v2/app/manifests/v1", b"{}", **SAID, **{"Content-Encoding": "identity"})[0] == 201
    assert seen == [b"{}"]


def test_nothing_that_is_asked_fills_the_journal(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the library itself refuses is no bug; what is one, wherever it is, is told once, and answered by us."""
    for line in (b"GET /v2/\xe9 HTTP/1.1", b"GET / HTTP/1.1\r\nX: \x01", b"?"):
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(SECONDS)
            link.connect(str(running.path))
            link.sendall(line + b"\r\nConnection: close\r\n\r\n")
            assert link.recv(1 << 16).startswith(b"HTTP/1.")
    assert caplog.records == []

    def fails(*_: object) -> Asked:
        raise KeyError("secret")

    monkeypatch.setattr(asked, "read", fails)
    found = running.ask("PUT", "/v2/app/manifests/v1", b"{}", **SAID)
    assert (found[0], json.loads(found[2])["errors"][0]["code"]) == (500, "UNKNOWN")
    assert len(caplog.records) == 1 and "KeyError" in caplog.text


class Held:
    """Requests that are under way, each until it may go on."""

    def __init__(self) -> None:
        self.turn, self.doing, self.go = threading.Lock(), list[str](), threading.Event()
        self.most = 0

    def __call__(self, one: Asked) -> Answer:
        with self.turn:
            self.doing.append(f"{one.method} {one.repository} {one.reference}")
            self.most = max(self.most, len(self.doing))
        assert self.go.wait(SECONDS)
        with self.turn:
            self.doing.remove(f"{one.method} {one.repository} {one.reference}")
        return Answer(201)

    def are(self, *wanted: str) -> bool:
        return waiting.until(lambda: sorted(self.doing) == sorted(wanted), SECONDS)


@pytest.mark.promise("manifest-service")
def test_one_at_a_time_for_each_tag(running: Running, done: Callable[[object], None]) -> None:
    held = Held()
    done(held)
    with ThreadPoolExecutor(16) as pool:

        def ask(method: str, name: str, tag: str) -> Future[Got]:
            return pool.submit(running.ask, method, f"/v2/{name}/manifests/{tag}", b"{}", **SAID)

        first = ask("PUT", "app", "v1")
        assert held.are("PUT app v1")
        others = [ask("PUT", "app", "v1"), ask("DELETE", "app", "v1"), ask("PUT", "app", "v2"), ask("PUT", "b", "v1")]
        assert held.are("PUT app v1", "PUT app v2", "PUT b v1")
        others.append(ask("DELETE", "b", "v7"))
        assert held.are("PUT app v1", "PUT app v2", "PUT b v1", "DELETE b v7")
        others.append(ask("DELETE", "b", "v8"))
        count = running.one.turns.count
        assert waiting.until(lambda: count["b", ""] == 2 or count["b", "v8"] == 1, SECONDS)
        assert running.ask("GET", asked.LIVES)[0] == 204
        assert held.are("PUT app v1", "PUT app v2", "PUT b v1", "DELETE b v7"), "deletions of a repository wait, too"
        held.go.set()
        assert [one.result(SECONDS)[0] for one in (first, *others)] == [201] * 7
    assert running.one.turns.locks == {} and not running.one.turns.count


def test_as_many_at_once_as_there_is_room_for(
    running: Running, done: Callable[[object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is refused: others wait."""
    held = Held()
    done(held)
    with ThreadPoolExecutor(80) as pool:
        found = [pool.submit(running.ask, "PUT", f"/v2/a/manifests/v{number}", b"{}", **SAID) for number in range(80)]
        assert waiting.until(lambda: len(held.doing) == serve.THREADS, SECONDS)
        held.go.set()
        assert [one.result(SECONDS)[0] for one in found] == [201] * 80
    assert held.most == serve.THREADS


@pytest.mark.promise("manifest-service-killed")
def test_what_is_under_way_is_finished(tmp_path: Path, done: Callable[[object], None]) -> None:
    running, held = Running(tmp_path / "s"), Held()
    done(held)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(running.ask, "PUT", "/v2/app/manifests/v1", b"{}", **SAID)
        assert held.are("PUT app v1")
        running.end()
        assert waiting.until(lambda: not running.listens(), SECONDS)
        assert not waiting.until(found.done, 0.3)
        held.go.set()
        assert found.result(SECONDS)[0] == 201
    assert running.joined()


@pytest.mark.promise("manifest-service-killed")
def test_what_is_being_sent_is_waited_for_and_nobody_else(
    tmp_path: Path, done: Callable[[object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen on a host: who connected in the moment in which it ended was not read, and kept it from ending for 20 s, so
    that the registry which that push was for had ended by then, and the push was refused."""
    done(lambda _: Answer(201))
    running = Running(tmp_path / "s")
    took, links = waiting.stopwatch(), [socket.socket(socket.AF_UNIX) for _ in range(3)]
    with contextlib.ExitStack() as held:
        for link in links:
            held.enter_context(link)
            link.settimeout(SECONDS)
            link.connect(str(running.path))
        silent, slow, cut = links
        lines = ["PUT /v2/app/manifests/v1 HTTP/1.1", "Host: x", "Content-Length: 4"]
        lines += [f"{name}: {value}" for name, value in SAID.items()]
        slow.sendall("\r\n".join([*lines, "", "{  }"]).encode())  # it is kept, and sends another one
        assert slow.recv(1000).startswith(b"HTTP/1.1 201")
        for link in (slow, cut):
            link.sendall("\r\n".join([*lines, "", "{ "]).encode())
        assert waiting.until(lambda: len(running.one.server.connections) == 3, SECONDS)
        assert waiting.until(lambda: not running.one.idle, SECONDS)
        running.end()
        assert waiting.until(lambda: not running.listens(), SECONDS)
        slow.sendall(b" }")
        assert slow.recv(1000).startswith(b"HTTP/1.1 201")
        assert silent.recv(1) == b"" == cut.recv(1)
    assert running.joined() and took() < 1000 * serve.DRAIN_SECONDS


@pytest.mark.promise("manifest-service-killed")
def test_a_connection_is_kept_and_holds_nobody_up(tmp_path: Path, done: Callable[[object], None]) -> None:
    """What comes by it in the end is answered, or is not read; and the next one has a connection of its own."""
    done(lambda _: Answer(201))
    running = Running(tmp_path / "s")
    took, links = waiting.stopwatch(), [running.linked() for _ in range(2)]
    with contextlib.ExitStack() as held:
        for link in links:
            held.callback(link.close)
            for _ in range(3):
                link.request("PUT", "/v2/app/manifests/v1", b"{}", SAID)
                answer = link.getresponse()
                assert (answer.status, answer.read(), answer.will_close) == (201, b"", False)
        assert len(running.one.server.connections) == 2
        running.end()
        assert running.joined()
        for link in links:
            with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
                link.request("PUT", "/v2/app/manifests/v1", b"{}", SAID)
                link.getresponse()
    assert took() < 1000 * serve.ARRIVING_SECONDS


@pytest.mark.promise("manifest-service-store")
def test_who_does_not_see_the_store_ends_and_answers_nothing(
    tmp_path: Path, done: Callable[[object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The front asks who is started next, and who sees it as it is; not again and again in one moment.

    Seen: where the store moved just after it was started, a push was refused."""

    def stale(_: Asked) -> Answer:
        raise steps.Stale("away")

    done(stale)
    running = Running(tmp_path / "s")
    running.one.old = young = waiting.within(0.5)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        running.ask("PUT", "/v2/app/manifests/v1", b"{}", **SAID)
    assert young.over and running.joined()


@pytest.mark.promise("access")
def test_the_catalogue_is_shown_over_it(running: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """To each what he may read, many at once; it is no manifest, so no line tells of it."""
    access = tmp_path / "access.yml"
    access.write_text('repositories:\n  "a/**": {defaultPolicy: [read]}\n  "b/**": {anonymousPolicy: [read]}\n')
    for name in ("a/x", "b/x", "c"):
        (tmp_path / "docker/registry/v2/repositories" / name / "_layers").mkdir(parents=True)
    said = {"X-Secreg-Behind": Behind("unix:/nowhere", str(tmp_path)).said, "X-Secreg-Access": str(access)}

    def names(user: str) -> list[str]:
        status, headers, body = running.ask("GET", "/v2/_catalog?n=10", b"", **said | {"X-Secreg-User": user})
        assert (status, headers["content-type"]) == (200, "application/json")
        found: list[str] = json.loads(body)["repositories"]
        return found

    with caplog.at_level(logging.INFO), ThreadPoolExecutor(8) as pool:
        assert list(pool.map(names, ["bob", ""] * 8)) == [["a/x", "b/x"], ["b/x"]] * 8
    assert not [one for one in caplog.records if one.name.endswith("audit")]
    status, headers, body = running.ask("HEAD", "/v2/_catalog", b"", **said)
    assert (status, body) == (200, b"") and int(headers["content-length"]) > 0
    assert running.ask("GET", "/v2/_catalog", b"", **{"X-Secreg-Behind": said["X-Secreg-Behind"]})[0] == 400
    assert running.ask("GET", "/v2/a/manifests/v1", b"", **said)[0] == 405
