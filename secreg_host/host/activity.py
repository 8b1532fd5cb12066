"""What processes are at: stopped by a signal, or at work, by the time that they used; and since when they are
(proc_pid_stat(5))."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from typing import NamedTuple

from secreg_host.base.paths import PROC

STATE, USER_TICKS, SYSTEM_TICKS, BEGUN = 0, 11, 12, 19
"""Fields after the name, which may hold blanks and parentheses itself."""


class Activity(NamedTuple):
    """Of several processes: stopped: whether each is (SIGSTOP, a debugger); waiting: whether one waits for a disk
    (uninterruptible sleep); ticks: processor time that they used, in clock ticks."""

    stopped: bool
    waiting: bool
    ticks: int


def of(pids: Iterable[int]) -> Activity | None:
    """What the processes `pids` are at; None when none of them is there."""
    found = [fields for pid in pids if (fields := _stat(pid))]
    if not found:
        return None
    states = [fields[STATE] for fields in found]
    ticks = sum(int(fields[USER_TICKS]) + int(fields[SYSTEM_TICKS]) for fields in found)
    return Activity(all(state in "Tt" for state in states), "D" in states, ticks)


def begun(pid: int) -> float:
    """When the process `pid` began (seconds since the epoch, by the clock as it is set now; to a hundredth); 0.0: it is
    not there."""
    fields = _stat(pid)
    if not fields:
        return 0.0
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[BEGUN]) / os.sysconf("SC_CLK_TCK")
    return time.time() - age


def _stat(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    return []
