"""What the front and the password check say to each other, as far as a place in the queue depends on it: HTTP/1
(RFC 9112), one question a connection. Both are our own nginx, by templates of ours; still, what is not understood is
no yes."""

from __future__ import annotations

import re
from typing import NamedTuple

END = b"\r\n\r\n"
LARGEST = 64 * 1024
"""Bytes of a question's head at the most: more than nginx takes of a client's (large_client_header_buffers)."""

YES, NO, BUSY, AWAY = 204, 401, 403, 503
"""Let in; refused; no place for it, as the front says it of one client; the check can't be asked."""

REASONS = {YES: "No Content", NO: "Unauthorized", BUSY: "Forbidden", AWAY: "Service Unavailable"}
ANSWERED = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")


class Head(NamedTuple):
    """What a question of the front's says: the client that it is of, and its Authorization header."""

    client: str
    authorization: bytes


def read(head: bytes) -> Head:
    """The question in the head of a request."""
    fields = {}
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        fields[name.lower()] = value.strip(b" ")  # as nginx does: what it has no user's name of must have none here
    return Head(repr(fields.get(b"x-real-ip", b"")), fields.get(b"authorization", b""))


def question(authorization: bytes) -> bytes:
    """What asks the password check."""
    return b"GET /check HTTP/1.0\r\nHost: auth\r\nAuthorization: " + authorization + END


def status(answer: bytes) -> int:
    """What the password check answered; `AWAY` for what is no answer of its."""
    found = ANSWERED.match(answer)
    return int(found[1]) if found and int(found[1]) in REASONS else AWAY


def answer(code: int) -> bytes:
    """What the front is told. Vary: the answer is for this password alone, by which the front keeps it apart."""
    return f"HTTP/1.0 {code} {REASONS[code]}\r\nVary: Authorization\r\nContent-Length: 0\r\n\r\n".encode()
