"""nginx's master process and its workers, ruled by signals (nginx.org/en/docs/control.html)."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

from secreg_host.base import waiting
from secreg_host.base.paths import PROC

log = logging.getLogger(__name__)

TITLE = b"nginx: worker process\0"
"""What a worker calls itself from when it takes connections until it is told to finish."""

BEGIN_SECONDS = 5.0
"""How long a master that has just been started may take until it looks for signals."""

HANDOVER_SECONDS = 0.5
"""How long new workers are waited for; from then on it is all left to the master."""

QUIET_SECONDS = 0.01
"""When no further worker came for so long, these are all: fewer are configured than were before."""

LOOK_SECONDS = 0.002

PID_SIZE = 16
"""Bytes of a pid file that are read."""


def children(pid: int) -> set[int]:
    """The processes that `pid` has started (proc_pid_task_children(5))."""
    with contextlib.suppress(OSError):
        return set(map(int, (PROC / f"{pid}/task/{pid}/children").read_text().split()))
    return set()


def workers(master: int) -> set[int]:
    """The workers of `master` that take connections."""
    return {pid for pid in children(master) if _title(pid).startswith(TITLE)}


def _title(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "cmdline").read_bytes()
    return b""


def pid_in(path: Path) -> int:
    """The process that the pid file `path` names; 0: none. It is in a directory of nginx's user: who takes over nginx
    may write any number there, or put a link or a pipe in its place."""
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            return int(os.read(stream.fileno(), PID_SIZE))
    return 0


def send(pid: int, number: signal.Signals, ours: Callable[[int], bool]) -> None:
    """Send a signal to `pid` if it is `ours`. It is held meanwhile: no other process can have its number by then."""
    with contextlib.suppress(ProcessLookupError):
        held = os.pidfd_open(pid)
        try:
            if ours(pid):
                log.debug("%s to process %d", number.name, pid)
                signal.pidfd_send_signal(held, number)
        finally:
            os.close(held)


def reload(master: int, ours: Callable[[int], bool]) -> None:
    """Let nginx read its configuration again; what its workers have begun they finish. Does nothing if it has died,
    or `master` is not `ours`.

    A master that has read its configuration and has no workers yet loses the signal: it looks whether there was one
    only after the next. So its workers are waited for.

    By itself the master has old and new workers take connections side by side for a tenth of a second, of which the
    old ones get nearly all. So they are told to finish when the new ones are there.
    """
    waiting.until(lambda: children(master) or not ours(master), BEGIN_SECONDS, LOOK_SECONDS)
    old = workers(master)
    send(master, signal.SIGHUP, ours)
    if old and _relieved(master, old):
        for pid in old & workers(master):
            send(pid, signal.SIGQUIT, lambda pid: pid in children(master))


def _relieved(master: int, old: set[int]) -> bool:
    """Whether new workers have come in time, as many as the `old` ones or as there will be."""
    new: set[int] = set()
    quiet = waiting.within(QUIET_SECONDS)
    for _ in waiting.looks(HANDOVER_SECONDS, LOOK_SECONDS):
        found = workers(master) - old
        if found != new:
            new, quiet = found, waiting.within(QUIET_SECONDS)
        if new and (len(new) >= len(old) or quiet.over):
            return True
    return False
