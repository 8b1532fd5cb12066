"""A layer whose length does not fit into 31 bits, up and down over TLS. (By docker: tests/booted/test_story.py.)"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

from tests.real.program import Instance

SIZE = 2_200_000_000
PIECE = bytes(1 << 20)


def pieces(seen: hashlib._Hash) -> Iterator[bytes]:
    """What the layer holds, which is told to `seen` on its way."""
    for at in range(0, SIZE, len(PIECE)):
        piece = PIECE[: SIZE - at]
        seen.update(piece)
        yield piece


def test_a_layer_of_more_than_two_gibibytes(serving: Instance) -> None:
    sent, got = hashlib.sha256(), hashlib.sha256()
    begun = serving.ask("/v2/large/blobs/uploads/", "POST", user="docker")
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(SIZE)}
    there = serving.ask(begun.headers["Location"], "PATCH", user="docker", headers=headers, body=pieces(sent))
    assert there.status == 202
    digest = f"sha256:{sent.hexdigest()}"
    assert serving.ask(f"{there.headers['Location']}&digest={digest}", "PUT", user="docker").status == 201

    path, length = f"/v2/large/blobs/{digest}", 0
    login = base64.b64encode(f"docker:{serving.password}".encode()).decode()
    with serving.connection() as link:
        link.request("GET", path, headers={"Authorization": f"Basic {login}"})
        answer = link.getresponse()
        assert answer.headers["Content-Length"] == str(SIZE)
        while piece := answer.read(1 << 20):
            length += len(piece)
            got.update(piece)
    assert (length, got.digest()) == (SIZE, sent.digest())
    part = serving.ask(path, user="docker", headers={"Range": f"bytes={SIZE - 3}-"})
    assert (part.status, part.headers["Content-Range"]) == (206, f"bytes {SIZE - 3}-{SIZE - 1}/{SIZE}")
