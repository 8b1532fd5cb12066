"""Who pushed what, by a log that anybody may have cut."""

from __future__ import annotations

import json
from pathlib import Path

from secreg_host.images import pushers
from tests.stores import digest_of

ONE = digest_of(b"one")


def line(**changed: object) -> bytes:
    said = {"user": "alice", "method": "PUT", "status": 201, "repository": "a", "reference": "1", "digest": ONE}
    return json.dumps(said | changed, separators=(",", ":")).encode() + b"\n"


def test_who_pushed(tmp_path: Path) -> None:
    log = tmp_path / "access.json"
    assert pushers.read(log) == {}
    odd = [b"\xff\n", b'"method":"PUT"\n', b"[1]\n", b'{"method":"PUT"}\n', line(status="201"), line(user=3)]
    refused = [line(user="mallory", status=403), line(user="reader", method="GET"), line(user="", reference="2")]
    last = line(user="bob", reference="2")
    log.write_bytes(b"".join([*odd, line(), *refused, last]) + line(user="cut")[:-3])
    found = pushers.read(log)
    assert pushers.pusher(found, "a", "1", ONE) == "alice"
    assert pushers.pusher(found, "a", "2", ONE) == pushers.pusher(found, "a", "", ONE) == "bob"
    assert pushers.pusher(found, "b", "1", ONE) == pushers.pusher(found, "a", "1", digest_of(b"x")) == ""
