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
import re
import signal
import socket
import stat
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from secreg_host.base import bugs, distant, utf8, waiting
from secreg_host.base.errors import SecregError
from secreg_host.base.paths import AUTOGROUP, DESCRIPTORS
from secreg_host.base.process import Account

FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
PIECE = 1 << 16
LONGEST = 1 << 12
"""Bytes that are told at once; those of a path."""

BUG, TOLD = 0, -1
"""In the place of an error number: what was raised is a bug, or a SecregError."""

ANY = re.compile(r"(?s:.*)")
DONE, FAILED, ASKED = ".", "!", "?"
"""How the last line begins, and, among lines of JSON, a question; no other one does."""

Work = Callable[[socket.socket], None]
Shut = Callable[[], bool]
Ask = Callable[[str], str]
"""The answer, one line, to a question of one line."""


@contextlib.contextmanager
def telling(
    account: Account,
    place: Path,
    work: Callable[[], Iterable[str]],
    *,
    by: Opened | None = None,
    shut: Shut = lambda: False,
) -> Iterator[Iterator[str]]:
    """The lines (ASCII, without their ends) that `work` finds as `account` in the directory `place`, as it finds them.
    Reading them raises what OSError it raised, and SecregError if it was ended. by: what `work` opens files by that
    `account` may not open. shut: as in distant.become; then `work` finds nothing else of the host either, not even
    modules that were not needed yet."""
    kept = by.link.fileno() if by is not None else None
    with _deputy(account, place, lambda to: _tell(to, work), socket.SOCK_STREAM, kept, shut) as ours:
        yield _lines(ours)


@contextlib.contextmanager
def conversing(
    account: Account,
    place: Path,
    work: Callable[[Ask], Iterable[str]],
    answer: Ask,
    kept: int | None = None,
    shut: Shut = lambda: False,
    *,
    gentle: bool = False,
) -> Iterator[Iterator[str]]:
    """As `telling`; `work` may ask meanwhile, and who reads its lines has `answer` say what it is told. kept: a
    descriptor that stays open in the fork, such as a lock: whoever is left of the two holds it. gentle:
    whoever else wants the processor or the disk has them first."""
    kind, act = socket.SOCK_STREAM, lambda to: _tell(to, lambda: work(_asking(to)))
    with _deputy(account, place, act, kind, kept, shut, gentle=gentle) as ours:
        yield _lines(ours, answer)


def _asking(theirs: socket.socket) -> Ask:
    def ask(said: str) -> str:
        theirs.sendall(f"{ASKED}{said}\n".encode())
        answer = b""
        while not answer.endswith(b"\n"):
            if not (piece := theirs.recv(PIECE)):
                raise _ended()
            answer += piece
        return utf8.shown(answer.removesuffix(b"\n"))

    return ask


@dataclass(frozen=True)
class Opened:
    """Opens files by way of the deputy at the other end of `link`."""

    link: socket.socket
    turn: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, path: str) -> int:
        """A descriptor of the file `path`."""
        with self.turn:
            try:
                self.link.send(path.encode())
                answer, found, _, _ = socket.recv_fds(self.link, LONGEST, 1)
            except OSError as error:
                raise _ended() from error
        if found:
            os.set_inheritable(found[0], False)
            return found[0]
        if not answer or answer.startswith(FAILED.encode()):
            raise _ended()
        number = int(answer)
        raise OSError(number, os.strerror(number), path)


@contextlib.contextmanager
def opening(
    account: Account, place: Path, only: re.Pattern[str] = ANY, *, shut: Shut = lambda: False
) -> Iterator[Opened]:
    """What opens a regular file by its path, for reading, as `account` in the directory `place`, and returns the
    descriptor; no link in its place is followed, and nothing is waited for. It raises OSError, EINVAL for what is no
    regular file, and SecregError when it was ended; threads may share it. only: what paths may be like, for who asks
    may be another deputy. shut: as in distant.become."""
    with _deputy(account, place, lambda to: _open(to, only), socket.SOCK_SEQPACKET, shut=shut) as ours:
        yield Opened(ours)


@contextlib.contextmanager
def _deputy(
    account: Account,
    place: Path,
    work: Work,
    kind: socket.SocketKind,
    kept: int | None = None,
    shut: Shut = lambda: False,
    *,
    gentle: bool = False,
) -> Iterator[socket.socket]:
    """The other end of the socket to which a fork does `work`. It is ended with the block. kept: a descriptor that it
    needs besides; gentle: as in `conversing`."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    child = os.fork()
    if child == 0:
        _act(account, place, work, theirs, kept, shut, gentle=gentle)
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


def _act(
    account: Account, place: Path, work: Work, theirs: socket.socket, kept: int | None, shut: Shut, *, gentle: bool
) -> None:
    """In the fork: nothing of the process that it was made by stays open in it."""
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        if gentle:
            _stand_back()
        _detach({theirs.fileno(), *(() if kept is None else (kept,))})
        with _failures(theirs):
            distant.become(account.name, account.uid, account.gid, place, shut)
            work(theirs)
    finally:
        os._exit(0)


NICE = 10
"""Of a session of its own among all others, which have 0: a tenth of what each of them has."""


def _stand_back() -> None:
    """In the fork, while it sees /proc: be of the idle class (a process of that has the disk last, too: ioprio_set(2)),
    in a session of its own. The class counts among those of one session alone, and sessions share a processor equally,
    where no control groups do (sched(7), "The autogroup feature"). What isn't allowed, or there, is left out: a unit
    has settings of its own."""
    with contextlib.suppress(OSError):
        os.setsid()
    with contextlib.suppress(OSError):
        AUTOGROUP.write_text(str(NICE))
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _detach(kept: set[int]) -> None:
    """Let go of every descriptor but those that are `kept`. Their numbers stay taken, by what leads nowhere: what
    libraries still write there (GLib, to an eventfd) must not get into a file that is opened next."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in [int(path.name) for path in DESCRIPTORS.iterdir()]:
        if number not in (null, *kept):
            os.dup2(null, number, inheritable=False)


@contextlib.contextmanager
def _failures(theirs: socket.socket) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        said = [error.errno or errno.EIO, os.fsdecode(error.filename or "")]
        theirs.sendall(f"{FAILED}{json.dumps(said)}\n".encode())
    except SecregError as error:
        theirs.sendall(f"{FAILED}{json.dumps([TOLD, error.message, error.hint])}\n".encode())
    except Exception as error:  # without its message, which may quote what was read
        said = [BUG, "".join([*traceback.format_tb(error.__traceback__), type(error).__name__])]
        theirs.sendall(f"{FAILED}{json.dumps(said)}\n".encode())


SOON = 0.5
"""Seconds after which what was found is told with the next line, though it is little."""


def _tell(theirs: socket.socket, work: Callable[[], Iterable[str]]) -> None:
    held: list[str] = []
    size, deadline = 0, waiting.within(SOON)
    try:
        for line in work():
            held.append(line)
            size += len(line)
            if size > PIECE or deadline.over:
                said, held, size, deadline = held, [], 0, waiting.within(SOON)
                _say(theirs, said)
    except Exception:
        _say(theirs, held)  # what was done until then
        raise
    _say(theirs, [*held, DONE])


def _say(theirs: socket.socket, lines: list[str]) -> None:
    theirs.sendall("".join(f"{one}\n" for one in lines).encode())


def _lines(ours: socket.socket, answer: Ask | None = None) -> Iterator[str]:
    rest = b""
    while piece := ours.recv(PIECE):
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            said = utf8.shown(line)
            if said == DONE:
                return
            if said.startswith(FAILED):
                _raise(*json.loads(said.removeprefix(FAILED)))
            if answer is not None and said.startswith(ASKED):
                ours.sendall(f"{answer(said.removeprefix(ASKED))}\n".encode())
            else:
                yield said
    raise _ended()


def _ended() -> SecregError:
    return SecregError("the process that reads for us was ended", "see whether memory was short: dmesg; and try again")


def _raise(number: int, said: str, hint: str = "") -> None:
    if number == TOLD:
        raise SecregError(said, hint)
    if number == BUG:
        raise SecregError(f"a bug, in the process that reads for us:\n{said}", bugs.HINT)
    raise OSError(number, os.strerror(number), said)


def _open(theirs: socket.socket, only: re.Pattern[str]) -> None:
    while path := os.fsdecode(theirs.recv(LONGEST)):
        try:
            if not only.fullmatch(path):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            descriptor = _opened(path)
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
