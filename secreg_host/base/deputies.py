"""Forks that are another user for as long as a command needs them: what one finds is told line by line, what one opens
is handed on.

In a directory that a service fills, root sees what that service may see, and no more: whatever links it has put there,
and on network file systems on which root is nobody. (Who has given up being root can't be looked into by others of that
user: ptrace(2), "dumpable".)
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import stat
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from secreg_host.base import bugs, distant, utf8
from secreg_host.base.errors import SecregError
from secreg_host.base.process import Account

FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
PIECE = 1 << 16
LONGEST = 1 << 12
"""Bytes that are told at once; those of a path."""

DONE, FAILED = ".", "!"
"""How the last line begins; no other one does."""

Work = Callable[[socket.socket], None]


@contextlib.contextmanager
def telling(account: Account, place: Path, work: Callable[[], Iterable[str]]) -> Iterator[Iterator[str]]:
    """The lines (ASCII, without their ends) that `work` finds as `account` in the directory `place`, as it finds them.
    Reading them raises what OSError it raised, and SecregError if it was ended."""
    with _deputy(account, place, lambda to: _tell(to, work), socket.SOCK_STREAM) as ours:
        yield _lines(ours)


@contextlib.contextmanager
def opening(account: Account, place: Path) -> Iterator[Callable[[str], int]]:
    """What opens a regular file by its path, for reading, as `account` in the directory `place`, and returns the
    descriptor; no link in its place is followed, and nothing is waited for. It raises OSError, EINVAL for what is no
    regular file, and SecregError when it was ended; threads may share it."""
    turn = threading.Lock()
    with _deputy(account, place, _open, socket.SOCK_SEQPACKET) as ours:

        def opened(path: str) -> int:
            with turn:
                try:
                    ours.send(path.encode())
                    answer, found, _, _ = socket.recv_fds(ours, LONGEST, 1)
                except OSError as error:
                    raise _ended() from error
            if found:
                os.set_inheritable(found[0], False)
                return found[0]
            if not answer or answer.startswith(FAILED.encode()):
                raise _ended()
            number = int(answer)
            raise OSError(number, os.strerror(number), path)

        yield opened


@contextlib.contextmanager
def _deputy(account: Account, place: Path, work: Work, kind: socket.SocketKind) -> Iterator[socket.socket]:
    """The other end of the socket to which a fork does `work`. It is ended with the block."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    child = os.fork()
    if child == 0:
        _act(account, place, work, theirs)
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


def _act(account: Account, place: Path, work: Work, theirs: socket.socket) -> None:
    """In the fork: nothing of the process that it was made by stays open in it."""
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.closerange(0, theirs.fileno())
        os.closerange(theirs.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
        with _failures(theirs):
            distant.become(account.name, account.uid, account.gid, place)
            work(theirs)
    finally:
        os._exit(0)


@contextlib.contextmanager
def _failures(theirs: socket.socket) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        said = [error.errno or errno.EIO, os.fsdecode(error.filename or "")]
        theirs.sendall(f"{FAILED}{json.dumps(said)}\n".encode())
    except Exception as error:  # without its message, which may quote what was read
        said = [0, "".join([*traceback.format_tb(error.__traceback__), type(error).__name__])]
        theirs.sendall(f"{FAILED}{json.dumps(said)}\n".encode())


def _tell(theirs: socket.socket, work: Callable[[], Iterable[str]]) -> None:
    held, size = [], 0
    for line in work():
        held.append(line)
        size += len(line)
        if size > PIECE:
            theirs.sendall("".join(f"{one}\n" for one in held).encode())
            held, size = [], 0
    theirs.sendall("".join(f"{one}\n" for one in (*held, DONE)).encode())


def _lines(ours: socket.socket) -> Iterator[str]:
    rest = b""
    while piece := ours.recv(PIECE):
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            said = utf8.shown(line)
            if said == DONE:
                return
            if said.startswith(FAILED):
                _raise(*json.loads(said.removeprefix(FAILED)))
            yield said
    raise _ended()


def _ended() -> SecregError:
    return SecregError("the process that reads for us was ended", "see whether memory was short: dmesg; and try again")


def _raise(number: int, said: str) -> None:
    if number:
        raise OSError(number, os.strerror(number), said)
    raise SecregError(f"a bug, in the process that reads for us:\n{said}", bugs.HINT)


def _open(theirs: socket.socket) -> None:
    while path := theirs.recv(LONGEST):
        try:
            descriptor = _opened(os.fsdecode(path))
        except OSError as error:
            theirs.send(str(error.errno or errno.EIO).encode())
            continue
        socket.send_fds(theirs, [b"0"], [descriptor])
        os.close(descriptor)


def _opened(path: str) -> int:
    """The descriptor of the regular file `path`, which is looked at before it is opened: that alone makes some devices
    act."""
    for _ in range(2):
        if not stat.S_ISREG(os.lstat(path).st_mode):
            break
        descriptor = os.open(path, FLAGS)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
