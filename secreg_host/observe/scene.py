"""What a look has before it: the host, what serves, the last report, and what systemd says of the units."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from secreg_host.apply.report import Report
from secreg_host.base.errors import SecregError
from secreg_host.generation.generations import Generation
from secreg_host.host import activity, processes
from secreg_host.host.activity import Activity
from secreg_host.host.host import Host
from secreg_host.observe.state import Component
from secreg_host.services import sockets, units
from secreg_host.watchdog import watch

if TYPE_CHECKING:
    from secreg_host.base.systemd import Systemd

OBSERVER, QUEUE = "secure-registry-observer.service", "secure-registry-queue.service"
MANIFESTS = units.unit_of("manifests")
GC, DAILY = "secure-registry-gc.service", "secure-registry-gc.timer"


@dataclass(frozen=True)
class Scene:
    """What there is to judge by.

    manager: systemd; None where it does not run, or runs nothing of ours; states: ActiveState and SubState of each of
    our units; known: facts that the look before found, by component, for what takes long to ask.
    """

    host: Host
    generation: Generation
    report: Report
    manager: Systemd | None = None
    states: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    known: Mapping[Component, Mapping[str, object]] = field(default_factory=dict)

    def stopped(self, unit: str) -> str:
        """What keeps `unit` from working that systemd or the kernel knows of; "": nothing."""
        if self.manager is None:
            return ""
        active, sub = self.states.get(unit, ("unknown", ""))
        if active not in ("active", "reloading", "unknown") and (active, sub) != ("activating", "start"):
            return f"{unit} is {active} ({sub})"
        found = self.activity(unit)
        return f"the processes of {unit} are stopped by a signal (SIGSTOP)" if found and found.stopped else ""

    def activity(self, unit: str) -> Activity | None:
        """What the processes of `unit` are at; None where it has none."""
        if self.manager is None:
            return None
        with contextlib.suppress(SecregError):
            return activity.of(entry[1] for entry in self.manager.call("GetUnitProcesses", unit))
        return None


def masked(manager: Systemd | None, unit: str) -> bool:
    """Whether somebody wants that `unit` never starts (systemctl(1), mask)."""
    return manager is not None and bool(manager.properties(unit, "LoadState")["LoadState"] == "masked")


def names(slot: str) -> list[str]:
    """The units of an instance whose registry is in `slot`."""
    ours = [units.unit_of(name) for name in ("nginx", "auth", f"registry@{slot}")]
    return [*ours, watch.UNIT, watch.MAIN, OBSERVER, sockets.QUEUE, units.MANIFESTS, GC]


def of(
    host: Host,
    generation: Generation,
    report: Report,
    manager: Systemd | None,
    known: Mapping[Component, Mapping[str, object]],
) -> Scene:
    """What there is to judge `generation` by, which serves."""
    states: Mapping[str, tuple[str, str]] = {}
    if manager is not None:
        with contextlib.suppress(SecregError):
            slot = generation.slot if generation.slot in processes.SLOTS else processes.SLOTS[0]
            states = manager.actives(names(slot))
    return Scene(host, generation, report, manager, states, known)
