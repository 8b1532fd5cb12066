"""Asking the registry that serves: on its socket, or wherever it runs. One that is being started anew is waited for, a
few seconds: docker gives up at the first refusal of a manifest. One connection to it is kept by each thread."""

from __future__ import annotations

import contextlib
import errno
import http.client
import logging
import socket
import threading
from collections.abc import Iterator

from secreg_host.base import marks, utf8, waiting
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


class Walled(OSError):
    """The sandbox of this process lets it ask on sockets of this host alone: it began when the registry ran here."""


class _OnSocket(http.client.HTTPConnection):
    """A connection to a unix socket, in the place of a host."""

    def __init__(self, path: str) -> None:
        super().__init__("registry", timeout=SECONDS)
        self.path, self.stamp = path, marks.stamp(path)  # first: who listens there after that has another one

    @property
    def leads(self) -> bool:
        """Whether whoever listens at the socket now is who it was made to. (One that ended since is told by asking.)"""
        return self.stamp is not None and self.stamp == marks.stamp(self.path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class _Links(threading.local):
    """kept: the connection by which this thread got its last answer; begun: that by which the registry knows what is
    asked next, but for the manifest."""

    kept: _OnSocket | None = None
    begun: _OnSocket | None = None

    def taken(self, place: str) -> _OnSocket | None:
        """The connection that was kept, if it leads to `place`."""
        link, self.kept = self.kept, None
        if link is None or (place == UNIX + link.path and link.leads):
            return link
        link.close()
        return None

    def keep(self, link: http.client.HTTPConnection) -> bool:
        """Let `link` be taken once more, unless the registry closed it; whether it may be. (What is between here and
        another host may forget it.)"""
        if not isinstance(link, _OnSocket) or link.sock is None:
            return False
        self.kept = link
        return True


_links = _Links()


@contextlib.contextmanager
def begun(asked: Asked) -> Iterator[None]:
    """Within the block the registry may read what is `asked` already, who asks and of what kind it is: all but the
    manifest, which `ask` sends. Where no connection is kept, that sends all."""
    link = _links.taken(asked.behind.registry)
    if link is not None:
        try:
            _say(link, asked, asked.address_of(asked.reference), None)
            _links.begun = link
        except (OSError, http.client.HTTPException):
            link.close()
    try:
        yield
    finally:
        if _links.begun is not None:
            _links.begun.close()
            _links.begun = None


def ask(asked: Asked, reference: str | None = None) -> Answer:
    """What the registry answers to what is `asked`; reference: of another manifest than that one. Raises Walled."""
    return get(asked, asked.address_of(asked.reference if reference is None else reference))


def get(asked: Asked, address: str) -> Answer:
    """The same of `address`, for who is `asked`. Raises Walled."""
    said = ""
    for _ in waiting.looks(AWAY_SECONDS):
        try:
            return _once(asked, address)
        except TimeoutError:
            log.warning(f"the registry does not answer within {SECONDS:.0f} s to {asked.method} {address}")
            return answers.away("the registry behind the front takes too long")
        except (OSError, http.client.HTTPException) as error:
            if getattr(error, "errno", None) == errno.EAFNOSUPPORT:
                raise Walled(errno.EAFNOSUPPORT, f"nothing leads to {asked.behind.registry} from here") from error
            said = str(error) or type(error).__name__
    log.warning(f"the registry does not answer: {said}")
    return answers.away("the registry behind the front does not answer")


def _once(asked: Asked, address: str) -> Answer:
    """Raises OSError, HTTPException."""
    link = _asking(asked, address)
    with contextlib.ExitStack() as unless_kept:
        unless_kept.callback(link.close)
        found = link.getresponse()
        body = found.read(LARGEST)
        if found.isclosed() and _links.keep(link):
            unless_kept.pop_all()
        kept = [(name, utf8.shown(value.encode("latin-1"))) for name, value in found.getheaders()]
        return answers.read(found.status, [one for one in kept if one[0].lower() not in DROPPED], body)


def _asking(asked: Asked, address: str) -> http.client.HTTPConnection:
    """A connection by which all of it was asked. Raises OSError, HTTPException."""
    begun, _links.begun = _links.begun, None
    link = begun or _links.taken(asked.behind.registry) or _connection(asked.behind.registry)
    try:
        if begun is None:
            _say(link, asked, address, asked.body or None)
        else:
            with contextlib.suppress(BrokenPipeError):  # it has answered already, or has gone: that is read
                link.send(asked.body)
    except BaseException:
        link.close()
        raise
    return link


def _say(link: http.client.HTTPConnection, asked: Asked, address: str, body: bytes | None) -> None:
    link.putrequest(asked.method, address, skip_host=True, skip_accept_encoding=True)
    for name, value in asked.headers:
        link.putheader(name, value)
    if asked.body or asked.method == "PUT":
        link.putheader("Content-Length", str(len(asked.body)))
    link.endheaders(body)


def _connection(place: str) -> http.client.HTTPConnection:
    if place.startswith(UNIX):
        return _OnSocket(place.removeprefix(UNIX))
    host, _, port = place.rpartition(":")
    link = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=CONNECT_SECONDS)
    link.connect()
    link.sock.settimeout(SECONDS)
    return link
