"""Who runs the processes of an instance."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secreg_host.base import distant, systemd
from secreg_host.base.paths import Paths
from secreg_host.host import dockerfiles, processes, sandbox, views
from secreg_host.host import host as hosts
from secreg_host.host.host import Host


@pytest.mark.parametrize("booted", [True, False])
def test_systemd_runs_the_machines_own_instance_whoever_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, booted: bool
) -> None:
    """An ordinary user's `status` asks systemd, too."""
    place = tmp_path / "system"
    if booted:
        place.mkdir()
    monkeypatch.setattr(hosts, "SYSTEMD", place)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert hosts.discover(Paths()).by_systemd is booted
    assert not hosts.discover(Paths(tmp_path)).by_systemd


@pytest.mark.parametrize("by_units", [True, False])
def test_what_is_around_the_processes_comes_with_units(
    host: Host, monkeypatch: pytest.MonkeyPatch, by_units: bool
) -> None:
    """Walls, views, an observer, dockerd's files, the program that units name, and systemd, which is asked for them."""
    manager, root = object(), host.paths.root / "srv/images"
    monkeypatch.setattr(systemd, "Systemd", lambda: manager)
    monkeypatch.setattr(sandbox, "inside", lambda: True)
    mounts: Any = {str(root.resolve() / "docker"): SimpleNamespace(kind="ext4")}
    monkeypatch.setattr(distant, "mounts", lambda: mounts)
    monkeypatch.setattr(hosts, "nginx", lambda _: Path("/found/nginx"))
    host = replace(host, by_systemd=by_units)
    assert host.manager() is (manager if by_units else None)
    assert [host.walled, host.observed, views.used(host), sandbox.hides(host)] == [by_units] * 4
    assert views.place(host, str(root), "a") == (host.paths.images("a") if by_units else root)
    assert views.hidden(host, root) == (root.resolve() / "docker" if by_units else None)
    assert bool(dockerfiles.followed(host)) is by_units
    assert (processes.front(host).argv[0] == "/found/nginx") is not by_units


def test_nothing_hides_from_who_is_in_no_sandbox(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "inside", lambda: False)
    assert not sandbox.hides(replace(host, by_systemd=True))
