"""Is this generation what the world sees? Asked from outside, over fresh TLS connections."""

from __future__ import annotations

import contextlib
import errno
import functools
import http.client
import json
import logging
import os
import socket
import ssl
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from secreg_host.base import marks, names, waiting
from secreg_host.base.paths import DESCRIPTORS
from secreg_host.formats.listening import Listen
from secreg_host.formats.serverblocks import Door

log = logging.getLogger(__name__)

IN_A_ROW = 3
"""Old and new workers both answer for a moment after a reload: so many answers in a row must be the new one's."""

TIMEOUT = 5.0
GUARDED = ("/v2/", "/v2/_catalog")
"""Paths that must not be answered without a password."""

MOST = 1 << 20
"""Bytes of an answer that are read; what a server of the administrator's sends may have no end."""

THREADS = 16


class Open(str):
    """What is wrong when something is answered without a password: no reason to look again."""


class NoHandshake(str):
    """What is wrong when TLS does not come about."""


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
            link.connect(str(DESCRIPTORS / str(descriptor)))
            return link
        finally:
            os.close(descriptor)

    return connect


@dataclass(frozen=True)
class Answer:
    """An answer: status, the beginning of its body, whether it is the registry's by its headers, and whether the
    connection ends with it."""

    status: int
    body: bytes
    registry: bool
    last: bool


def ask(link: socket.socket, path: str, name: str) -> Answer:
    """What is answered to GET `path` over the connected socket `link`; without a `name` asked as HTTP/1.0 does."""
    head = f"GET {path} HTTP/1.1\r\nHost: {name}\r\n" if name else f"GET {path} HTTP/1.0\r\nConnection: keep-alive\r\n"
    link.sendall(f"{head}User-Agent: secure-registry-probe\r\n\r\n".encode())
    response = http.client.HTTPResponse(link)
    response.begin()
    body = response.read(MOST)
    known = response.getheader("Docker-Distribution-Api-Version") is not None
    return Answer(response.status, body, known, response.will_close or not response.isclosed())


def once(want: Expectation, connect: Callable[[Listen], socket.socket] = connect_tcp) -> str:
    """One look, over a fresh connection: "" if it is as expected, else what is not."""
    try:
        with contextlib.ExitStack() as links:
            return _look(want, _Client(want.listen, want.server_name, connect, links))
    except ssl.SSLError as error:
        return NoHandshake(f"no TLS: {error.reason or error}")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"no answer: {error}"


def _look(want: Expectation, client: _Client) -> str:
    status = client.get(want.answer_path).status
    if want.listen.tls and want.fingerprint and client.fingerprint != want.fingerprint:
        return "it serves another certificate than docker-registry.crt"
    if status != 204:
        return "the new configuration does not answer"
    for path in GUARDED:
        status = client.get(path).status
        if 200 <= status < 300:
            return Open(f"{path} is answered without a password (HTTP {status})")
        if path == "/v2/" and status != 401:
            return f"{path} without a password is answered by HTTP {status}, not 401"
    return ""


def find_open(doors: Iterable[Door], connect: Callable[[Door], Callable[[Listen], socket.socket]]) -> str:
    """The first of `doors` behind which the registry answers without a password, and what it answers; "": none.

    connect: how to connect to the address of a door. A door where nothing answers, or something else than the
    registry, such as pages of the administrator's, is none of ours.
    """
    with ThreadPoolExecutor(THREADS) as pool:  # of servers that are waited for
        found = pool.map(lambda door: _behind(door, connect(door)), doors)
        wrong = next((said for said in found if said), "")
    log.debug("asked behind every door: %s", wrong or "none is open")
    return wrong


def _behind(door: Door, connect: Callable[[Listen], socket.socket]) -> str:
    with contextlib.ExitStack() as links:
        client = _Client(door.listen, door.name, connect, links)
        for path in GUARDED:
            try:
                answer = client.get(path)
            except (OSError, http.client.HTTPException, ValueError):
                client.link = None
                continue
            if 200 <= answer.status < 300 and (answer.registry or _is_catalog(answer.body)):
                where = f"{place(door.listen)}{f' ({door.name})' if door.name else ''}"
                return Open(f"{where}: {path} is answered without a password (HTTP {answer.status})")
    return ""


def _is_catalog(body: bytes) -> bool:
    """Whether `body` is the registry's list of repositories, whoever passed it on."""
    try:
        content = json.loads(body)
    except ValueError:
        return False
    return isinstance(content, dict) and isinstance(content.get("repositories"), list)


@dataclass
class _Client:
    """Asks one address, over one connection as long as the server keeps it. `links` closes what was opened."""

    listen: Listen
    name: str
    connect: Callable[[Listen], socket.socket]
    links: contextlib.ExitStack
    link: socket.socket | None = None
    fingerprint: str = ""

    def get(self, path: str) -> Answer:
        """What is answered to GET `path`."""
        link = self.link or self._connected()
        answer = ask(link, path, self.name)
        self.link = None if answer.last else link
        return answer

    def _connected(self) -> socket.socket:
        link = self.links.enter_context(self.connect(self.listen))
        if self.listen.proxy_protocol and self.connect is connect_tcp:
            link.sendall(b"PROXY UNKNOWN\r\n")
        if self.listen.tls:
            link = self.links.enter_context(_context().wrap_socket(link, server_hostname=self.name or None))
            self.fingerprint = marks.digest(link.getpeercert(binary_form=True) or b"")
        return link


@functools.cache
def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the certificate is compared byte for byte, whoever signed it
    return context


def prove(
    wants: tuple[Expectation, ...],
    doors: tuple[Door, ...],
    seconds: float,
    alive: Callable[[], str],
    *,
    in_a_row: int = IN_A_ROW,
) -> str:
    """Look until every expectation was met `in_a_row` times, at most `seconds`, and then behind all doors: "" if all
    is well, else what was wrong last.

    alive: returns what has died, "" while all is well; a death ends the wait, and so does an open answer.
    """
    deadline = waiting.within(seconds)
    for want in wants:
        for _ in waiting.looks(deadline.left):
            wrong = next(filter(None, (once(want) for _ in range(in_a_row))), "")
            dead = alive() if wrong else ""
            if not wrong or dead or isinstance(wrong, Open):
                break
        log.debug("probe of %s: %s", place(want.listen), wrong or "as expected")
        if wrong:
            return dead or f"{place(want.listen)}: {wrong}"
    return find_open(doors, lambda _: connect_tcp)


def place(listen: Listen) -> str:
    """`listen` as an address and a port to ask."""
    return names.place(listen.reach, listen.port)


def registry_wrong(connect: Callable[[], socket.socket]) -> str:
    """What is wrong with the registry that `connect` leads to; "": it answers /v2/ by 200, or by 401 if it asks for
    passwords itself."""
    try:
        with connect() as link:
            status = ask(link, "/v2/", "registry").status
    except (OSError, http.client.HTTPException, ValueError) as error:
        return getattr(error, "strerror", None) or f"no answer ({error})"
    return "" if status in (200, 401) else f"/v2/ is answered by HTTP {status}"
