"""A moment of the host's clock, told by a descriptor as soon as it comes, however it does: also when somebody sets the
clock, after which the kernel wakes nobody else who sleeps.

Source: timerfd_create(2). (os.timerfd_create is there from Python 3.13 on.)
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import time
from typing import Any

REALTIME, ABSOLUTE, CANCEL_ON_SET = 0, 1, 2
"""CLOCK_REALTIME, TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET."""

LATEST = 1 << 31
"""Seconds since the epoch, the latest that is waited for: as much as each libc takes. Until then one looks again."""


class Moment(ctypes.Structure):
    """struct timespec."""

    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class Timer(ctypes.Structure):
    """struct itimerspec."""

    _fields_ = (("interval", Moment), ("value", Moment))


class Alarm:
    """descriptor: can be read from the moment on that was `set`, or when the clock was set; -1: there is none."""

    def __init__(self) -> None:
        self.descriptor: int = _libc().timerfd_create(REALTIME, os.O_NONBLOCK | os.O_CLOEXEC)

    def set(self, at: float) -> None:
        """Tell when the moment `at` (seconds since the epoch) comes, or the clock is set; of what has come by now,
        nothing."""
        ahead = time.time() < at
        timer = Timer(Moment(0, 0), Moment(int(min(at, LATEST - 1)) if ahead else 0, 0))
        if self.descriptor >= 0:
            _libc().timerfd_settime(self.descriptor, ABSOLUTE | CANCEL_ON_SET, ctypes.byref(timer), None)

    def take(self) -> None:
        """Let the descriptor have nothing to read any more."""
        with contextlib.suppress(OSError):  # EAGAIN: nothing has come; ECANCELED: the clock was set
            os.read(self.descriptor, 8)

    def close(self) -> None:
        """Tell nothing any more."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1


@functools.cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)
