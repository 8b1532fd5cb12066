"""Asking as a client does: connections to an address or a socket, TLS, and one request after the other."""

from __future__ import annotations

import base64
import contextlib
import errno
import functools
import http.client
import os
import socket
import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from secreg_host.base import marks, utf8
from secreg_host.base.paths import DESCRIPTORS
from secreg_host.formats.listening import Listen

TIMEOUT = 5.0
MOST = 1 << 20
"""Bytes of an answer that are read; what a server of the administrator's sends may have no end."""

AGENT = "secure-registry-probe"
"""By what nginx knows what not to log (templates/front/http.conf.j2)."""

CUT = 444
"""In the place of a status: the connection was ended without an answer (nginx's own number for that)."""


def connect_tcp(listen: Listen) -> socket.socket:
    """A TCP connection to `listen` as this host itself reaches it."""
    return socket.create_connection((listen.reach, listen.port), TIMEOUT)


def connect_unix(path: Path) -> Callable[[Listen], socket.socket]:
    """Connections to the unix socket `path` in place of an address."""

    def connect(_: Listen) -> socket.socket:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:  # of the socket itself: who owns its directory may put a link there, and we are root
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK), str(path))
            link = socket.socket(socket.AF_UNIX)
            link.settimeout(TIMEOUT)
            link.connect(str(DESCRIPTORS / str(descriptor)))
            return link
        finally:
            os.close(descriptor)

    return connect


def opened(listen: Listen, connect: Callable[[Listen], socket.socket] = connect_tcp) -> socket.socket:
    """A connection to `listen`, over which TLS can begin."""
    link = connect(listen)
    if listen.proxy_protocol and connect is connect_tcp:
        link.sendall(b"PROXY UNKNOWN\r\n")
    return link


@dataclass(frozen=True)
class Request:
    """What is asked: a path, a method, a user's password for HTTP's Basic scheme (`USER:PASSWORD`), a body; for which
    client, where we ask as the front does ("": our own); and the word by which the front knows our own probe, which
    nobody else is to learn."""

    path: str
    method: str = "GET"
    login: str = ""
    body: bytes | None = None
    client: str = ""
    word: str = ""

    def head(self, name: str) -> bytes:
        """Its head, for the host `name`; without one as HTTP/1.0 has it."""
        known = f"HTTP/1.1\r\nHost: {name}" if name else "HTTP/1.0\r\nConnection: keep-alive"
        lines = [f"{self.method} {self.path} {known}", f"User-Agent: {AGENT}"]
        if self.client:
            lines.append(f"X-Real-IP: {self.client}")
        if self.login:
            lines.append(f"Authorization: Basic {utf8.shown(base64.b64encode(self.login.encode()))}")
        if self.word:
            lines.append(f"X-Secreg-Probe: {self.word}")
        if self.body is not None:
            lines.append(f"Content-Length: {len(self.body)}")
            lines.append("Content-Type: application/octet-stream")
        elif self.method != "GET":
            lines.append("Content-Length: 0")
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


@dataclass(frozen=True)
class Answer:
    """An answer: status, the beginning of its body, whether it is the registry's by its headers, whether the connection
    ends with it, and the address that it names. What is to be asked again (Retry-After) is the front's own answer."""

    status: int
    body: bytes
    registry: bool
    last: bool
    location: str = ""


def ask(link: socket.socket, request: Request, name: str) -> Answer:
    """What is answered to `request` over the connected socket `link`; without a `name` asked as HTTP/1.0 does."""
    link.sendall(request.head(name) + (request.body or b""))
    response = http.client.HTTPResponse(link, method=request.method)
    response.begin()
    body = response.read(MOST)
    known = response.getheader("Docker-Distribution-Api-Version") is not None and not response.getheader("Retry-After")
    last = response.will_close or not response.isclosed()
    return Answer(response.status, body, known, last, response.getheader("Location", ""))


@dataclass
class Client:
    """Asks one address, over one connection as long as the server keeps it. `links` closes what was opened; seconds:
    how long each answer is waited for."""

    listen: Listen
    name: str
    connect: Callable[[Listen], socket.socket]
    links: contextlib.ExitStack
    link: socket.socket | None = None
    fingerprint: str = ""
    seconds: float = TIMEOUT

    def ask(self, request: Request) -> Answer:
        """What is answered to `request`. Raises OSError, HTTPException or ValueError when it is nothing."""
        link = self.reach()
        self.link = None
        answer = ask(link, request, self.name)
        if not answer.last:
            self.link = link
        return answer

    def status(self, path: str) -> int:
        """The status of the answer to GET `path`."""
        try:
            return self.ask(Request(path)).status
        except ConnectionResetError:
            if not self.fingerprint and self.listen.tls:
                raise
            return CUT

    def reach(self) -> socket.socket:
        """The connection, which is made if there is none."""
        if self.link is None:
            link = self.links.enter_context(opened(self.listen, self.connect))
            if self.listen.tls:
                link = self.links.enter_context(_context().wrap_socket(link, server_hostname=self.name or None))
                self.fingerprint = marks.digest(link.getpeercert(binary_form=True) or b"")
            link.settimeout(self.seconds)
            self.link = link
        return self.link


@functools.cache
def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the certificate is compared byte for byte, whoever signed it
    return context
