"""Runs on the host: clients over fresh and kept connections until its input ends; prints each request that went wrong.

Two ask for the catalog, two push and pull images of random bytes and check every one, one of these slowly. A failure
is a line of JSON: when its work began and ended (seconds since the epoch), and what. The last line is the number of
requests. Bounded: to localhost, for half an hour at the most.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator

DEADLINE = time.monotonic() + 1800
LOST = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError, ssl.SSLEOFError)
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
ended = threading.Event()
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE


class Wrong(Exception):
    """An answer other than it should be."""


class Client:
    """One client with one connection at a time, and what it counted."""

    def __init__(self, secret: str, keep: bool) -> None:
        self.headers = {"Authorization": f"Basic {secret}"}
        self.keep = keep
        self.link: http.client.HTTPSConnection | None = None
        self.requests = 0

    def ask(
        self, method: str, path: str, want: int, body: Callable[[], Iterator[bytes]] | bytes | None = None, **more: str
    ) -> tuple[bytes, http.client.HTTPResponse]:
        """One request. A kept connection may be closed between two of them (RFC 9112, 9.6): then once more, anew."""
        if self.link is None or not self.keep:
            self.close()
            return self._once(method, path, want, body, more)
        try:
            return self._once(method, path, want, body, more)
        except LOST:
            self.close()
            return self._once(method, path, want, body, more)

    def _once(
        self,
        method: str,
        path: str,
        want: int,
        body: Callable[[], Iterator[bytes]] | bytes | None,
        more: dict[str, str],
    ) -> tuple[bytes, http.client.HTTPResponse]:
        if self.link is None:
            self.link = http.client.HTTPSConnection("localhost", context=context, timeout=60)
        headers = self.headers | {name.replace("_", "-"): value for name, value in more.items()}
        self.link.request(method, path, body=body() if callable(body) else body, headers=headers)
        answer = self.link.getresponse()
        content = answer.read()
        self.requests += 1
        if answer.getheader("Connection") == "close":
            self.close()
        if answer.status != want:
            raise Wrong(f"{method} {path.partition('?')[0]}: HTTP {answer.status}, not {want}: {content[:120]!r}")
        return content, answer

    def close(self) -> None:
        if self.link is not None:
            self.link.close()
        self.link = None

    def catalog(self) -> None:
        self.ask("GET", "/v2/_catalog", 200)

    def upload(self, repository: str, content: bytes, slowly: bool) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        place = self.ask("POST", f"/v2/{repository}/blobs/uploads/", 202)[1].getheader("Location") or ""

        def pieces() -> Iterator[bytes]:
            size = len(content) // 16 + 1
            for start in range(0, len(content), size):
                yield content[start : start + size]
                time.sleep(0.2)

        body = pieces if slowly else content
        answer = self.ask("PATCH", place, 202, body, Content_Type="application/octet-stream")[1]
        place = answer.getheader("Location") or ""
        self.ask("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", 201, b"")
        return digest

    def image(self, repository: str, slowly: bool) -> None:
        """Push an image of one layer and its configuration, pull it by its tag, and compare every byte."""
        layer, config = os.urandom(200_000), os.urandom(300)
        parts = [(config, self.upload(repository, config, False)), (layer, self.upload(repository, layer, slowly))]
        described = [{"mediaType": "x/y", "size": len(content), "digest": digest} for content, digest in parts]
        manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}
        ).encode()
        self.ask("PUT", f"/v2/{repository}/manifests/latest", 201, manifest, Content_Type=MANIFEST)
        pulled = self.ask("GET", f"/v2/{repository}/manifests/latest", 200, Accept=MANIFEST)[0]
        if pulled != manifest:
            raise Wrong(f"{repository}: another manifest")
        for content, digest in parts:
            if self.ask("GET", f"/v2/{repository}/blobs/{digest}", 200)[0] != content:
                raise Wrong(f"{repository}: another blob {digest}")


def work(client: Client, task: Callable[[], None]) -> None:
    """Do `task` again and again."""
    while not ended.is_set() and time.monotonic() < DEADLINE:
        began = time.time()
        try:
            task()
        except (OSError, http.client.HTTPException, Wrong) as error:
            sys.stdout.write(f"{json.dumps([began, time.time(), repr(error)])}\n")  # print writes the end by itself
            sys.stdout.flush()
            client.close()
        time.sleep(0.005)


def main() -> None:
    secret = base64.b64encode(f"docker:{sys.stdin.readline().strip()}".encode()).decode()
    clients = [Client(secret, keep) for keep in (True, False, True, False)]
    tasks: list[Callable[[], None]] = [
        clients[0].catalog,
        clients[1].catalog,
        lambda: clients[2].image("load/slow", True),
        lambda: clients[3].image("load/quick", False),
    ]
    threads = [threading.Thread(target=work, args=pair) for pair in zip(clients, tasks, strict=True)]
    for thread in threads:
        thread.start()
    print("asking", flush=True)
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    print(sum(client.requests for client in clients))


main()
