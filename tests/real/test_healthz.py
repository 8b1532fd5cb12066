"""/healthz when many ask at once: what is behind it is asked once a second, and stays there for who logs in."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from secreg_host.host import processes
from tests.real.program import Instance
from tests.real.test_clientproof import host_of
from tests.real.test_flood import ask, status
from tests.real.test_passwords import add_user

LINKS, BACKLOG = 300, 8


@contextmanager
def narrow(instance: Instance) -> Iterator[list[bytes]]:
    """A password check that has room for few who wait, and takes a moment for each; what it was asked."""
    path = processes.auth_socket(host_of(instance))
    real = path.with_name("real.sock")
    questions: list[bytes] = []

    def answer(link: socket.socket) -> None:
        with link, socket.socket(socket.AF_UNIX) as behind, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head and (data := link.recv(65536)):
                head += data
            if head:
                questions.append(head)
                time.sleep(0.005)
                behind.connect(str(real))
                behind.sendall(head)
                behind.shutdown(socket.SHUT_WR)
                while data := behind.recv(65536):
                    link.sendall(data)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                answer(listener.accept()[0])

    path.rename(real)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            path.chmod(0o666)
            listener.listen(BACKLOG)
            thread = threading.Thread(target=serve)
            thread.start()
            try:
                yield questions
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join()
    finally:
        real.rename(path)


def connected(instance: Instance) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", instance.port), 60, ("127.0.7.1", 0))
    return instance.context().wrap_socket(plain, server_hostname="localhost")


ODD = "proxy_no_cache 1; proxy_cache_bypass 1; proxy_cache_min_uses 9; proxy_cache_max_range_offset 0; satisfy any;"
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nRange: bytes=5-9\r\n\r\n"


@pytest.mark.promise("healthz-flood")
@pytest.mark.parametrize("line", ["", ODD])
def test_many_who_ask_cost_a_question_a_second(serving: Instance, line: str) -> None:
    """Seen: each opened a connection to the password check, and when that had no room for more, /healthz and first
    logins with a right password were answered 503."""
    serving.edit("nginx.conf", "ssl_protocols", f"{line}\n    ssl_protocols")
    said = serving.reload()
    assert "rejected" not in said and "unproven" not in said, said
    add_user(serving, "alice", "right")
    with narrow(serving) as questions, ExitStack() as stack:
        links = [stack.enter_context(connected(serving)) for _ in range(LINKS)]
        begun = time.monotonic()
        for link in links[: LINKS // 2]:
            link.sendall(REQUEST)
        login = ask(serving, "127.0.8.9", "alice", "right")
        for link in links[LINKS // 2 :]:
            link.sendall(REQUEST)
        answers = [status(link) for link in links]
        assert ({*answers}, status(login)) == ({200}, 200)
        asked = [head for head in questions if b"\r\nAuthorization:" not in head]
        assert 1 <= len(asked) <= time.monotonic() - begun + 2
