"""What an apply is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WATCHDOG = "apply"
"""What the watchdog is doing."""


@dataclass(frozen=True)
class Wish:
    """What an apply is asked for.

    doing: its name, for whoever waits for the lock; environment: settings given there; create: write files of /etc
    that are missing; restore: also bring back users that were deleted; start: start what does not run (else a
    stopped service is only checked); new_store: take whatever store is in the place of the one that served; renew: let
    the registry move to another slot, for what it remembers is not so any more.
    """

    doing: str
    environment: Mapping[str, str]
    create: bool = False
    restore: bool = False
    start: bool = False
    new_store: bool = False
    renew: bool = False
