"""What costs too much for each look is proven every five minutes: bytes written, read and removed in the store, the
registry's answers through the front, and the certificate as clients verify it. Until then, what it found holds."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from secreg_host.apply import backend, clientproof
from secreg_host.base import records
from secreg_host.base.errors import SecregError
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host
from secreg_host.images import owners
from secreg_host.observe import state
from secreg_host.observe.state import Component, Condition, State
from secreg_host.wanted.parts.registry import RegistryPart

SECONDS = 300.0
"""How long a proof holds that found nothing wrong."""

SHAPE: dict[Any, records.Shape] = {
    "at": records.NUMBER,
    "front": str,
    "registry": str,
    "store": str,
    "remedy": str,
}
HINTS = {
    Component.FRONT: "bring a certificate that clients take for this name, or correct SERVER_NAME",
    Component.REGISTRY: backend.OURS,
    Component.STORE: "see what it says: journalctl -u 'secure-registry-registry@*' -n 20; and who owns it: ls -l",
}


@dataclass(frozen=True)
class Proof:
    """What was proven: when (seconds since the epoch; 0: never), what was wrong with each component, and the remedy
    where the store's files have another owner ("": they don't)."""

    at: float = 0.0
    front: str = ""
    registry: str = ""
    store: str = ""
    remedy: str = ""

    @property
    def wrong(self) -> dict[Component, str]:
        """What was wrong, by component."""
        found = {Component.FRONT: self.front, Component.REGISTRY: self.registry, Component.STORE: self.store}
        return {component: said for component, said in found.items() if said}

    def due(self, now: float) -> bool:
        """Whether it is time for another one: at once while something is wrong, for somebody may have mended it."""
        return bool(self.wrong) or not 0 <= now - self.at < SECONDS

    @property
    def as_json(self) -> dict[str, Any]:
        """The same as JSON values, which `restored` takes."""
        return asdict(self)


NONE = Proof()
"""That nothing was proven yet."""


def restored(found: dict[str, Any]) -> Proof:
    """The proof of which `as_json` made `found`."""
    return Proof(**{key: found[key] for key in SHAPE if key in found})


def prove(host: Host, generation: Generation) -> Proof:
    """Prove it now."""
    now, stored = time.time(), clientproof.writes(host, generation)
    root, owned = generation.parts[RegistryPart].root, None
    with contextlib.suppress(SecregError):
        owned = owners.wrong(host, root) if stored and root else None
    return Proof(
        now,
        clientproof.trusted(host, generation),
        clientproof.reads(host, generation),
        stored,
        owned[1] if owned else "",
    )


def applied(states: Iterable[State], proof: Proof) -> tuple[State, ...]:
    """`states`, but for those that are well as far as a look tells, and not by the `proof`."""
    owned = (Component.REGISTRY, Component.STORE) if proof.remedy else ()
    hints = HINTS | dict.fromkeys(owned, proof.remedy)
    return tuple(
        state.down(one.component, proof.wrong[one.component], hints[one.component], **one.facts)
        if one.condition is Condition.OK and one.component in proof.wrong
        else one
        for one in states
    )
