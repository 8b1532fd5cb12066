"""Sockets of ours where nobody gets to are started anew; what somebody stopped is left, and a look wakes nobody."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from secreg_host.base.paths import Paths
from secreg_host.base.systemd import Systemd
from secreg_host.host import processes
from secreg_host.host.host import Host
from secreg_host.services import sockets, units
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.watchdog import ask
from tests import made

SHIPPED = Path(__file__).resolve().parents[3] / "units"


@pytest.fixture
def heard(host: Host) -> Iterator[dict[str, socket.socket]]:
    """By unit, who listens at its path."""
    host.paths.run.mkdir(parents=True, exist_ok=True)
    found = {unit: socket.socket(socket.AF_UNIX) for unit in sockets.PATHS}
    for unit, link in found.items():
        link.bind(str(host.paths.run / sockets.PATHS[unit]))
        link.listen()
        link.setblocking(False)
    yield found
    for link in found.values():
        link.close()


class Manager(Systemd):
    """systemd on which the units of sockets are in one state, and the main one in another."""

    def __init__(self, state: str, main: str = "active") -> None:
        self.listening, self.main = state, main
        self.jobs: list[tuple[str, str, object]] = []

    def actives(self, names: object) -> dict[str, tuple[str, str]]:
        assert isinstance(names, list)
        return {**{name: (self.listening, "") for name in names}, units.MAIN: (self.main, "")}

    def job(self, method: str, unit: str, **how: object) -> bool:
        self.jobs.append((method, unit, how["mode"]))
        return True


def test_they_are_what_is_shipped(host: Host) -> None:
    texts = {path.name: path.read_text() for path in SHIPPED.glob("*.socket")}
    rendered = units.render(Host(Paths(), host.accounts), Parts(made.settings(), RegistryPart(root=None)))
    texts |= {path.name: data.decode() for path, data in rendered.items() if path.suffix == ".socket"}
    found = {unit: re.findall("^ListenStream=(.*)", text, re.MULTILINE) for unit, text in texts.items()}
    assert found == {unit: [f"/run/secure-registry/{name}"] for unit, name in sockets.PATHS.items()}
    assert all("SocketMode=0600" in text.splitlines() for text in texts.values()), "it is 0666 by default"
    assert ask.SOCKET in [one for paths in found.values() for one in paths]
    assert processes.queue_socket(host) == host.paths.run / sockets.PATHS[sockets.QUEUE]


def test_a_path_leads_to_who_has_the_socket(host: Host, heard: dict[str, socket.socket]) -> None:
    path = host.paths.run / sockets.PATHS[sockets.QUEUE]
    assert sockets.leads(path)
    with pytest.raises(BlockingIOError):
        heard[sockets.QUEUE].accept()  # nobody came
    heard[sockets.QUEUE].close()
    assert not sockets.leads(path), "its file is left"
    path.unlink()
    assert not sockets.leads(path)
    path.write_text("")
    assert not sockets.leads(path)


@pytest.mark.parametrize("found", ["active", "failed", "inactive", "activating", "deactivating"])
def test_what_should_listen_and_does_not(host: Host, heard: dict[str, socket.socket], found: str) -> None:
    assert sockets.lost(host.paths, Manager(found)) == []
    for unit, name in sockets.PATHS.items():
        (host.paths.run / name).rename(host.paths.run / "away")
        assert sockets.lost(host.paths, Manager(found)) == ([unit] if found in ("active", "failed") else [])
        for main in ("inactive", "deactivating", "failed"):
            assert sockets.lost(host.paths, Manager(found, main)) == []
        (host.paths.run / "away").rename(host.paths.run / name)


def test_what_is_started_anew_between_two_looks_is_left(
    host: Host, heard: dict[str, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([False, *(True for _ in sockets.PATHS)])
    monkeypatch.setattr(sockets, "leads", lambda _: next(looks))
    assert sockets.lost(host.paths, Manager("active")) == []


def test_it_is_started_anew_and_told(caplog: pytest.LogCaptureFixture) -> None:
    manager = Manager("active")
    with caplog.at_level(logging.WARNING):
        sockets.reopen(manager, sockets.QUEUE)
    assert manager.jobs == [("RestartUnit", sockets.QUEUE, "fail")], "a stop that is under way goes on"
    assert sockets.QUEUE in caplog.text
