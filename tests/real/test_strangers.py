"""Ten thousand requests of somebody without a password, mutated from those of clients: none gets a byte of content."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import ssl
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.real.program import Instance
from tests.real.test_equivalence import ALL, OCI, both, descriptor

EXAMPLES, BATCH = 500, 20
"""Requests are sent in batches: 500 examples of 20 are 10,000."""

MARK = b"content-that-nobody-may-see"


@dataclass
class Stranger:
    """Sends raw requests over one TLS connection, and again over a new one where that was closed."""

    instance: Instance
    link: ssl.SSLSocket | None = None
    statuses: dict[int, int] = field(default_factory=dict)
    connected: int = 0

    def connect(self, address: str) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.instance.port), 10, (address, 0))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.instance.context().wrap_socket(plain, server_hostname="localhost")

    def ask(self, request: bytes) -> bytes:
        """All that comes back. What may be a wrong password comes from an address of its own: the next would wait."""
        if b"uthorization" in request:
            self.close()
            self.connected += 1
        for _ in range(2):
            if self.link is None:
                self.link = self.connect(str(ipaddress.IPv4Address("127.1.0.1") + self.connected))
            try:
                self.link.sendall(request)
                answer = self.read(bodiless=request.startswith(b"HEAD "))
            except OSError:
                answer = b""
            if answer:
                return answer
            self.close()
        return b""

    def read(self, bodiless: bool) -> bytes:
        """One answer up to its end."""
        assert self.link is not None
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.link.recv(65536)
            if not piece:
                self.close()
                return data
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        status = int(head.split(b" ")[1]) if head.startswith(b"HTTP/") else 0
        self.statuses[status] = self.statuses.get(status, 0) + 1
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        ends = int(length[1]) if length else 0 if status in (204, 304) else 1 << 30  # or else when it is closed
        while not bodiless and len(body) < ends and (piece := self.link.recv(65536)):
            body += piece
        if b"Connection: close" in head or ends == 1 << 30:
            self.close()
        return head + b"\r\n\r\n" + body

    def close(self) -> None:
        if self.link is not None:
            self.link.close()
        self.link = None


@dataclass(frozen=True)
class Target:
    paths: tuple[str, ...]


@pytest.fixture(scope="module")
def target(shared: Instance) -> Target:
    with both(shared) as pair:
        blob = pair.blob("secret/app", MARK + os.urandom(8))
        content = {"schemaVersion": 2, "mediaType": OCI, "config": descriptor(blob, len(MARK) + 8, "a/b"), "layers": []}
        manifest = pair.manifest("secret/app", "tag", content | {"annotations": {"a": MARK.decode()}}, OCI)
    bits = (shared.root / "var/lib/secure-registry/state/front.secret").read_text().strip()
    return Target(
        (
            f"/v2/secret/app/blobs/{blob}",
            f"/v2/secret/app/manifests/{manifest}",
            "/v2/secret/app/manifests/tag",
            "/v2/secret/app/tags/list",
            "/v2/_catalog",
            "/v2/",
            "/v2/secret/app/blobs/uploads/",
            f"/_secreg/{bits}/auth",
            f"/_secreg/{bits}/link",
            f"/_secreg/{bits}/wrong",
            f"/_secreg/{bits}/no-link",
        )
    )


INSERTS = (
    "/", "//", "/./", "/../", "%2f", "%2e%2e", "%00", "%0d%0a", "?", "#", ";", "\\", ":", "@", "..", "~", "v2/", "%",
    "%25", "/v1/_ping/..", "/ca.crt/../", "/_secreg/", "é", " ", "\t", "*",
)  # fmt: skip
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "G ET", "PRI", "")
PASSWORDS = (
    "Authorization:", "Authorization: Basic", "Authorization: Basic ", "Authorization: Basic Og==",
    "Authorization: Basic !",
    "authorization: basic ZG9ja2VyOg==", "Authorization: Bearer x", "Authorization: Negotiate x",
    "Authorization : Basic x", "Authorization: Basic ZG9ja2VyOmRvY2tlcg==\r\nAuthorization: Basic Og==",
)  # fmt: skip
HEADERS = (
    f"Accept: {ALL}", "Range: bytes=0-", "TE: x", "X-Original-URL: /v2/_catalog", "X-Rewrite-URL: /v2/",
    "X-Forwarded-For: 127.0.0.1", "X-Forwarded-User: docker", "X-Real-IP: 127.0.0.1", "X-Accel-Redirect: /v2/",
    "X-HTTP-Method-Override: GET", "Host: auth", "Host: secreg_registry", "Upgrade: websocket\r\nConnection: upgrade",
    "Connection: x", "Transfer-Encoding: chunked", "Expect: x", "Content-Length: 0", "Content-Length: -1",
    "Content-Length: 5", "Cookie: a=b", "If-None-Match: *", "Connection: close",
)  # fmt: skip


@st.composite
def requests(draw: st.DrawFn, paths: tuple[str, ...]) -> bytes:
    """A request line and headers near to those that a client with a password sends."""
    path = draw(st.sampled_from(paths))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(path)))
        cut = draw(st.integers(0, 3))
        path = path[:at] + draw(st.sampled_from(INSERTS)) + path[at + cut :]
    if draw(st.integers(0, 9)) == 0:
        path = "".join(
            f"%{ord(letter):02x}" if draw(st.booleans()) and ord(letter) < 128 else letter for letter in path
        )
    prefix = draw(st.sampled_from(("", "", "", "", "https://localhost", "http://secreg_registry", "https://auth")))
    method = draw(st.sampled_from(("GET",) * 12 + METHODS))
    version = draw(st.sampled_from(("HTTP/1.1",) * 12 + ("HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "")))
    host = draw(st.sampled_from(("Host: localhost",) * 8 + ("Host:", "Host: auth", "X: y")))
    headers = draw(st.lists(st.sampled_from(HEADERS), max_size=2))
    if draw(st.integers(0, 7)) == 0:
        headers.append(draw(st.sampled_from(PASSWORDS)))
    return "\r\n".join([f"{method} {prefix}{path} {version}", host, *headers, "", ""]).encode()


def public(answer: bytes) -> bool:
    """Whether an answer says nothing but what everybody may know."""
    return re.match(rb"HTTP/1.1 200 ", answer) is None or any(
        text in answer for text in (b"BEGIN CERTIFICATE", b"\r\n\r\ntrue")
    )


@pytest.mark.promise("no-password-no-content")
def test_no_byte_of_content_without_a_password(shared: Instance, target: Target) -> None:
    stranger = Stranger(shared)
    assert MARK in shared.ask(target.paths[0], user="docker").body  # it is there

    @settings(
        max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.lists(requests(target.paths), min_size=BATCH, max_size=BATCH))
    def storm(batch: list[bytes]) -> None:
        for request in batch:
            answer = stranger.ask(request)
            assert MARK not in answer, (request, answer)
            assert public(answer), (request, answer)

    storm()
    stranger.close()
    assert sum(stranger.statuses.values()) > EXAMPLES * BATCH * 0.8, stranger.statuses
    assert stranger.statuses.get(401, 0) > EXAMPLES, stranger.statuses
