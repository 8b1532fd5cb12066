"""An instance that systemd runs asks it over one connection, and nobody else runs it beside."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secreg_host.apply.report import Finding
from secreg_host.base.errors import BadInput, Later, Note, Problem
from secreg_host.clients import trust
from secreg_host.clients.docker import dockerd
from secreg_host.command import cli, foreground, instance
from secreg_host.command.call import Call
from secreg_host.command.instance import ByUnits, InForeground
from secreg_host.command.verbs import start
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


def test_what_systemd_runs_nobody_runs_in_the_foreground(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen red: it ran, and whoever asked for it asked systemd: `stop` had nothing to do, and for `reload` it did not
    run."""
    ran: list[Path] = []
    monkeypatch.setattr(foreground, "run", lambda host, *_, **__: ran.append(host.paths.root) or 0)
    parser = cli.build_parser("start")
    typed = parser.parse_args(["start", "--foreground"])
    monkeypatch.setattr(Call, "host", lambda _: replace(host, by_systemd=True))
    with pytest.raises(BadInput) as raised:
        start.run(Call(typed, host.paths, {}, parser))
    assert "--root DIR" in raised.value.problems[0].hint and ran == []
    monkeypatch.setattr(Call, "host", lambda _: host)
    assert start.run(Call(typed, host.paths, {}, parser)) == 0 and ran == [host.paths.root]


@pytest.mark.parametrize("by_systemd", [True, False])
def test_who_runs_it_is_who_is_asked(host: Host, monkeypatch: pytest.MonkeyPatch, by_systemd: bool) -> None:
    monkeypatch.setattr(Call, "host", lambda _: replace(host, by_systemd=by_systemd))
    found = instance.of(Call(argparse.Namespace(), host.paths, {}, argparse.ArgumentParser()))
    assert type(found) is (ByUnits if by_systemd else InForeground)
