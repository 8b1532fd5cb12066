"""Connections that are opened and left: there is room for them, they end soon, and nobody waits for that."""

from __future__ import annotations

import base64
import http.client
import resource
import select
import socket
import ssl
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from tests.real.program import Instance

CROWD = 3000
FROM, OTHER = "127.0.0.9", "127.0.0.10"
HELLO = b"\x16"
"""The first byte of a handshake. nginx ends those that send nothing at all when it runs short, but none of these."""

OWN = "include secure-registry/http.conf;\n    client_header_timeout %s;"


@contextmanager
def descriptors(number: int) -> Iterator[None]:
    """This process may have so many open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def crowd(port: int, number: int) -> Iterator[list[socket.socket]]:
    """So many connections from one address that begin and don't go on."""
    with descriptors(number + 1000), ExitStack() as opened:
        found = []
        for _ in range(number):
            link = socket.create_connection(("127.0.0.1", port), 30, (FROM, 0))
            found.append(opened.enter_context(link))
            link.send(HELLO)
        yield found


def left(links: list[socket.socket]) -> int:
    """How many of them the front has not ended."""
    poll = select.poll()
    for link in links:
        poll.register(link, select.POLLIN)
    return len(links) - len(poll.poll(0))


def login(instance: Instance) -> float:
    """Log in over a new connection from another address; how long that took."""
    begun = time.monotonic()
    secret = base64.b64encode(f"docker:{instance.password}".encode()).decode()
    link = http.client.HTTPSConnection(
        "localhost", instance.port, context=instance.context(), timeout=30, source_address=(OTHER, 0)
    )
    link.request("GET", "/v2/", headers={"Authorization": f"Basic {secret}"})
    assert link.getresponse().status == 200
    link.close()
    return time.monotonic() - begun


@pytest.mark.promise("half-open")
def test_a_crowd_that_says_nothing_is_in_nobodys_way(serving: Instance) -> None:
    """As long as nginx.conf, which is edited, says."""
    serving.edit("nginx.conf", OWN.partition("\n")[0], OWN % "60s")
    assert "rejected" not in (said := serving.reload()), said
    with crowd(serving.port, CROWD) as links:
        assert statistics.median(login(serving) for _ in range(9)) < 0.5
        assert left(links) == CROWD


def closed(links: dict[str, socket.socket], seconds: float) -> dict[str, float]:
    """When the front ended each of them, counted from now, if it did so in time; the one that talks goes on, slowly."""
    begun, ended = time.monotonic(), dict[str, float]()
    while len(ended) < len(links) and time.monotonic() - begun < seconds:
        waiting = {link: name for name, link in links.items() if name not in ended}
        for link in select.select(list(waiting), [], [], 0.5)[0]:
            try:
                over = not link.recv(4096)
            except ssl.SSLWantReadError:  # a ticket for another handshake
                over = False
            except OSError:
                over = True
            if over:
                ended[waiting[link]] = time.monotonic() - begun
        with suppress(OSError):
            links["talks"].send(b"a")
    return ended


@pytest.mark.promise("half-open")
def test_what_does_not_go_on_is_ended_after_ten_seconds(serving: Instance) -> None:
    with ExitStack() as opened:
        links: dict[str, socket.socket] = {
            name: opened.enter_context(socket.create_connection(("127.0.0.1", serving.port), 30))
            for name in ("says nothing", "says a byte", "greets", "talks")
        }
        links["says a byte"].send(HELLO)
        for name in ("greets", "talks"):
            links[name] = opened.enter_context(serving.context().wrap_socket(links[name], server_hostname="localhost"))
            links[name].setblocking(False)
        links["talks"].send(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        ended = closed(links, 15)
        assert set(ended) == set(links)
        assert min(ended.values()) > 8 and max(ended.values()) < 12, ended


@pytest.mark.parametrize("where", ["http", "file"])
def test_what_nginx_conf_says_itself_counts(serving: Instance, where: str) -> None:
    """A second line beside the generated one would have it refused."""
    line = OWN % "1s"
    if where == "file":
        serving.write("patience.conf", "client_header_timeout 1s;")
        line = f"{OWN.partition(chr(10))[0]} include patience.conf;"
    serving.edit("nginx.conf", OWN.partition("\n")[0], line)
    assert "rejected" not in (said := serving.reload()), said
    with socket.create_connection(("127.0.0.1", serving.port), 30) as link:
        link.send(HELLO)
        link.settimeout(5)
        assert link.recv(1) == b""


def test_what_a_server_says_itself_counts_beside_it(serving: Instance) -> None:
    serving.edit("nginx.conf", "server {", "server {\n        client_header_timeout 1s;")
    assert "rejected" not in (said := serving.reload()), said
    with socket.create_connection(("127.0.0.1", serving.port), 30) as link:
        link.send(HELLO)
        link.settimeout(5)
        assert link.recv(1) == b""
