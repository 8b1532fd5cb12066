"""What hangs: a process that answers nobody for several looks, and is stopped or uses no processor time, is ended, so
that systemd starts it anew. The registry never while its store hangs: that would not help, and cut off who still reads.
"""

from __future__ import annotations

import logging
import signal
from dataclasses import dataclass, field

from secreg_host.base import journal, waiting
from secreg_host.base.systemd import Systemd
from secreg_host.base.waiting import Deadline
from secreg_host.generation.generations import Generation
from secreg_host.host.activity import Activity
from secreg_host.observe.state import Component, Condition, State
from secreg_host.services import units

log = logging.getLogger(__name__)

LOOKS = 3
"""Looks in a row that find it so before anything is done."""

AGAIN_SECONDS = 300.0
"""How long the same process is not ended again after that."""


@dataclass
class Hung:
    """What was found of each component in the looks until now."""

    looks: dict[Component, int] = field(default_factory=dict)
    ticks: dict[Component, int] = field(default_factory=dict)
    quiet: dict[Component, Deadline] = field(default_factory=dict)

    def judge(self, states: tuple[State, ...], found: dict[Component, Activity | None]) -> tuple[Component, ...]:
        """Which components are to be ended, after a further look that found `states` and what the processes are at."""
        down = {one.component for one in states if one.condition is Condition.DOWN}
        for component, activity in found.items():
            idle = activity is not None and (activity.stopped or activity.ticks == self.ticks.get(component))
            self.looks[component] = self.looks.get(component, 0) + 1 if component in down and idle else 0
            self.ticks[component] = activity.ticks if activity is not None else -1
            stores = activity is not None and (activity.waiting or Component.STORE in down)
            if component is Component.REGISTRY and stores:
                self.looks[component] = 0
        self.quiet = {one: until for one, until in self.quiet.items() if not until.over}
        hang = tuple(one for one, looks in self.looks.items() if looks >= LOOKS and one not in self.quiet)
        for one in hang:
            self.quiet[one], self.looks[one] = waiting.within(AGAIN_SECONDS), 0
        return hang


def unit_of(component: Component, generation: Generation) -> str:
    """The unit of `component`, one of those that are processes."""
    names = {Component.FRONT: "nginx", Component.PASSWORDS: "auth"}
    return units.unit_of(names.get(component, f"registry@{generation.slot}"))


def end(manager: Systemd, unit: str) -> None:
    """End every process of `unit` at once; systemd starts it anew (Restart=always). Raises SecregError."""
    log.warning(f"{unit} hangs: it is ended and started anew", extra=journal.entry({"kind": "hung", "where": unit}))
    manager.call("KillUnit", unit, "all", int(signal.SIGKILL))
