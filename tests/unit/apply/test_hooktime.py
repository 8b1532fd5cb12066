"""A program in hooks.d is ended when its time is over, by systemd or by us."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from secreg_host.apply import hooks
from secreg_host.base import process
from secreg_host.host.host import Host

EVENT = ("down", {"part": "store", "reason": "it is full"})


def hook(host: Host, script: str) -> None:
    host.paths.hooks.mkdir(parents=True)
    path = host.paths.hooks / "tell"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.promise("hooks-time")
def test_systemd_ends_it_after_30_seconds(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(process, "run", lambda argv: (ran.append(argv), SimpleNamespace(returncode=0))[1])
    hook(host, "true")
    assert hooks.launch(host.paths, [EVENT]) == () and "--property=RuntimeMaxSec=30" in ran[0]


@pytest.mark.promise("hooks-time")
@pytest.mark.real
def test_without_systemd_one_that_goes_on_is_ended(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hooks.SECONDS == 30
    monkeypatch.setattr(hooks, "SECONDS", 0.2)
    told = host.paths.root / "told"
    hook(host, f'echo "$SECREG_EVENT $SECREG_REASON" >> {told}; exec sleep 600')
    began = time.monotonic()
    (problem,) = hooks.run(host.paths, [EVENT])
    assert problem.where == str(host.paths.hooks / "tell") and time.monotonic() - began < 300
    assert told.read_text() == "down it is full\n"
