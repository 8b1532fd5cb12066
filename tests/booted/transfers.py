"""Runs on the host, beside load.py: an upload of user docker, and an upload and a download of user alice, that end only
when /root/finish is there.

Its input are their passwords, a line each; alice is removed meanwhile. Prints `begun` when all are under way, and at
the end `whole` for each that came through: of her upload, the request that was under way; what follows is refused.
"""

from __future__ import annotations

import base64
import hashlib
import os
import pathlib
import sys
import threading
import time
from collections.abc import Iterator

sys.path.insert(0, "/root")
import load

FINISH = pathlib.Path("/root/finish")
SIZE = 8_000_000


def waited(pieces: list[bytes], begun: threading.Event) -> Iterator[bytes]:
    """The pieces: the first half at once, the others when it is time."""
    for number, piece in enumerate(pieces):
        if number == len(pieces) // 2:
            begun.set()
            while not FINISH.exists():
                time.sleep(0.05)
        yield piece


def upload(client: load.Client, begun: threading.Event, removed: bool) -> None:
    content = os.urandom(SIZE)
    place = client.ask("POST", "/v2/transfers/up/blobs/uploads/", 202)[1].getheader("Location") or ""
    pieces = [content[start : start + SIZE // 80] for start in range(0, SIZE, SIZE // 80)]
    headers = client.headers | {"Content-Type": "application/octet-stream", "Content-Length": str(SIZE)}
    link, _ = client.connection()
    link.request("PATCH", place, body=waited(pieces, begun), headers=headers)
    answer = link.getresponse()
    answer.read()
    assert answer.status == 202, answer.status
    place = answer.getheader("Location") or ""
    digest = hashlib.sha256(content).hexdigest()
    client.ask("PUT", f"{place}{'&' if '?' in place else '?'}digest=sha256:{digest}", 401 if removed else 201, b"")
    assert removed or client.ask("GET", f"/v2/transfers/up/blobs/sha256:{digest}", 200)[0] == content
    os.write(1, b"whole\n")  # whole: the other may say so at the same time


def download(client: load.Client, quick: load.Client, begun: threading.Event) -> None:
    content = os.urandom(SIZE)
    digest = quick.upload("transfers/down", content, False)
    link, _ = client.connection()
    link.request("GET", f"/v2/transfers/down/blobs/{digest}", headers=client.headers)
    answer = link.getresponse()
    got = answer.read(SIZE // 4)
    begun.set()
    while not FINISH.exists():
        time.sleep(0.05)
    assert got + answer.read() == content
    os.write(1, b"whole\n")  # whole: the other may say so at the same time


def main() -> None:
    docker, alice = (
        base64.b64encode(f"{name}:{sys.stdin.readline().strip()}".encode()).decode() for name in ("docker", "alice")
    )
    begun = [threading.Event() for _ in range(3)]
    slow, quick = load.Client(alice, keep=True, window=20_000), load.Client(docker, False)
    threads = [
        threading.Thread(target=upload, args=(load.Client(docker, keep=True), begun[0], False)),
        threading.Thread(target=upload, args=(load.Client(alice, keep=True), begun[1], True)),
        threading.Thread(target=download, args=(slow, quick, begun[2])),
    ]
    for thread in threads:
        thread.start()
    for event in begun:
        event.wait(60)
    print("begun", flush=True)
    for thread in threads:
        thread.join()


main()
