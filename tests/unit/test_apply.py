"""What an apply does when a generation can't be brought to life. The fault is forced; all else is tested on hosts."""

from __future__ import annotations

from typing import Any

import pytest

from secreg_host import activate, apply
from secreg_host.errors import SecregError


@pytest.mark.parametrize(("start", "stopped"), [(True, 1), (False, 0)])
def test_only_a_start_that_fails_stops_what_runs(monkeypatch: pytest.MonkeyPatch, start: bool, stopped: int) -> None:
    """nginx was killed a moment ago: nothing serves right now, and nothing can be proven."""
    stops: list[Any] = []

    def fail(*_: Any) -> None:
        raise SecregError("nginx ended", "")

    monkeypatch.setattr(activate, "activate", fail)
    monkeypatch.setattr(activate, "serves", lambda _: False)
    monkeypatch.setattr(activate, "stop_all", stops.append)
    generation: Any = object()
    stage: Any = object()
    with pytest.raises(SecregError, match="nginx ended"):
        apply._activate(stage, generation, generation, [], start)
    assert len(stops) == stopped
