"""An instance that systemd runs asks it over one connection."""

from __future__ import annotations

from typing import Any

import pytest

from secreg_host.apply.report import Finding
from secreg_host.base.errors import Later, Note, Problem
from secreg_host.clients import trust
from secreg_host.clients.docker import dockerd
from secreg_host.command.instance import ByUnits
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host
from secreg_host.services import unitservices
from secreg_host.wanted.parts.part import Parts


def test_clients_follow_by_the_connection_of_the_apply(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    connections: list[object] = []
    asked: list[object] = []

    class Trust:
        def __init__(self, _: Host, served: Generation, manager: object) -> None:
            assert served.slot == "a"
            asked.append(manager)

        def follow(self, patience: dockerd.Patience) -> tuple[Any, ...]:
            assert not patience.endless
            patience.meanwhile()
            return (Note("a", "b"), Later("c", "d", "e"))

    monkeypatch.setattr(unitservices, "Systemd", lambda: connections.append(object()) or connections[-1])
    monkeypatch.setattr(trust, "Trust", Trust)
    one = ByUnits(host)
    looked: list[int] = []
    found = one.follow(Generation(Parts(), "a", {}), lambda: looked.append(1))
    assert found == (
        Finding("warning", "trust", Problem("a", "b")),
        Finding("pending", "trust", Problem("c", "d", "e")),
    )
    assert looked and one.services.systemd is connections[0]
    assert asked == connections and len(connections) == 1
