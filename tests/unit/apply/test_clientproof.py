"""Logging in, reading and writing, by what is answered. The real ones: tests/real/test_clientproof.py."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from secreg_host.apply import asking, clientproof, probe, rehearsal, storeproof
from secreg_host.apply.probe import Expectation
from secreg_host.base import marks
from secreg_host.formats.listening import Listen
from secreg_host.formats.users import PROBE
from secreg_host.generation import assemble
from secreg_host.generation.liveusers import LiveUsers
from secreg_host.host import processes
from secreg_host.host.host import Host
from secreg_host.queue import wire
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import RegistryPart

AT = Listen("", 443, tls=False)
THEIRS = "Docker-Distribution-Api-Version: registry/2.0\r\n"
USERS = b"alice:x\n"
Script = Callable[[str, str], int | bytes]
"""What is answered to a request line by whoever gave USER:PASSWORD: a status, bytes, or nothing at all (0)."""


Look = Callable[[Host, Any, Callable[[Listen], socket.socket]], str]


class Front:
    """Answers by a script, with `more` header fields; asked: what was asked, and as whom; words: which user said which
    word."""

    def __init__(self, script: Script, more: str = "") -> None:
        self.script, self.asked, self.more = script, list[tuple[str, str]](), more
        self.words = set[tuple[str, str]]()

    def connect(self, _: Listen) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.settimeout(asking.TIMEOUT)
        threading.Thread(target=self.serve, args=(theirs,), daemon=True).start()
        return ours

    def serve(self, link: socket.socket) -> None:
        with contextlib.suppress(OSError), link, link.makefile("rb") as stream:
            while line := stream.readline():
                head = dict[str, str]()
                while (field := stream.readline()).strip():
                    name, _, value = field.decode().partition(": ")
                    head[name] = value.strip()
                stream.read(int(head.get("Content-Length", 0)))
                what = line.decode().rpartition(" ")[0]
                whom = base64.b64decode(head.get("Authorization", "").removeprefix("Basic ")).decode()
                self.asked.append((what, whom))
                self.words.add((whom.partition(":")[0], head.get("X-Secreg-Probe", "")))
                answer = self.script(what, whom)
                if not answer:
                    return
                body = b"" if isinstance(answer, int) else answer
                status = answer if isinstance(answer, int) else 200
                more = self.more + ("Location: /v2/x/blobs/uploads/1?_state=y\r\n" if status == 202 else "")
                length = "" if status == 204 else f"Content-Length: {len(body)}\r\n"
                link.sendall(f"HTTP/1.1 {status} x\r\n{more}{length}\r\n".encode() + body)


class Generation:
    """What is known of one whose registry stores in a directory."""

    slot = "a"

    def __init__(self, **given: Any) -> None:
        self.parts = Parts(RegistryPart(**{"root": "/srv/images"} | given))
        self.rendered = {assemble.PROBE: b"word"}


@pytest.fixture
def live(host: Host, monkeypatch: pytest.MonkeyPatch) -> LiveUsers:
    host.paths.slot("a").parent.mkdir(parents=True)
    monkeypatch.setattr(rehearsal, "expectations", lambda *_: (Expectation(AT, "/x", None, "localhost"),))
    monkeypatch.setattr(clientproof, "_check", lambda *_: "")
    found = LiveUsers(host)
    found.write(USERS)
    return found


def right(live: LiveUsers, found: Mapping[str, int] = {}) -> Script:
    """A front that works, but for what `found` says of a right, a wrong and no password."""

    def script(what: str, whom: str) -> int:
        kind = "none" if not whom else "right" if whom == f"{PROBE}:{live.probe}" else "wrong"
        return {"right": 204, "wrong": 401, "none": 401, **found}[kind]

    return script


@pytest.mark.parametrize(
    ("found", "said", "kind"),
    [
        ({}, "", str),
        ({"right": 401}, "127.0.0.1:443: a right password is answered by HTTP 401", str),
        ({"right": 503}, "127.0.0.1:443: the password check does not answer (HTTP 503)", str),
        ({"right": 429}, "127.0.0.1:443: the password check has too much to do (HTTP 429)", clientproof.Late),
        ({"wrong": 204}, "127.0.0.1:443: a wrong password is let in (HTTP 204)", probe.Open),
        ({"none": 200}, "127.0.0.1:443: no password is let in (HTTP 200)", probe.Open),
        ({"wrong": 404}, "127.0.0.1:443: a wrong password is answered by HTTP 404, not 401", str),
    ],
)
def test_what_a_login_shows(live: LiveUsers, found: Mapping[str, int], said: str, kind: type) -> None:
    generation: Any = Generation()
    wrong = clientproof.login(live.host, generation, Front(right(live, found)).connect)
    assert (wrong, type(wrong)) == (said, kind)


@pytest.mark.promise("probe")
@pytest.mark.parametrize("look", [clientproof.login, clientproof.reads, clientproof.writes])
def test_only_the_probe_says_its_word(live: LiveUsers, monkeypatch: pytest.MonkeyPatch, look: Look) -> None:
    """Whatever it asks as itself, with a wrong password, too; nothing that it asks as nobody."""
    monkeypatch.setattr(storeproof, "_tidy", lambda *_: None)
    front, generation = Front(lambda what, whom: 202 if "POST" in what else right(live)(what, whom)), Generation()
    any_generation: Any = generation
    look(live.host, any_generation, front.connect)
    assert front.words - {("", "")} == {(PROBE, "word")}


def test_where_nobody_can_log_in_nobody_tries(live: LiveUsers) -> None:
    """Neither without users nor where they can't be taken over safely; it is no fault of what serves."""
    front, generation = Front(right(live)), Generation()
    any_generation: Any = generation
    live.write(b"")
    assert isinstance(clientproof.login(live.host, any_generation, front.connect), clientproof.Nobody)
    live.shut()
    assert isinstance(clientproof.login(live.host, any_generation, front.connect), clientproof.Nobody)
    assert front.asked == []
    assert clientproof.entered(live.host, any_generation, 0.0, lambda: "") == ""


def test_users_that_change_meanwhile_are_asked_for_again(live: LiveUsers) -> None:
    changes = iter([b"bob:x\n"])

    def script(what: str, whom: str) -> int | bytes:
        for users in changes:
            live.write(users)
        return right(live)(what, whom)

    generation: Any = Generation()
    assert clientproof.login(live.host, generation, Front(script).connect) == ""


def test_no_password_is_sent_to_somebody_else(live: LiveUsers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "presents", lambda *_: False)
    front, generation = Front(right(live)), Generation()
    any_generation: Any = generation
    assert "another certificate" in clientproof.login(live.host, any_generation, front.connect)
    assert "another certificate" in clientproof.reads(live.host, any_generation, front.connect)
    assert front.asked == []


def test_what_does_not_answer_is_late(live: LiveUsers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clientproof, "SECONDS", 0.3)
    stopped, looked = threading.Event(), list[str]()

    def script(what: str, whom: str) -> int:
        stopped.wait(30)
        return 204

    generation: Any = Generation()
    monkeypatch.setattr(clientproof, "login", lambda one, other: real(one, other, Front(script).connect))
    wrong = clientproof.entered(live.host, generation, 60.0, lambda: looked.append("users") or "")  # type: ignore[func-returns-value]
    stopped.set()
    assert isinstance(wrong, clientproof.Late) and looked


def test_a_login_that_takes_its_time_holds_up_no_removed_user(live: LiveUsers, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = threading.Event()

    def script(what: str, whom: str) -> int | bytes:
        return right(live)(what, whom) if looked.wait(10) else 500

    generation: Any = Generation()
    monkeypatch.setattr(clientproof, "login", lambda one, other: real(one, other, Front(script).connect))
    assert clientproof.entered(live.host, generation, 0.0, lambda: looked.set() or "") == ""


@pytest.mark.promise("nothing-slow-holds-up-users")
def test_whoever_waits_goes_on_letting_users_count() -> None:
    looked = threading.Event()

    def ask() -> str:
        return "answered" if looked.wait(10) else "nobody looked"

    assert clientproof.beside(ask, looked.set) == "answered"


real = clientproof.login


@pytest.mark.parametrize(
    ("answers", "given", "said"),
    [
        ({}, {}, ""),
        ({"/v2/": 503}, {}, "the registry does not answer: /v2/ is answered by HTTP 503"),
        ({"/v2/": 401}, {}, "the registry does not answer: /v2/ is answered by HTTP 401"),
        ({"/v2/": 401}, {"auth": True}, ""),
        ({"/v2/_catalog?n=1": 500}, {}, "a list of its images is answered by HTTP 500"),
        ({"/v2/_catalog?n=1": 404}, {}, ""),
    ],
)
def test_what_reading_shows(live: LiveUsers, answers: Mapping[str, int], given: Mapping[str, Any], said: str) -> None:
    front = Front(lambda what, _: answers.get(what.removeprefix("GET "), 200))
    generation: Any = Generation(**given)
    assert clientproof.reads(live.host, generation, front.connect) == said
    assert {whom for _, whom in front.asked} == {f"{PROBE}:{live.probe}"}


WRITTEN = b"secure-registry writes, reads and removes this: random\n"
WORKS: Mapping[str, int | bytes] = {"POST": 202, "PUT": 201, "GET": WRITTEN, "DELETE": 202}


@pytest.mark.parametrize(
    ("answers", "said", "tidied"),
    [
        ({}, "", True),
        ({"POST": 500}, "an upload is answered by HTTP 500", False),
        ({"POST": 405}, "", False),
        ({"PUT": 500}, "storing what was uploaded is answered by HTTP 500", True),
        ({"GET": 404}, "what was stored is answered by HTTP 404", True),
        ({"GET": b"x"}, "what was stored comes back as something else", True),
        ({"DELETE": 405}, "", True),
        ({"DELETE": 500}, "removing what was stored is answered by HTTP 500", True),
    ],
)
def test_what_writing_shows(
    live: LiveUsers, monkeypatch: pytest.MonkeyPatch, answers: Mapping[str, int | bytes], said: str, tidied: bool
) -> None:
    """What was begun is taken away, whatever became of it."""
    removed: list[str] = []
    monkeypatch.setattr("secrets.token_hex", lambda _: "random")
    monkeypatch.setattr(storeproof, "_tidy", lambda _, images, digest: removed.append(f"{images} {digest}"))
    front = Front(lambda what, _: {**WORKS, **answers}[what.partition(" ")[0]])
    generation: Any = Generation()
    assert clientproof.writes(live.host, generation, front.connect) == said
    assert removed == ([f"/srv/images {marks.digest(WRITTEN)}"] if tidied else [])


@pytest.mark.parametrize("what", ["POST /v2/secure-registry-probe/blobs/uploads/", "GET /v2/", "GET /v2/_catalog?n=1"])
@pytest.mark.parametrize("more", ["", THEIRS, f"{THEIRS}Retry-After: 1\r\n"])
@pytest.mark.parametrize("status", [502, 503, 0])
def test_who_said_that_it_fails(
    live: LiveUsers, monkeypatch: pytest.MonkeyPatch, what: str, more: str, status: int
) -> None:
    """The password check, or nginx, may have been killed just then: it is no fault of the registry's."""
    monkeypatch.setattr(storeproof, "_tidy", lambda *_: None)
    front = Front(lambda asked, _: status if asked == what else 200, more)
    generation: Any = Generation()
    look = clientproof.writes if what.startswith("POST") else clientproof.reads
    wrong = look(live.host, generation, front.connect)
    assert wrong and isinstance(wrong, storeproof.Unreached) == (more != THEIRS or not status)


@pytest.mark.parametrize("given", [{"root": None}, {"auth": True}])
def test_nothing_is_written_where_the_store_is_not_ours(live: LiveUsers, given: Mapping[str, Any]) -> None:
    front = Front(lambda what, _: 500)
    generation: Any = Generation(**given)
    assert clientproof.writes(live.host, generation, front.connect) == ""
    assert front.asked == []


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[tuple[Path, list[str]]]:
    """The front's own socket, which answers as it should, and what was asked there."""
    path, asked = tmp_path / "guarded.sock", list[str]()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def script(what: str, _: str) -> int:
            asked.append(what)
            return 204 if what == "GET /x" else 401

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    Front(script).serve(server.accept()[0])

        threading.Thread(target=serve, daemon=True).start()
        yield path, asked


@pytest.mark.parametrize("status", [400, 403, 0])
def test_who_is_kept_out_looks_inside(inside: tuple[Path, list[str]], status: int) -> None:
    """A client without a certificate of its own, one that is denied, or one that gets no answer."""
    path, asked = inside
    want = Expectation(AT, "/x", None, "localhost", path)
    assert probe.once(want, Front(lambda *_: status).connect) == ""
    assert asked == ["GET /x", "GET /v2/", "GET /v2/_catalog"]
    assert probe.once(Expectation(AT, "/x", None, "localhost"), Front(lambda *_: status).connect) != ""


@pytest.mark.parametrize("status", [429, 503, 404])
def test_who_asked_too_much_looks_inside(inside: tuple[Path, list[str]], status: int) -> None:
    """404 is the answer of another generation."""
    path, asked = inside
    want = Expectation(AT, "/x", None, "localhost", path, limited=True)
    front = Front(lambda *_: status)
    assert bool(probe.once(want, front.connect)) == (status == 404) == (asked == [])
    assert probe.once(Expectation(AT, "/x", None, "localhost", path), front.connect) != ""


@pytest.mark.parametrize(("status", "said"), [(200, "answered without a password"), (404, "does not answer")])
def test_a_public_address_that_is_not_closed_is_judged_itself(
    inside: tuple[Path, list[str]], status: int, said: str
) -> None:
    path, asked = inside
    script = {"GET /x": 403 if status == 200 else status}
    want = Expectation(AT, "/x", None, "localhost", path)
    assert said in probe.once(want, Front(lambda what, _: script.get(what, status)).connect)
    assert asked == []


@pytest.fixture
def queue(host: Host) -> Iterator[socket.socket]:
    """Where the front asks the queue; nobody takes what is asked yet."""
    host.paths.run.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as found:
        found.bind(str(processes.queue_socket(host)))
        found.listen(1)
        yield found


@pytest.mark.promise("status-asks")
@pytest.mark.parametrize(
    ("status", "said"),
    [
        (204, ""),
        (503, "the queue answers a right password by HTTP 503"),
        (0, "the queue before the password check does"),
    ],
)
def test_what_the_queue_answers(live: LiveUsers, queue: socket.socket, status: int, said: str) -> None:
    asked: list[bytes] = []

    def serve() -> None:
        link, _ = queue.accept()
        with link:
            asked.append(link.recv(4096))
            if status:
                link.sendall(wire.answer(status))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    found = clientproof.queued(live.host)
    thread.join(10)
    assert found.startswith(said) and bool(found) == bool(said)
    head = wire.read(asked[0])
    assert head.client == repr(PROBE.encode()), "whom it lets stand before strangers"
    assert base64.b64decode(head.authorization.removeprefix(b"Basic ")) == f"{PROBE}:{live.probe}".encode()


def test_a_queue_that_hangs_is_late(live: LiveUsers, queue: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clientproof, "SECONDS", 0.1)
    assert isinstance(clientproof.queued(live.host), clientproof.Late)
    with contextlib.ExitStack() as links:
        for _ in range(3):  # as many as may wait
            link = links.enter_context(socket.socket(socket.AF_UNIX))
            link.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                link.connect(str(processes.queue_socket(live.host)))
        assert isinstance(clientproof.queued(live.host), clientproof.Late)


def test_without_its_socket_nobody_asks_the_queue(live: LiveUsers, queue: socket.socket) -> None:
    path = processes.queue_socket(live.host)
    path.unlink()
    found = clientproof.queued(live.host)
    assert (found, type(found)) == (f"nobody listens at {path}", clientproof.Unheard)
