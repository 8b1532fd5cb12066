"""Who runs the processes of an instance."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from secreg_host.base.paths import Paths
from secreg_host.host import host as hosts


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
