"""The service at its socket, between one that asks as the front does and one that answers as the registry."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pytest

from secreg_host.base import handed, waiting
from secreg_host.generation.behind import Behind
from secreg_host.images import manifests
from secreg_host.push import asked, serve, steps, upstream
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

    def ask(self, method: str, place: str, body: bytes = b"", **headers: str) -> Got:
        link = http.client.HTTPConnection("x", timeout=SECONDS)
        link.sock = socket.socket(socket.AF_UNIX)
        link.sock.settimeout(SECONDS)
        link.sock.connect(str(self.path))
        with contextlib.closing(link):
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


class Registry(ThreadingUnixStreamServer):
    """In the place of the registry: what came, and what it answers."""

    daemon_threads = True
    came: list[tuple[str, str, dict[str, str], bytes]]
    answers: list[tuple[int, bytes]]

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        return super().get_request()[0], ("registry", 0)


class Handler(BaseHTTPRequestHandler):
    def _do(self) -> None:
        assert isinstance(self.server, Registry)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.came.append((self.command, self.path, dict(self.headers), body))
        status, said = self.server.answers.pop(0) if self.server.answers else (201, b"")
        if not status:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(status)
        self.send_header("Docker-Content-Digest", "sha256:1")
        self.send_header("X-Name", "\u00fc".encode().decode("latin-1"))
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_PUT = do_DELETE = _do

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(str(tmp_path / "r"), Handler) as found:
        found.came, found.answers = [], []
        threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
        yield found
        found.shutdown()


def of(tmp_path: Path, method: str = "PUT", body: bytes = b"{}") -> Asked:
    headers = (("host", b"example"), ("content-type", b"application/json"))
    where = Behind(f"unix:{tmp_path / 'r'}")
    return Asked(method, "app", "v1", "alice", "10.0.0.7", where, headers=headers, body=body)


def test_the_registry_is_asked_as_the_client_asked(tmp_path: Path, registry: Registry) -> None:
    found = upstream.ask(of(tmp_path))
    assert (found.status, found.has("docker-content-digest"), found.has("x-name")) == (201, "sha256:1", "ü")
    assert {key.lower() for key, _ in found.headers} == {"docker-content-digest", "x-name"}
    [(method, path, headers, body)] = registry.came
    assert (method, path, body) == ("PUT", "/v2/app/manifests/v1", b"{}")
    assert headers == {"host": "example", "content-type": "application/json", "Content-Length": "2"}
    upstream.ask(of(tmp_path, "DELETE", b""), steps.NOBODY)
    assert registry.came[-1][:2] == ("DELETE", f"/v2/app/manifests/{steps.NOBODY}")
    upstream.ask(of(tmp_path, "PUT", b""))
    assert registry.came[-1][2]["Content-Length"] == "0"


def test_a_refusal_without_words_gets_some(tmp_path: Path, registry: Registry) -> None:
    registry.answers = [(405, b"Method Not Allowed"), (405, b'{"errors":[{"code":"OWN"}]}')]
    assert [upstream.ask(of(tmp_path)).codes for _ in range(2)] == [("UNSUPPORTED",), ("OWN",)]


@pytest.mark.promise("manifest-service-killed")
def test_a_registry_that_is_started_anew_is_asked_again(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.answers = [(0, b""), (0, b""), (201, b"")]
    assert upstream.ask(of(tmp_path)).status == 201 and len(registry.came) == 3
    monkeypatch.setattr(upstream, "AWAY_SECONDS", 0.05)
    (tmp_path / "r").unlink()
    assert upstream.ask(of(tmp_path)).codes == ("UNAVAILABLE",)


def test_one_that_hangs_is_not_asked_again(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def hangs(*_: object) -> Answer:
        tries.append(1)
        raise TimeoutError

    monkeypatch.setattr(upstream, "_once", hangs)
    assert upstream.ask(of(tmp_path)).codes == ("UNAVAILABLE",)
    assert registry.came == [] and tries == [1]
