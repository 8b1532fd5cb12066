"""Is this generation what the world sees? Asked from outside, over fresh TLS connections."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from secreg_host.apply.asking import TIMEOUT, Client, Request, ask, connect_tcp, connect_unix
from secreg_host.base import names, waiting
from secreg_host.formats.listening import Listen
from secreg_host.formats.serverblocks import Door

log = logging.getLogger(__name__)

IN_A_ROW = 3
"""Old and new workers both answer for a moment after a reload: so many answers in a row must be the new one's."""

GUARDED = ("/v2/", "/v2/_catalog")
"""Paths that must not be answered without a password."""

THREADS = 16

REFUSALS = (400, 401, 403, 444, 495, 496)
"""What nginx answers to those whom it does not want, before any password; 444 is its own number for no answer."""

ANOTHER_CERTIFICATE = "it serves another certificate than docker-registry.crt"


class Open(str):
    """What is wrong when something is answered without a password: no reason to look again."""


class NoHandshake(str):
    """What is wrong when TLS does not come about."""


@dataclass(frozen=True)
class Expectation:
    """What must answer: the address, the path that only this generation knows, the certificate's SHA-256 (or None), and
    by which name; inside: where nginx.conf may keep this host itself out (client certificates, allow, deny) or limits
    how much it may ask, the front's socket that answers all the same; limited: whether it does that."""

    listen: Listen
    answer_path: str
    fingerprint: str | None
    server_name: str
    inside: Path | None = None
    limited: bool = False

    def refuses(self, status: int) -> bool:
        """Whether `status` may be what nginx.conf has for those whom it does not want; for those who asked too much, it
        may be any error but 404, by which another generation is known."""
        beyond = self.limited and status >= http.client.BAD_REQUEST and status != http.client.NOT_FOUND
        return status in REFUSALS or beyond


class Refused(str):
    """What is answered to this host as if it were a stranger."""


def once(want: Expectation, connect: Callable[[Listen], socket.socket] = connect_tcp) -> str:
    """One look, over a fresh connection: "" if it is as expected, else what is not.

    Whom nginx.conf keeps out at the public address, sees there the certificate and that it is closed, and all else
    inside.
    """
    try:
        with contextlib.ExitStack() as links:
            client = Client(want.listen, want.server_name, connect, links)
            if not presents(want, client):
                return ANOTHER_CERTIFICATE
            wrong = _look(want, client)
            if isinstance(wrong, Refused) and want.inside:
                wrong = _look(want, entered(want.inside, want.server_name, links))
            return wrong
    except ssl.SSLError as error:
        return NoHandshake(f"no TLS: {error.reason or error}")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"no answer: {error}"


def presents(want: Expectation, client: Client) -> bool:
    """Whether `client`, which connects, is shown the certificate that it is to be."""
    client.reach()
    return not (want.listen.tls and want.fingerprint) or client.fingerprint == want.fingerprint


def entered(inside: Path, name: str, links: contextlib.ExitStack, seconds: float = TIMEOUT) -> Client:
    """A client of the socket `inside`, one of ours."""
    return Client(Listen("", 0, tls=False), name, connect_unix(inside), links, seconds=seconds)


def _look(want: Expectation, client: Client) -> str:
    status = client.status(want.answer_path)
    refused = "the new configuration does not answer" if status != 204 else ""
    if refused and not want.refuses(status):
        return refused
    for path in GUARDED:
        status = client.status(path)
        if 200 <= status < 300:
            return Open(f"{path} is answered without a password (HTTP {status})")
        if path == "/v2/" and status != 401:
            said = f"{path} without a password is answered by HTTP {status}, not 401"
            if not want.refuses(status):
                return said
            refused = refused or said
    return Refused(refused) if refused else ""


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
        client = Client(door.listen, door.name, connect, links)
        for path in GUARDED:
            try:
                answer = client.ask(Request(path))
            except (OSError, http.client.HTTPException, ValueError):
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
            status = ask(link, Request("/v2/"), "registry").status
    except (OSError, http.client.HTTPException, ValueError) as error:
        return getattr(error, "strerror", None) or f"no answer ({error})"
    return "" if status in (200, 401) else f"/v2/ is answered by HTTP {status}"
