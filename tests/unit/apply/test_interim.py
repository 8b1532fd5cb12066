"""A start that tries for long what was never proven. The slow trial is forced; all else is tested on hosts."""

from __future__ import annotations

from typing import Any

import pytest

from secreg_host.apply import activate, interim
from secreg_host.apply.activate import Stage
from secreg_host.base.errors import SecregError
from tests.world import Clock


class Start:
    """A start, at a time that the test sets: what was done for whoever waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, reached: bool = False, works: bool = True) -> None:
        self.clock, self.did, self.works = Clock(monkeypatch), list[str](), works
        monkeypatch.setattr(activate, "reaches", lambda *_: reached)
        monkeypatch.setattr(activate, "activate", self.activate)
        nothing: Any = None
        self.before = Stage(nothing, nothing, lambda: self.did.append("users"))
        proven: Any = "proven"
        self.stage = interim.patient(self.before, proven)

    def activate(self, stage: Stage, new: Any, current: Any) -> None:
        assert stage is self.before, "whoever waits in there must not begin it again"
        self.did.append(f"{new} after {current}")
        if not self.works:
            raise SecregError("the port is taken", "")

    def waits(self, seconds: float) -> list[str]:
        self.clock.now += seconds
        self.did.clear()
        self.stage.meanwhile()
        return self.did


def test_what_is_proven_serves_once_a_trial_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: REGISTRY_BINARY that hangs, rejected long ago, kept the port closed for 27 s at each restart and boot."""
    start = Start(monkeypatch)
    assert start.waits(0) == start.waits(interim.PATIENCE_SECONDS - 0.1) == ["users"]
    assert start.waits(0.2) == ["users", "proven after proven"]
    assert start.waits(9) == ["users"]


def test_what_can_not_serve_is_tried_once_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    start = Start(monkeypatch, works=False)
    assert len(start.waits(9)) == 2
    assert start.waits(9) == ["users"]


def test_what_serves_already_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Start(monkeypatch, reached=True).waits(9) == ["users"]
