"""How one component of what serves is: well, worth a warning, or down; in words, with what helps, and since when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from secreg_host.base import records


class Condition(StrEnum):
    """How a component is. DOWN: something that people need is not there; UNKNOWN: it can't be told."""

    OK = "ok"
    WARNING = "warning"
    DOWN = "down"
    UNKNOWN = "unknown"


class Component(StrEnum):
    """What is looked at, in the order in which they are shown."""

    FRONT = "front"
    PASSWORDS = "passwords"
    REGISTRY = "registry"
    MANIFESTS = "manifests"
    STORE = "store"
    CERTIFICATE = "certificate"
    USERS = "users"
    CLIENTS = "clients"
    WATCHDOG = "watchdog"
    BOOT = "boot"


SERVING = (Component.FRONT, Component.PASSWORDS, Component.REGISTRY, Component.STORE)
"""What must be there to pull, and to log in."""

PROCESSES = (Component.FRONT, Component.PASSWORDS, Component.REGISTRY)
"""What may be on its way back when it was killed."""

SHAPE: dict[Any, records.Shape] = {
    "component": str,
    "condition": str,
    "said": str,
    "remedy": str,
    "event": str,
    "since": records.NUMBER,
    "facts": {str: object},
}
"""Of a state that was kept."""


@dataclass(frozen=True)
class State:
    """How `component` is.

    said: one line for people; remedy: what to do about it ("": nothing); event: the word that hooks are told (`down`,
    `disk`, `expiring`; "": none); since: when its condition began, in seconds since the epoch (0: not known); facts:
    the same for programs, as JSON values.
    """

    component: Component
    condition: Condition
    said: str
    remedy: str = ""
    event: str = ""
    since: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def as_json(self) -> dict[str, Any]:
        """The state as JSON values, which `restored` takes."""
        return {
            "component": str(self.component),
            "condition": str(self.condition),
            "said": self.said,
            "remedy": self.remedy,
            "event": self.event,
            "since": self.since,
            "facts": dict(self.facts),
        }


def ok(component: Component, said: str, **facts: Any) -> State:
    """A state of `component` that is well."""
    return State(component, Condition.OK, said, facts=facts)


def down(component: Component, said: str, remedy: str, **facts: Any) -> State:
    """A state of `component` that people miss."""
    return State(component, Condition.DOWN, said, remedy, "down", facts=facts)


def warning(component: Component, said: str, remedy: str, event: str = "", **facts: Any) -> State:
    """A state of `component` that somebody should see to."""
    return State(component, Condition.WARNING, said, remedy, event, facts=facts)


def restored(found: Mapping[str, Any]) -> State | None:
    """The state of which `as_json` made `found`; None where that says nothing that is known here."""
    try:
        known = {key: found[key] for key in SHAPE}
        return State(
            **{**known, "component": Component(found["component"]), "condition": Condition(found["condition"])}
        )
    except (KeyError, ValueError):
        return None


def dated(states: Iterable[State], before: Iterable[State], now: float) -> tuple[State, ...]:
    """`states`, each since when it is in its condition: as long as the one `before` was in the same, else since `now`
    (seconds since the epoch), or since what it knows itself."""
    known = {state.component: state for state in before}
    found = []
    for state in states:
        earlier = known.get(state.component)
        same = earlier is not None and (earlier.condition, earlier.event) == (state.condition, state.event)
        since = earlier.since if same and earlier is not None else 0.0
        found.append(replace(state, since=since or state.since or now))
    return tuple(found)


def changes(states: Iterable[State], before: Iterable[State]) -> tuple[tuple[str, State], ...]:
    """What hooks are told of `states` after `before`: the event that began, or `resolved` where one ended."""
    earlier = {state.component: state.event for state in before}
    found = []
    for state in states:
        was = earlier.get(state.component, "")
        if state.event and state.event != was:
            found.append((state.event, state))
        elif was and not state.event:
            found.append(("resolved", state))
    return tuple(found)


def agreed(states: Iterable[State], before: Iterable[State]) -> tuple[State, ...]:
    """Those of `states` that the look `before` found in the same condition, or that are well again."""
    earlier = {(one.component, one.condition, one.event) for one in before}
    return tuple(one for one in states if not one.event or (one.component, one.condition, one.event) in earlier)


def merged(before: Iterable[State], states: Iterable[State]) -> tuple[State, ...]:
    """`before` with `states` in the place of what they are newer than."""
    return tuple({**{one.component: one for one in before}, **{one.component: one for one in states}}.values())
