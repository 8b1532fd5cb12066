"""What is older than what, by the file system's own clock alone."""

from __future__ import annotations

from collections.abc import Callable

from secreg_host.base.marks import Stamp

SECOND = 10**9

LATEST = 1 << 37
"""Seconds since the epoch: what says to be later was not written by us (no year has more than four digits)."""

QUIET = 3600
"""Seconds for which a directory is empty before it goes: the registry makes one, and writes there in its next step."""


def older(now: int, seconds: int) -> Callable[[Stamp], bool]:
    """What is older by so many `seconds` than the moment `now` of the file system's clock. What is not older than that
    moment itself may be written anew without a trace: those clocks are coarse."""
    return lambda stamp: stamp.latest < now - seconds * SECOND
