"""Who holds a port, while our nginx comes and goes. Its moments are forced; all else is tested on hosts."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from secreg_host.apply import strangers
from secreg_host.formats.nginxconf import Listen
from secreg_host.host import ports


class Moments:
    """nginx that becomes another process each time it is looked at: its children, which is what it is there."""

    def __init__(self, *seen: set[int]) -> None:
        self.seen = list(seen)

    def pids(self, _: str) -> set[int]:
        return self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Any:
    with socket.create_server(("127.0.0.1", 0)) as server:
        holders: list[int | None] = []
        monkeypatch.setattr(ports, "holder", lambda _: holders.pop(0) if len(holders) > 1 else holders[0])
        yield Listen("127.0.0.1", server.getsockname()[1], tls=True), holders


def test_nginx_that_just_starts_is_no_stranger(listening: Any) -> None:
    """It binds its ports, then goes on as another process (daemon(3)): seen at a boot, as `used by nginx`."""
    listen, holders = listening
    holders += [177, 178]
    services: Any = Moments({177, 178}, {178})
    assert strangers._stranger(services, listen, set()) == ""
    holders[:] = [177, 178, 178]
    services = Moments({178})
    assert strangers._stranger(services, listen, set()) == ""


def test_a_stranger_is_named_even_if_it_can_not_be_seen(listening: Any) -> None:
    listen, holders = listening
    holders += [177, None]
    services: Any = Moments({178})
    assert strangers._stranger(services, listen, set()) == "another process"
    holders[:] = [1]
    assert "(process 1" in strangers._stranger(services, listen, set())
