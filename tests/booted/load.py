"""Runs on the host: clients over fresh and kept connections until its input ends; prints each request that went wrong.

Two ask for the catalog, two push and pull images of random bytes and check every one, one of these slowly, one pulls a
layer slowly, and one watches which version of each file serves. A failure is a line of JSON: when its work began and
ended (seconds since the epoch), and what. The last line is an object: `requests`; `again`, how often a kept
connection had been closed and its request was sent once more; `seen`, the versions. Bounded: to localhost, for an hour.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator

DEADLINE = time.monotonic() + 3600
LOST = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError, ssl.SSLEOFError)
LAYER = 4_000_000
"""Bytes of the layer that is pulled slowly: more than nginx and the kernel hold for a client that does not read."""

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
ended = threading.Event()
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE


class Wrong(Exception):
    """An answer other than it should be."""


class Client:
    """One client with one connection at a time, and what it counted."""

    def __init__(self, secret: str, keep: bool, window: int = 0) -> None:
        self.headers = {"Authorization": f"Basic {secret}"}
        self.keep = keep
        self.window = window
        self.link: http.client.HTTPSConnection | None = None
        self.requests = self.again = 0

    def connection(self) -> tuple[http.client.HTTPSConnection, bool]:
        """A connection, and whether it was used before; one that the other side has closed is left."""
        if self.link and self.link.sock and self.keep and not select.select([self.link.sock], [], [], 0)[0]:
            return self.link, True
        self.close()
        self.link = http.client.HTTPSConnection("localhost", context=context, timeout=60)
        if self.window:  # so small that what is not read yet stays with the other side
            plain = socket.socket()
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.window)
            plain.settimeout(60)
            plain.connect(("127.0.0.1", 443))
            self.link.sock = context.wrap_socket(plain, server_hostname="localhost")
        return self.link, False

    def ask(
        self, method: str, path: str, want: int, body: Callable[[], Iterator[bytes]] | bytes | None = None, **more: str
    ) -> tuple[bytes, http.client.HTTPResponse]:
        """One request. A kept connection may be closed as it begins (RFC 9112, 9.6): then once more, anew."""
        sent = 0

        def counted() -> Iterator[bytes]:
            nonlocal sent
            for piece in body() if callable(body) else ():
                yield piece
                sent += 1

        link, used = self.connection()
        try:
            return self._once(link, method, path, want, counted() if callable(body) else body, more)
        except LOST:
            if not used or sent > 1:  # the second piece fails when the first came too late
                raise
        self.close()
        self.again += 1
        return self._once(self.connection()[0], method, path, want, body() if callable(body) else body, more)

    def _once(
        self,
        link: http.client.HTTPSConnection,
        method: str,
        path: str,
        want: int,
        body: Iterator[bytes] | bytes | None,
        more: dict[str, str],
    ) -> tuple[bytes, http.client.HTTPResponse]:
        headers = self.headers | {name.replace("_", "-"): value for name, value in more.items()}
        link.request(method, path, body=body, headers=headers)
        answer = link.getresponse()
        content = b"".join(self.read(answer))
        self.requests += 1
        if answer.getheader("Connection") == "close":
            self.close()
        if answer.status != want:
            raise Wrong(f"{method} {path.partition('?')[0]}: HTTP {answer.status}, not {want}: {content[:120]!r}")
        return content, answer

    def read(self, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        """What `answer` holds; in pieces, slowly, if the window is small. Raises IncompleteRead when it is cut."""
        while self.window and (piece := answer.read(LAYER // 40)):
            yield piece
            time.sleep(0.1)
        rest = answer.read()
        if answer.length:
            raise http.client.IncompleteRead(rest, answer.length)
        yield rest

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


class Pull:
    """A layer that is pulled again and again, 4 seconds each time."""

    def __init__(self, client: Client, quick: Client) -> None:
        self.client, self.content = client, os.urandom(LAYER)
        self.digest = quick.upload("load/pulled", self.content, False)

    def __call__(self) -> None:
        if self.client.ask("GET", f"/v2/load/pulled/blobs/{self.digest}", 200)[0] != self.content:
            raise Wrong("another blob, pulled slowly")


class Watch:
    """Which version of each file serves, as a client sees it; each once, in the order in which they came."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.seen: dict[str, list[str]] = {"certificate": [], "nginx.conf": [], "docker-registry.yml": []}

    def __call__(self) -> None:
        link, _ = self.client.connection()
        link.connect()
        assert isinstance(link.sock, ssl.SSLSocket)
        certificate = hashlib.sha256(link.sock.getpeercert(binary_form=True) or b"").hexdigest()
        link.request("GET", "/chaos")
        answer = link.getresponse()
        version = answer.read().decode() if answer.status == 200 else ""
        headers = self.client.ask("GET", "/v2/", 200)[1].headers
        found = {"certificate": certificate, "nginx.conf": version, "docker-registry.yml": headers.get("X-Chaos", "")}
        for name, value in found.items():
            if value not in self.seen[name]:
                self.seen[name].append(value)


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
    clients = [Client(secret, keep) for keep in (True, False, True, False, False)]
    clients.append(Client(secret, True, window=20_000))
    watch = Watch(clients[4])
    tasks: list[Callable[[], None]] = [
        clients[0].catalog,
        clients[1].catalog,
        lambda: clients[2].image("load/slow", True),
        lambda: clients[3].image("load/quick", False),
        watch,
        Pull(clients[5], clients[3]),
    ]
    threads = [threading.Thread(target=work, args=pair) for pair in zip(clients, tasks, strict=True)]
    for thread in threads:
        thread.start()
    print("asking", flush=True)
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    counts = {name: sum(getattr(client, name) for client in clients) for name in ("requests", "again")}
    print(json.dumps({**counts, "seen": watch.seen}))


if __name__ == "__main__":
    main()
