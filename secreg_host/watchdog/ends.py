"""When somebody who counts comes to an end, a robot or its former secret: it stands beside the users that count
(generation/liveusers.py), in memory, so that it is known whatever becomes of disks and reports."""

from __future__ import annotations

import contextlib
import time

from secreg_host.base.paths import Paths

FILE = "until"
DIGITS = 12
"""Of a moment at the most, in seconds since the epoch."""


def load(paths: Paths) -> float:
    """That moment (seconds since the epoch); 0: there is none."""
    with contextlib.suppress(OSError, ValueError):
        data = (paths.users_live / FILE).read_bytes()
        return float(int(data[:DIGITS]))
    return 0.0


def come(paths: Paths) -> bool:
    """Whether it has come, and fewer count than do."""
    return 0 < load(paths) <= time.time()
