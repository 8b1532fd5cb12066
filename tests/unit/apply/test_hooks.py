"""hooks.d: each program gets the facts in its environment and is ended when its time is over, by systemd or by us."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from secreg_host.apply import hooks
from secreg_host.base import process
from secreg_host.host.host import Host

EVENT = ("down", {"part": "store", "where": "/srv", "reason": "it is full", "remedy": "free some"})


def hook(host: Host, script: str) -> None:
    host.paths.hooks.mkdir(parents=True)
    path = host.paths.hooks / "tell"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.promise("hooks-time")
def test_systemd_is_told_the_facts_and_the_limit(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    done = SimpleNamespace(returncode=0)
    monkeypatch.setattr(process, "run", lambda argv: (ran.append(argv), done)[1])
    hook(host, "true")
    assert hooks.launch(host.paths, [EVENT, ("applied", {})]) == ()
    first, second = ran
    assert first[0] == "systemd-run" and first[-1] == second[-1] == str(host.paths.hooks / "tell")
    facts = {word.removeprefix("--setenv=") for word in first if word.startswith("--setenv=")}
    assert {"SECREG_EVENT=down", "SECREG_PART=store", "SECREG_WHERE=/srv", "SECREG_REMEDY=free some"} < facts
    for argv in ran:
        assert "--property=RuntimeMaxSec=30" in argv and "--no-block" in argv


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
