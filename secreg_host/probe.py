"""Is this generation what the world sees? Asked from outside, over fresh TLS connections."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import http.client
import os
import socket
import ssl
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from secreg_host.nginxconf import Listen

IN_A_ROW = 3
"""Old and new workers both answer for a moment after a reload: so many answers in a row must be the new one's."""

TIMEOUT = 5.0
GUARDED = ("/v2/", "/v2/_catalog")
"""Paths that must not be answered without a password."""


@dataclass(frozen=True)
class Expectation:
    """What must answer: the address, the path that only this generation knows, the certificate's SHA-256 (or None)."""

    listen: Listen
    answer_path: str
    fingerprint: str | None
    server_name: str


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
            link.connect(f"/proc/self/fd/{descriptor}")
            return link
        finally:
            os.close(descriptor)

    return connect


def ask(link: socket.socket, path: str, name: str) -> http.client.HTTPResponse:
    """GET `path` over the connected socket `link`; the answer, its body read. `will_close`: it was the last one."""
    link.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: secure-registry-probe\r\n\r\n".encode())
    response = http.client.HTTPResponse(link)
    response.begin()
    response.read()
    return response


def once(want: Expectation, connect: Callable[[Listen], socket.socket] = connect_tcp) -> str:
    """One look, over a fresh connection: "" if it is as expected, else what is not."""
    try:
        with contextlib.ExitStack() as links:
            return _look(_Client(want, connect, links))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"no answer: {error}"


def _look(client: _Client) -> str:
    want = client.want
    status = client.get(want.answer_path)
    if want.listen.tls and want.fingerprint and client.fingerprint != want.fingerprint:
        return "it serves another certificate than docker-registry.crt"
    if status != 204:
        return "the new configuration does not answer"
    for path in GUARDED:
        status = client.get(path)
        if 200 <= status < 300:
            return f"{path} is answered without a password (HTTP {status})"
        if path == "/v2/" and status != 401:
            return f"{path} without a password is answered by HTTP {status}, not 401"
    return ""


@dataclass
class _Client:
    """Asks one address, over one connection as long as the server keeps it. `links` closes what was opened."""

    want: Expectation
    connect: Callable[[Listen], socket.socket]
    links: contextlib.ExitStack
    link: socket.socket | None = None
    fingerprint: str = ""

    def get(self, path: str) -> int:
        """The status of GET `path`."""
        link = self.link or self._connected()
        response = ask(link, path, self.want.server_name)
        self.link = None if response.will_close else link
        return response.status

    def _connected(self) -> socket.socket:
        listen = self.want.listen
        link = self.links.enter_context(self.connect(listen))
        if listen.proxy_protocol and self.connect is connect_tcp:
            link.sendall(b"PROXY UNKNOWN\r\n")
        if listen.tls:
            link = self.links.enter_context(_context().wrap_socket(link, server_hostname=self.want.server_name))
            self.fingerprint = hashlib.sha256(link.getpeercert(binary_form=True) or b"").hexdigest()
        return link


@functools.cache
def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the certificate is compared byte for byte, whoever signed it
    return context


def prove(wants: tuple[Expectation, ...], seconds: float, alive: Callable[[], str]) -> str:
    """Look until every expectation was met `IN_A_ROW` times, at most `seconds`: "" then, else what was wrong last.

    alive: returns what has died, "" while all is well; a death ends the wait.
    """
    deadline = time.monotonic() + seconds
    for want in wants:
        met = 0
        while met < IN_A_ROW:
            wrong = once(want)
            met = 0 if wrong else met + 1
            if wrong:
                if dead := alive():
                    return dead
                if time.monotonic() >= deadline:
                    where = f"[{want.listen.reach}]" if ":" in want.listen.reach else want.listen.reach
                    return f"{where}:{want.listen.port}: {wrong}"
                time.sleep(0.01)
    return ""


def registry_answers(path: Path) -> bool:
    """Whether a registry answers on the unix socket `path`: /v2/ with 200, or 401 if it asks for passwords itself."""
    listen = Listen("", 0, tls=False)
    with contextlib.suppress(OSError, http.client.HTTPException), connect_unix(path)(listen) as link:
        return ask(link, "/v2/", "registry").status in (200, 401)
    return False
