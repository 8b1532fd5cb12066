"""The lock of a directory of backups: flock(2), or, on file systems that have none, a file that says who holds it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from secreg_host.base import files, quoting, reading, records, utf8, waiting
from secreg_host.base.errors import SecregError
from secreg_host.base.paths import BOOT_ID, PROC

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}
HOLDER: dict[Any, records.Shape] = {"host": str, "boot": str, "pid": int, "doing": str}
WAIT_SECONDS = 5.0
"""How long somebody else is waited for who is about to end."""

SPACE_SECONDS = 1800.0
"""How long a backup waits for who frees space."""


@contextlib.contextmanager
def held(path: Path, doing: str, kind: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold the lock `path` for `doing` (such as "backup create"). Raises SecregError when somebody else does; kind:
    LOCK_SH is not in the way of others of that kind."""
    with contextlib.ExitStack() as stack:
        with files.explained(path, "lock"):
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(path, flags, files.PRIVATE)
        stack.callback(os.close, descriptor)
        said = json.dumps({"host": socket.gethostname(), "boot": _boot(), "pid": os.getpid(), "doing": doing})
        try:
            if not waiting.until(lambda: _taken(descriptor, kind), WAIT_SECONDS, 0.05):
                raise _busy(path, utf8.shown(os.pread(descriptor, 4096, 0)))
        except OSError as error:
            if error.errno not in NO_LOCKS:
                with files.explained(path, "lock"):
                    raise
            stack.enter_context(_by_name(path.with_name(f"{path.name}.held"), said))
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, said.encode(), 0)
        yield


def looking(path: Path, doing: str) -> contextlib.AbstractContextManager[None]:
    """Hold the lock `path` of a directory of backups with others who only read there: nothing is removed meanwhile.
    Where nothing can be written, nobody is there who would."""
    there = path if os.path.lexists(path) else path.parent
    return held(path, doing, fcntl.LOCK_SH) if os.access(there, os.W_OK) else contextlib.nullcontext()


@contextlib.contextmanager
def shared(path: Path, doing: str) -> Iterator[None]:
    """Hold the lock `path` with others who only read images. Who frees space in their store holds it alone (LOCK_EX):
    no blob goes between its link and its copy. Raises SecregError when somebody does."""
    files.make_directory(path.parent, 0o755)
    with files.explained(path, "lock"):
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, files.PRIVATE)
    try:
        if not waiting.until(lambda: _taken(descriptor, fcntl.LOCK_SH), SPACE_SECONDS, 0.05):
            hint = "try again when that is done: secure-registry status; which process it is: lslocks"
            raise SecregError(f"{doing} waits for {path}: space is being freed among the images", hint)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def alone(path: Path, doing: str, seconds: float = 0.0) -> Iterator[int]:
    """Hold the lock `path` alone, for `doing`, which frees space among the images: nobody copies them meanwhile. Its
    descriptor: whoever has that holds it. Raises SecregError when somebody does for longer than these `seconds`."""
    files.make_directory(path.parent, 0o755)
    with files.explained(path, "lock"):
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, files.PRIVATE)
    try:
        if not waiting.until(lambda: _taken(descriptor, fcntl.LOCK_EX), max(seconds, WAIT_SECONDS), 0.05):
            what = f"{doing} waits for {path}: a backup is made of the images, or space is being freed already"
            raise SecregError(what, "try again when that is done (which process it is: lslocks)")
        yield descriptor
    finally:
        os.close(descriptor)


def _taken(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _by_name(path: Path, said: str) -> Iterator[None]:
    """Hold the lock by being who made the file `path`. One that a process of this host left, which is no more, is taken
    over; of another host that can't be told."""
    deadline = waiting.within(WAIT_SECONDS)
    while not _made(path, said):
        holder = utf8.shown(reading.peek(path, reading.JSON))
        if _is_gone(holder):
            _take_away(path)
        elif deadline.over:
            raise _busy(path, holder, f"; if that is not so: rm {quoting.shell(path)}")
        else:
            waiting.until(lambda: not path.exists(), min(0.2, deadline.left))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _take_away(path: Path) -> None:
    """Remove what a process left that is no more; not what another one has put there meanwhile."""
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    with files.explained(path, "lock"), contextlib.suppress(FileNotFoundError):
        path.rename(aside)
        if _is_gone(utf8.shown(reading.peek(aside, reading.JSON))):
            aside.unlink()
        else:
            aside.rename(path)


def _made(path: Path, said: str) -> bool:
    with files.explained(path, "lock"):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, files.PRIVATE)
        except FileExistsError:
            return False
        try:
            os.write(descriptor, said.encode())
        finally:
            os.close(descriptor)
    return True


def _is_gone(holder: str) -> bool:
    """Whether the process that `holder` names was one of this host, and is no more."""
    known = records.parsed(holder.encode())
    if not records.fits(known, HOLDER) or set(known) != set(HOLDER) or known["host"] != socket.gethostname():
        return False
    return bool(known["boot"] != _boot() or not (PROC / str(known["pid"])).exists())


def _boot() -> str:
    """What tells this boot of the host from others (random(4))."""
    return utf8.shown(reading.peek(BOOT_ID, reading.SETTINGS)).strip()


def _busy(path: Path, holder: str, more: str = "") -> SecregError:
    known = records.parsed(holder.encode())
    who, end = "another run", "which one: lslocks"
    if records.fits(known, HOLDER) and isinstance(known, dict) and set(known) == set(HOLDER):
        who = f"secure-registry {known['doing']} (process {known['pid']} on {known['host']})"
        end = f"see it: ps -fp {known['pid']}; end it: kill {known['pid']}"
        if known["host"] != socket.gethostname():
            end = f"end it on {known['host']}"
    return SecregError(f"{who} works in {path.parent}", f"wait until it is done, or end it ({end}){more}")
