"""Those who open connections and never ask: so many at a time, opened at a bounded rate, and opened anew when closed.

A program of bench.crowd: `port`, `source`, `count`, `rate` (a second), `kind`. Destinations are several addresses of
this machine, so that ports do not run out.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from dataclasses import dataclass, field

from bench import crowd, load

DESTINATIONS = tuple(f"127.0.0.{number}" for number in range(1, 9))
HELLO, HEADER = "hello", "header"
"""Kinds: the first byte of a TLS hello; or a handshake, and half the header of a request."""

FIRST_BYTE = b"\x16"
HALF = b"GET /v2/ HTTP/1.1\r\nHost: "
BURST = 0.02
"""How much of what was not opened in time, in seconds, is made up for at once."""

SECONDS = 5.0
"""How long a handshake may take."""


def due(rate: float, seconds: float, room: int) -> int:
    """How many to open after a pause of `seconds`, where there is `room` for so many."""
    return max(0, min(room, round(rate * min(seconds, BURST))))


@dataclass
class Holders:
    """All of them. opened: how many so far; lost: how many were closed by the other side."""

    port: int
    source: str
    kind: str
    opened: int = 0
    lost: int = 0
    held: dict[int, socket.socket] = field(default_factory=dict)
    begun: dict[int, socket.socket] = field(default_factory=dict)
    epoll: select.epoll = field(default_factory=select.epoll)

    def open(self) -> None:
        """One more."""
        plain = crowd.plain_socket(self.source)
        place = (DESTINATIONS[self.opened % len(DESTINATIONS)], self.port)
        self.opened += 1
        if self.kind == HELLO:
            plain.settimeout(0)
            plain.connect_ex(place)
            self.begun[plain.fileno()] = plain
            self.epoll.register(plain, select.EPOLLOUT | select.EPOLLRDHUP)
            return
        plain.settimeout(SECONDS)
        link: socket.socket = plain
        try:
            plain.connect(place)
            link = load.context().wrap_socket(plain)
            link.sendall(HALF)
        except (OSError, ssl.SSLError):
            link.close()
            self.lost += 1
            return
        self.held[link.fileno()] = link
        self.epoll.register(link, select.EPOLLRDHUP)

    def look(self) -> None:
        """Say the first byte where a connection was made, let go what was closed."""
        for number, what in self.epoll.poll(0.001, 4096):
            if what & (select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR):
                self._let_go(number)
            elif link := self.begun.pop(number, None):
                link.send(FIRST_BYTE)
                self.held[number] = link
                self.epoll.modify(number, select.EPOLLRDHUP)

    def _let_go(self, number: int) -> None:
        self.epoll.unregister(number)
        (self.held.pop(number, None) or self.begun.pop(number)).close()
        self.lost += 1


def _run(port: int, source: str, count: int, rate: float, kind: str) -> None:
    crowd.let_open(count + 1000)
    holders = Holders(port, source, kind)
    last = said = time.monotonic()
    while True:
        now = time.monotonic()
        if number := due(rate, now - last, count - len(holders.held) - len(holders.begun)):
            for _ in range(number):
                holders.open()
        if number or now - last > BURST:
            last = now
        holders.look()
        if now - said > crowd.EVERY:
            crowd.say(held=len(holders.held), opened=holders.opened, lost=holders.lost)
            said = now


if __name__ == "__main__":
    _run(**crowd.told())
