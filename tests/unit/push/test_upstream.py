"""How the registry is asked: one that answers in its place, at a socket."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pytest

from secreg_host.base import waiting
from secreg_host.generation.behind import Behind
from secreg_host.push import steps, upstream
from secreg_host.push.answers import Answer
from secreg_host.push.asked import Asked

SECONDS = 20.0


class Registry(ThreadingUnixStreamServer):
    """In the place of the registry: what came, by which connections, and what it answers."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), Handler)
        self.came: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, bytes]] = []
        self.heads: list[str] = []
        self.links: list[socket.socket] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        self.links.append(super().get_request()[0])
        return self.links[-1], ("registry", 0)

    def cut(self) -> None:
        """End all connections, as a process does that ends."""
        for link in self.links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _do(self) -> None:
        assert isinstance(self.server, Registry)
        self.server.heads.append(self.path)
        if self.headers.get("X-Early"):
            self.wfile.write(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        body = self.rfile.read(length := int(self.headers.get("Content-Length") or 0))
        if len(body) < length:
            self.close_connection = True  # who asked has gone
            return
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
    found = Registry(tmp_path / "r")
    yield found
    found.end()
    found.cut()


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


def test_one_connection_is_kept(tmp_path: Path, registry: Registry) -> None:
    """A new one each time was a tenth of what a manifest took."""
    for _ in range(3):
        assert upstream.ask(of(tmp_path)).status == 201
        with upstream.begun(of(tmp_path)):
            assert upstream.ask(of(tmp_path)).status == 201
    assert (len(registry.came), len(registry.links)) == (6, 1)


@pytest.mark.promise("manifest-service-killed")
@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("again", [False, True])
def test_a_registry_that_is_restarted_between_two_pushes_costs_none(
    tmp_path: Path, registry: Registry, *, early: bool, again: bool
) -> None:
    """Nor is it asked twice. (again: another one listens there by then; else the connection was closed, no more.)"""
    assert upstream.ask(of(tmp_path)).status == 201
    assert len(registry.came) == 1
    with contextlib.ExitStack() as held:
        if early:
            held.enter_context(upstream.begun(of(tmp_path)))
        registry.cut()
        if again:
            registry.end()
            (tmp_path / "r").unlink()
            other = Registry(tmp_path / "r")
            held.callback(other.cut)
            held.callback(other.end)
        assert upstream.ask(of(tmp_path, body=b"other")).status == 201
    assert [one[-1] for one in registry.came + (other.came if again else [])] == [b"{}", b"other"]
    assert len(registry.came) == (1 if again else 2)


def test_the_one_is_asked_that_is_named(tmp_path: Path, registry: Registry) -> None:
    """Though the one before answers still by the connection that is kept: it finishes what is under way, and ends."""
    assert upstream.ask(of(tmp_path)).status == 201
    (tmp_path / "r").rename(tmp_path / "before")
    other = Registry(tmp_path / "r")
    try:
        assert upstream.ask(of(tmp_path)).status == 201
        before = Asked("PUT", "app", "v1", "alice", "", Behind(f"unix:{tmp_path / 'before'}"), body=b"{}")
        assert upstream.ask(before).status == 201
        assert (len(registry.came), len(other.came)) == (2, 1)
    finally:
        other.end()
        other.cut()


def test_what_was_not_read_to_its_end_is_no_answer_to_the_next(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "LARGEST", 4)
    registry.answers = [(400, b"too long"), (201, b"")]
    assert [upstream.ask(of(tmp_path)).status for _ in range(2)] == [400, 201]
    assert len(registry.links) == 2


def test_the_registry_knows_what_is_asked_before_it_has_the_manifest(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "SECONDS", 2.0)
    upstream.ask(of(tmp_path))
    asked = of(tmp_path, body=b"words")
    with upstream.begun(asked):
        assert waiting.until(lambda: len(registry.heads) == 2, SECONDS)
        assert len(registry.came) == 1
        assert upstream.ask(asked).status == 201
    assert (registry.came[-1][-1], len(registry.links)) == (b"words", 1)
    with upstream.begun(asked):
        assert waiting.until(lambda: len(registry.heads) == 3, SECONDS)
    assert upstream.ask(of(tmp_path, "DELETE", b"")).status == 201, "what was begun and is not asked, ends"
    assert [(one[0], one[-1]) for one in registry.came] == [("PUT", b"{}"), ("PUT", b"words"), ("DELETE", b"")]


def test_one_that_answers_before_it_has_all_is_heard(tmp_path: Path, registry: Registry) -> None:
    upstream.ask(of(tmp_path))
    asked = replace(of(tmp_path, body=bytes(4 << 20)), headers=(("x-early", b"1"),))
    with upstream.begun(asked):
        assert waiting.until(lambda: len(registry.heads) == 2, SECONDS)
        assert upstream.ask(asked).status == 405
    assert upstream.ask(of(tmp_path)).status == 201
    assert len(registry.heads) == 3
