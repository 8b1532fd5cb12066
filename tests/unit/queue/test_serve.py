"""The queue at its socket, between one that asks as the front does and one that answers as the password check."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import pytest

from secreg_host.base import files, waiting
from secreg_host.formats.users import PROBE
from secreg_host.generation.liveusers import LiveUsers
from secreg_host.host import processes
from secreg_host.host.host import Host
from secreg_host.queue import roll, serve
from secreg_host.queue.serve import Queue
from secreg_host.queue.turns import CYCLE

SHA = b"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n"
RIGHT = b"right"
SECONDS = 20.0


class Held(NamedTuple):
    """A question that the password check has, until it is answered."""

    link: socket.socket
    user: str
    password: bytes

    def answer(self, said: str = "") -> None:
        """Say whether the password is right, or what is `said`."""
        code = "204 No Content" if self.password == RIGHT else "401 Unauthorized"
        with self.link:
            self.link.sendall(f"HTTP/1.1 {said or code}\r\n\r\n".encode())


class Check:
    """In the place of the password check: what it is asked, in that order; it answers what it is told to."""

    def __init__(self, path: Path) -> None:
        self.asked: SimpleQueue[Held] = SimpleQueue()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                link = self.socket.accept()[0]
                said = roll.login(link.recv(65536).partition(b"Authorization: ")[2].partition(b"\r\n")[0])
                assert said is not None
                self.asked.put(Held(link, said.user.decode(), said.password))

    def next(self) -> Held:
        """The next question."""
        return self.asked.get(timeout=SECONDS)

    def done(self) -> str:
        """Whose the next question is, which is answered."""
        held = self.next()
        held.answer()
        return held.user


@pytest.fixture
def check(host: Host) -> Iterator[Check]:
    files.make_directory(host.paths.auth_run, 0o755)
    found = Check(processes.auth_socket(host))
    yield found
    found.socket.shutdown(socket.SHUT_RDWR)
    found.socket.close()


@pytest.fixture
def live(host: Host) -> LiveUsers:
    files.make_directory(host.paths.run, 0o755)
    found = LiveUsers(host)
    found.write(b"".join(b"u%d:%s" % (number, SHA) for number in range(30)))
    return found


@pytest.fixture
def one(host: Host, live: LiveUsers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """A queue that asks for one password at a time."""
    monkeypatch.setattr(serve.os, "sched_getaffinity", lambda _: {0})
    monkeypatch.setattr(serve, "BUSY_SECONDS", 0.0)
    with serve.beside(host) as queue:
        yield queue


class Asker:
    """One who waits for an answer."""

    def __init__(self, queue: Queue, user: str, password: bytes = b"wrong", client: str = "a") -> None:
        self.link = socket.socket(socket.AF_UNIX)
        self.link.settimeout(SECONDS)
        self.link.connect(str(queue.path))
        said = base64.b64encode(user.encode() + b":" + password).decode()
        head = f"GET /check HTTP/1.0\r\nX-Real-IP: {client}\r\nAuthorization: Basic {said}\r\n\r\n"
        self.link.sendall(head.encode())

    def answer(self) -> int:
        """The status that it got; 0: none."""
        with self.link:
            said = self.link.recv(1000)
        return int(said.split(b" ")[1]) if said else 0


def arrived(queue: Queue, count: int) -> None:
    """Wait until so many wait for an answer: each has its place."""

    def asking() -> int:
        return queue.turns.asking + sum(len(one.askers) for one in list(queue.turns.begun.values()))

    assert waiting.until(lambda: asking() == count, SECONDS), asking()


def test_right_and_wrong(one: Queue, check: Check) -> None:
    for password, code in ((RIGHT, 204), (b"wrong", 401)):
        asker = Asker(one, "u1", password)
        held = check.next()
        assert (held.user, held.password) == ("u1", password)
        held.answer()
        assert asker.answer() == code


@pytest.mark.promise("fair-turns")
def test_each_client_has_its_turn(one: Queue, check: Check) -> None:
    first = Asker(one, "u0")
    held = check.next()
    many = [Asker(one, f"u{number}") for number in range(1, 6)]
    arrived(one, 6)
    other = Asker(one, "u9", RIGHT, client="b")
    arrived(one, 7)
    held.answer()
    order = [check.done() for _ in range(6)]
    assert order.index("u9") == 1, "behind one of each other client"
    assert (first.answer(), other.answer(), {asker.answer() for asker in many}) == (401, 204, {401})


@pytest.mark.promise("fair-turns")
def test_who_was_right_lately_comes_first(one: Queue, check: Check) -> None:
    asker = Asker(one, "u7", RIGHT, client="home")
    check.next().answer()
    assert asker.answer() == 204
    first = Asker(one, "u0")
    held = check.next()
    strangers = [Asker(one, f"u{number}", client=f"c{number}") for number in range(1, 5)]
    known = Asker(one, "u7", b"not this time", client="home")
    probe = Asker(one, PROBE, RIGHT, client=PROBE)
    arrived(one, 7)
    held.answer()
    order = [check.done() for _ in range(6)]
    assert set(order[:2]) == {"u7", PROBE}
    assert (known.answer(), probe.answer(), first.answer()) == (401, 204, 401)
    assert [asker.answer() for asker in strangers] == [401] * 4


@pytest.mark.promise("gone-is-not-checked")
def test_who_has_gone_is_not_checked(one: Queue, check: Check) -> None:
    first = Asker(one, "u0")
    held = check.next()
    gone = [Asker(one, f"u{number}") for number in range(1, 9)]
    arrived(one, 9)
    for asker in gone:
        asker.link.close()
    arrived(one, 1)
    last = Asker(one, "u20", RIGHT, client="z")
    arrived(one, 2)
    held.answer()
    found = check.next()
    found.answer()
    assert (found.user, first.answer(), last.answer()) == ("u20", 401, 204)
    assert check.asked.empty()


@pytest.mark.promise("names-take-the-same-time")
def test_a_decoys_yes_lets_nobody_in(one: Queue, check: Check) -> None:
    asker = Asker(one, "nobody-of-the-kind", RIGHT)
    held = check.next()
    assert held.user.startswith("secure-registry-nobody-") and held.password == RIGHT
    held.answer()
    assert asker.answer() == 401


@pytest.mark.parametrize("said", ["500 Internal Server Error", "200 OK", "nothing"])
def test_what_can_not_be_asked_is_no_yes(one: Queue, check: Check, said: str) -> None:
    asker = Asker(one, "u1", RIGHT)
    check.next().answer(said)
    assert asker.answer() == 503


def test_a_check_that_is_away_is_told(one: Queue) -> None:
    assert Asker(one, "u1", RIGHT).answer() == 503


def test_a_check_that_has_no_room_is_waited_for(one: Queue, live: LiveUsers, host: Host) -> None:
    """Seen: it was told to be away when its backlog was full (EAGAIN), while passwords could be checked."""
    files.make_directory(host.paths.auth_run, 0o755)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(processes.auth_socket(host)))
        listener.listen(1)
        with pytest.raises(BlockingIOError):
            for _ in range(10):
                link = stack.enter_context(socket.socket(socket.AF_UNIX))
                link.setblocking(False)
                link.connect(str(processes.auth_socket(host)))
        asker = Asker(one, "u1", RIGHT)
        asker.link.settimeout(0.3)
        with pytest.raises(TimeoutError):
            asker.link.recv(1, socket.MSG_PEEK)
        asker.link.settimeout(SECONDS)
        listener.settimeout(SECONDS)
        said = b""
        while b"Authorization" not in said:  # those that fill it say nothing
            taken = stack.enter_context(listener.accept()[0])
            taken.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                said = taken.recv(65536)
        Held(taken, "u1", RIGHT).answer()
        assert asker.answer() == 204


@pytest.mark.promise("epochs")
def test_users_that_change_meanwhile_are_asked_for_anew(one: Queue, live: LiveUsers, check: Check) -> None:
    first = Asker(one, "u1", RIGHT)
    held = check.next()
    live.write(b"u2:" + SHA)
    second = Asker(one, "u1", RIGHT)
    arrived(one, 2)
    held.answer()
    again = check.next()
    assert again.user.startswith("secure-registry-nobody-")
    again.answer("401 Unauthorized")
    assert (first.answer(), second.answer()) == (204, 401)
    third = Asker(one, "u1", RIGHT)
    check.next().answer("401 Unauthorized")
    assert third.answer() == 401, "what was right is not so for these users"


def test_the_same_question_is_asked_once(one: Queue, check: Check) -> None:
    first = Asker(one, "u1", RIGHT)
    held = check.next()
    others = [Asker(one, "u1", RIGHT) for _ in range(5)]
    arrived(one, 6)
    held.answer()
    assert {asker.answer() for asker in (first, *others)} == {204}
    assert check.asked.empty()


@pytest.mark.promise("epochs")
def test_what_was_right_a_moment_ago_is_not_asked_again(one: Queue, live: LiveUsers, check: Check) -> None:
    """Unless users changed since; what was wrong is asked each time."""
    for password, code in ((RIGHT, 204), (b"wrong", 401), (b"wrong", 401)):
        asker = Asker(one, "u1", password)
        check.next().answer()
        assert asker.answer() == code
    assert [Asker(one, "u1", RIGHT).answer() for _ in range(3)] == [204] * 3
    assert check.asked.empty()
    live.write(b"u1:" + SHA)
    asker = Asker(one, "u1", RIGHT)
    check.next().answer()
    assert asker.answer() == 204


def test_who_was_wrong_stands_behind_who_comes_anew(one: Queue, check: Check) -> None:
    for _ in range(len(CYCLE)):  # and the next turn is that of the first lane again
        asker = Asker(one, "u1", b"wrong", client="guesser")
        check.next().answer()
        assert asker.answer() == 401
    first = Asker(one, "u0", client="x")
    held = check.next()
    guesses = [Asker(one, f"u{number}", client="guesser") for number in range(1, 4)]
    arrived(one, 4)
    new = Asker(one, "u9", RIGHT, client="new")
    arrived(one, 5)
    held.answer()
    held = check.next()
    assert held.user == "u9"
    held.answer()
    for _ in guesses:
        check.next().answer()
    assert (first.answer(), new.answer(), {asker.answer() for asker in guesses}) == (401, 204, {401})


@pytest.mark.promise("fair-turns")
def test_who_waits_too_long_is_told_so(one: Queue, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the front gives up, which it would take for a password check that is away."""
    monkeypatch.setattr(serve, "WAIT_SECONDS", 0.2)
    first = Asker(one, "u0")
    held = check.next()
    late = Asker(one, "u1")
    assert late.answer() == 403
    held.answer()
    assert first.answer() == 403 and check.asked.empty()


def test_who_says_nothing_is_let_go(one: Queue, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is no question: without an answer, so that the front asks the password check itself."""
    monkeypatch.setattr(serve, "HEAD_SECONDS", 0.05)
    for said in (b"GET /check HTTP/1.0\r\n", b"x" * 200_000):
        with socket.socket(socket.AF_UNIX) as link, contextlib.suppress(ConnectionError):
            link.settimeout(SECONDS)
            link.connect(str(one.path))
            link.sendall(said)
            assert link.recv(10) == b""
    asker = Asker(one, "u1", RIGHT)
    check.next().answer()
    assert asker.answer() == 204


def test_its_socket_is_the_fronts_alone(one: Queue) -> None:
    path = one.path
    assert path.stat().st_mode & 0o777 == 0o600 and path.is_socket()


@pytest.mark.promise("users-fail-closed")
def test_what_was_right_while_nobody_counted_is_asked_again(one: Queue, live: LiveUsers, check: Check) -> None:
    """Users are shut out twice, and written meanwhile: no number tells the first time from the second."""
    live.shut()
    first = Asker(one, "u1", RIGHT)
    held = check.next()
    live.write(b"u1:" + SHA)
    held.answer()
    assert first.answer() == 204
    live.shut()
    second = Asker(one, "u1", RIGHT)
    assert waiting.until(lambda: not check.asked.empty(), 2.0), second.answer()
    check.next().answer("503 Service Unavailable")
    assert second.answer() == 503
