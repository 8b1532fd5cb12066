"""Asking the registry that serves: on its socket, or wherever it runs. One that is being started anew is waited for, a
few seconds: docker gives up at the first refusal of a manifest."""

from __future__ import annotations

import contextlib
import http.client
import logging
import socket

from secreg_host.base import utf8, waiting
from secreg_host.generation.behind import UNIX
from secreg_host.push import answers
from secreg_host.push.answers import Answer
from secreg_host.push.asked import HOP, LENGTH, Asked

log = logging.getLogger(__name__)

SECONDS = 240.0
"""How long the registry may take for one manifest; the front waits longer (templates/front/registry.conf.j2)."""

CONNECT_SECONDS = 10.0
AWAY_SECONDS = 5.0
"""How long one that does not answer is tried again."""

LARGEST = 1 << 20
"""Bytes of an answer at the most."""

DROPPED = {*HOP, LENGTH, "date", "server"}


class _OnSocket(http.client.HTTPConnection):
    """A connection to a unix socket, in the place of a host."""

    def __init__(self, path: str) -> None:
        super().__init__("registry", timeout=SECONDS)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(asked: Asked, reference: str | None = None) -> Answer:
    """What the registry answers to what is `asked`; reference: of another manifest than that one."""
    address = asked.address_of(asked.reference if reference is None else reference)
    said = ""
    for _ in waiting.looks(AWAY_SECONDS):
        try:
            return _once(asked, address)
        except TimeoutError:
            log.warning(f"the registry does not answer within {SECONDS:.0f} s to {asked.method} {address}")
            return answers.away("the registry behind the front takes too long")
        except (OSError, http.client.HTTPException) as error:
            said = str(error) or type(error).__name__
    log.warning(f"the registry does not answer: {said}")
    return answers.away("the registry behind the front does not answer")


def _once(asked: Asked, address: str) -> Answer:
    """Raises OSError, HTTPException."""
    with contextlib.closing(_connection(asked.behind.registry)) as link:
        link.putrequest(asked.method, address, skip_host=True, skip_accept_encoding=True)
        for name, value in asked.headers:
            link.putheader(name, value)
        if asked.body or asked.method == "PUT":
            link.putheader("Content-Length", str(len(asked.body)))
        link.endheaders(asked.body or None)
        found = link.getresponse()
        body = found.read(LARGEST)
        kept = [(name, utf8.shown(value.encode("latin-1"))) for name, value in found.getheaders()]
        return answers.read(found.status, [one for one in kept if one[0].lower() not in DROPPED], body)


def _connection(place: str) -> http.client.HTTPConnection:
    if place.startswith(UNIX):
        return _OnSocket(place.removeprefix(UNIX))
    host, _, port = place.rpartition(":")
    link = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=CONNECT_SECONDS)
    link.connect()
    link.sock.settimeout(SECONDS)
    return link
