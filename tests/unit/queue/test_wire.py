"""What the front and the password check say."""

from __future__ import annotations

import pytest

from secreg_host.queue import roll, wire


def test_a_question_of_the_front() -> None:
    head = b"GET /check HTTP/1.0\r\nHost: auth\r\nX-REAL-IP: 192.0.2.1\r\nAuthorization: Basic eDp5 \r\n\r\n"
    assert wire.read(head) == wire.Head("b'192.0.2.1'", b"Basic eDp5")
    assert wire.read(b"\r\n\r\n") == wire.Head("b''", b"")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", wire.YES),
        (b"HTTP/1.1 401 Unauthorized\r\n\r\n", wire.NO),
        (b"HTTP/1.0 503 Service\r\n\r\n", wire.AWAY),
        (b"HTTP/1.1 200 OK\r\n\r\n", wire.AWAY),
        (b"HTTP/1.1 500 Internal\r\n\r\n", wire.AWAY),
        (b"HTTP/1.1 2040 Strange\r\n\r\n", wire.AWAY),
        (b"HTTP/2 204\r\n\r\n", wire.AWAY),
        (b"204\r\n\r\n", wire.AWAY),
        (b"\r\n\r\n", wire.AWAY),
    ],
)
def test_what_is_no_answer_is_no_yes(said: bytes, code: int) -> None:
    assert wire.status(said) == code


def test_an_answer_is_told_apart_by_its_password() -> None:
    """Without, the front remembers nothing (proxy_no_cache)."""
    assert b"\r\nVary: Authorization\r\n" in wire.answer(wire.YES)
    assert wire.answer(wire.BUSY).startswith(b"HTTP/1.0 403 ")


def test_what_is_asked_is_the_header_itself() -> None:
    assert wire.question(b"Basic eDp5").endswith(b"\r\nAuthorization: Basic eDp5\r\n\r\n")


@pytest.mark.promise("nothing-hides-from-logs")
@pytest.mark.parametrize("said", [b"Basic YTpi\t", b"\tBasic YTpi", b"Basic YTpi \t "])
def test_what_nginx_takes_for_no_login_is_made_none(said: bytes) -> None:
    """nginx strips spaces of a header, and no tabs. With one, the front lets in whom it has no name of: the access log
    has none, and from this host, by the probe's User-Agent, no line at all."""
    head = wire.read(b"GET /check HTTP/1.0\r\nX-Real-IP: 192.0.2.1\r\nAuthorization: " + said + b"\r\n\r\n")
    assert roll.login(head.authorization) is None
