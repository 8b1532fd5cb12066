"""What tells that something may have changed: inotify, for directories and for files with several names, and the
kernel's table of mounts, of which no event of inotify tells; and a moment of the host's clock. It says when to look,
not what happened.

All of them share one instance of inotify, of which a user has 128 on a host. What can't be watched is named; who
waits then wakes up every few seconds instead, and each attempt to watch tries it anew.

Source: inotify(7), proc_pid_mounts(5).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from secreg_host.base import distant
from secreg_host.watchdog.alarm import Alarm

BLIND_SECONDS = 5.0
"""Between two looks while something can't be watched."""

BUFFER = 1 << 16
GONE = (errno.ENOENT, errno.ENOTDIR)


class Events:
    """Watches what `watch` was told to.

    blind: what can't be watched, and why; it is tried again with each `watch`.
    """

    def __init__(self) -> None:
        self.blind: dict[Path, OSError] = {}
        self._inotify = self._mounts = -1
        self._watched: set[int] = set()
        self.alarm = Alarm()
        self._waker = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def close(self) -> None:
        """Watch nothing any more."""
        for descriptor in (self._inotify, self._mounts, self._waker):
            if descriptor >= 0:
                os.close(descriptor)
        self._inotify = self._mounts = self._waker = -1
        self.alarm.close()

    def wake(self) -> None:
        """Let `wait` return, from a signal handler or another thread, too."""
        with contextlib.suppress(OSError, ValueError):  # it is closed already
            os.eventfd_write(self._waker, 1)

    def watch(self, wanted: Iterable[Path]) -> bool:
        """Watch the directories and files `wanted`, in this order, and no others, by what is at these paths now.

        Returns whether one is new, or is not there any more: what happened before is not told by events, so that a look
        must follow.
        """
        self.blind, gone = {}, False
        found: set[int] = set()
        self._open_mounts()
        for path in wanted:
            try:
                found.add(self._add(path))
            except OSError as error:
                if error.errno in GONE:
                    gone = True
                else:
                    self.blind[path] = error
        new = not found <= self._watched
        for number in self._watched - found:
            _inotify().inotify_rm_watch(self._inotify, number)  # fails for what the kernel removed by itself
        self._watched = found
        return new or gone

    def wait(self, seconds: float) -> bool:
        """Whether something happened, or the moment of the alarm came, within `seconds`; while something can't be
        watched, not longer than `BLIND_SECONDS`."""
        poll = select.poll()
        for descriptor in (self._inotify, self._waker, self.alarm.descriptor):
            if descriptor >= 0:
                poll.register(descriptor, select.POLLIN)
        if self._mounts >= 0:
            poll.register(self._mounts, select.POLLPRI)
        longest = BLIND_SECONDS if self.blind else seconds
        happened = bool(poll.poll(max(0.0, min(seconds, longest)) * 1000))
        self.alarm.take()
        for descriptor in (self._inotify, self._waker):
            with contextlib.suppress(BlockingIOError):
                while descriptor >= 0:
                    os.read(descriptor, BUFFER)
        return happened

    def _open_mounts(self) -> None:
        if self._mounts < 0:
            try:
                self._mounts = distant.open_mounts()
            except OSError as error:
                self.blind[distant.MOUNTINFO] = error

    def _add(self, path: Path) -> int:
        """The number of the watch on `path`: that of before if it is the same directory. Raises OSError."""
        library = _inotify()
        if self._inotify < 0:
            made = _checked(library.inotify_init(), path)
            os.set_inheritable(made, False)
            os.set_blocking(made, False)
            self._inotify = made
        return _checked(library.inotify_add_watch(self._inotify, os.fsencode(path), _mask()), path)


def _inotify() -> Any:
    """The system calls, as the watchdog library declares them. (Its observer takes an instance of inotify and two
    threads for each directory, and does not watch one again that was away when it was to be watched.)"""
    from watchdog.observers import inotify_c

    return inotify_c


def _mask() -> int:
    """All that changes a directory or a file in it; nothing that reading does, which we do ourselves."""
    from watchdog.observers.inotify_c import InotifyConstants as Kind

    files = Kind.IN_MODIFY | Kind.IN_ATTRIB | Kind.IN_CLOSE_WRITE | Kind.IN_CREATE | Kind.IN_DELETE | Kind.IN_MOVE
    return int(files | Kind.IN_DELETE_SELF | Kind.IN_MOVE_SELF)


def _checked(result: int, path: Path) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
    return result
