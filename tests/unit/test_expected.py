"""What the journal of a booted host may hold: an outage that no test made is none of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from secreg_host.base.errors import Problem
from secreg_host.observe import state
from secreg_host.observe.state import Component
from tests.booted.registry import Registry

FRONT = f"{state.down(Component.FRONT, '', '').event}: {Problem(Component.FRONT, 'it is stopped', 'start it')}"
DISK = f"disk: {Problem(Component.STORE, '/srv: it fills up', 'free some space')}"


def of(*lines: str) -> Registry:
    """A registry whose journal holds `lines`."""
    machine: Any = SimpleNamespace(journal=lambda **_: [{"MESSAGE": line} for line in lines])
    return Registry(machine)


def test_an_outage_is_expected_by_who_breaks_it_alone() -> None:
    """Seen: whatever went down during any test was passed over."""
    registry = of(FRONT, DISK, "dockerd says so", "unheard of")
    registry.expected += ["stopped", "fills up"]
    assert registry.unexpected() == [FRONT, DISK, "unheard of"]
    registry.breaks("store")
    assert registry.unexpected() == [FRONT, "unheard of"]
    registry.breaks("front")
    assert registry.unexpected() == ["unheard of"]
    registry = of(FRONT, DISK)
    registry.breaks()
    assert registry.unexpected() == []
