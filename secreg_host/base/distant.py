"""File systems that may not answer (network, FUSE): which paths lead there, and how to ask without waiting for ever.

A call on a file of a dead NFS server or a stopped FUSE process doesn't come back, and whoever waits in it can't even be
killed (signal(7), nfs(5)). So what concerns such a path is done by a fork, which is left behind when it takes too long.
All else is done here, at no cost but a look at the links on the way.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import select
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from secreg_host.base import utf8, waiting
from secreg_host.base.errors import bad_input
from secreg_host.base.paths import PROC

T = TypeVar("T")

WAIT_SECONDS = 1.0
"""How long an answer is waited for."""

RUN_SECONDS, SWIFT_SECONDS = 10.0, 0.1
"""How long one run waits for one file system in all, on which many files may lie; and how long an answer may take that
does not count, for the fork takes a while, too."""

SILENT_SECONDS = 10.0
"""How long a file system that did not answer is not asked again by later runs of the same process either."""

MOUNTINFO = PROC / "self/mountinfo"
ESCAPED = re.compile(rb"\\([0-7]{3})")
"""A byte of a path that would not be one word there: blanks, line ends, backslashes."""

LINKS = 40
"""Links followed for one path, as many as the kernel does (path_resolution(7))."""

LOCAL = re.compile(
    r"(adfs|aufs|bcachefs|bpf|btrfs|cgroup2?|configfs|cramfs|debugfs|devpts|devtmpfs|efivarfs|erofs|exfat|ext[234]|f2fs"
    r"|fusectl|hfs|hfsplus|hugetlbfs|iso9660|jfs|jffs2|minix|mqueue|msdos|nilfs2|nsfs|ntfs3|overlay|proc|pstore|ramfs"
    r"|reiserfs|romfs|securityfs|selinuxfs|squashfs|sysfs|tmpfs|tracefs|ubifs|udf|vfat|xfs|zfs)"
)
"""Types of file systems behind which the kernel itself and a disk stand; any other one may not answer."""

_far: frozenset[str] = frozenset()
_table: tuple[int, int] = (0, -1)
_silent: dict[str, waiting.Deadline] = {}
_waited: dict[str, float] = {}
_left: list[int] = []
_root = ""
"""Which mounts may not answer; by which process the table of mounts is watched, and its descriptor; until when which
mounts are not asked by the next run; for how many seconds this run has waited for which; forks left behind; the
directory that this process sees as / ("": that of all)."""


def begin_run() -> None:
    """A run begins, such as an apply or a look of the watchdog: what was silent before may be asked again. A process
    that does one thing is one run, and need not say so."""
    _waited.clear()
    for mount in [mount for mount, until in _silent.items() if until.over]:
        del _silent[mount]


def mount_of(path: Path | str) -> str:
    """The mount point of the first file system on the way of `path` (through links, too) that may not answer; "" if
    there is none. That file system is not touched; the one of / is taken as answering, for without it nothing runs.
    """
    far = _distant_mounts()
    done, links = "", 0
    whole = path if Path(path).is_absolute() else f"{Path.cwd()}/{path}"
    todo = f"{_root}{whole}".split("/")[::-1]
    while far and todo:
        name = todo.pop()
        if name in ("", "."):
            continue
        if name == "..":
            done = done.rpartition("/")[0]
            continue
        here = f"{done}/{name}"
        if here in far:
            return here
        try:
            target = os.readlink(here)  # noqa: PTH115 (for each step of each path)
        except (OSError, ValueError):
            done = here
            continue
        links += 1
        if links > LINKS:
            break
        done = "" if target.startswith("/") else done
        todo += target.split("/")[::-1]
    return ""


def below(path: Path) -> bool:
    """Whether `path`, by its name alone, is on a file system that may not answer."""
    far = _distant_mounts()
    path = Path(f"{_root}{path}") if _root else path
    return bool(far) and any(str(place) in far for place in (path, *path.parents))


class Mount(NamedTuple):
    """What is mounted at a place: the type of its file system, with what options this mount was made, and of what
    (a device, such as /dev/sdb1, or any other word). read_only: nobody can write to the file system, by whatever mount
    of it: a sandbox has mounts of its own."""

    kind: str
    options: frozenset[str]
    device: str = ""
    read_only: bool = False


def mounts() -> dict[str, Mount]:
    """What is mounted at every mount point that this process sees (proc_pid_mountinfo(5)); of several one upon the
    other the last, which hides the earlier ones. Nothing where /proc can't be read."""
    found: dict[str, Mount] = {}
    with contextlib.suppress(OSError):
        for line in MOUNTINFO.read_bytes().splitlines():
            before, _, after = line.partition(b" - ")
            words = before.split(b" ")
            point = ESCAPED.sub(lambda escape: bytes([int(escape[1], 8)]), words[4])
            options = frozenset(utf8.shown(words[5]).split(","))
            kind, device, every = (utf8.shown(word) for word in after.split(b" ")[:3])
            found[os.fsdecode(point)] = Mount(kind, options, device, "ro" in every.split(","))
    return found


def mount_at(path: Path | str) -> Mount | None:
    """The file system that the absolute `path`, without links, lies on, whether it exists or not; None where that can't
    be told."""
    found = mounts()
    return next((found[str(place)] for place in (Path(path), *Path(path).parents) if str(place) in found), None)


def open_mounts() -> int:
    """A descriptor of the table of mounts, which poll(2) finds in an exceptional condition (POLLPRI) once for each time
    that it changed since it was opened (proc_pid_mounts(5)). Raises OSError."""
    return os.open(MOUNTINFO, os.O_RDONLY | os.O_CLOEXEC)


def _distant_mounts() -> frozenset[str]:
    """Those that may not answer, as they are now: looked at again only when the kernel says that one came or went."""
    global _far
    if not _root and _mounts_changed():
        _far = frozenset(point for point, mount in mounts().items() if point != "/" and not LOCAL.fullmatch(mount.kind))
    return _far


def _mounts_changed() -> bool:
    """Whether the table of mounts is another one than it was at the last call.

    Each process watches it by a descriptor of its own: what one was told, the other is not.
    """
    global _table
    process, descriptor = _table
    if process != os.getpid():
        try:
            _table = os.getpid(), open_mounts()
        except OSError:
            return True
        return True
    watched = select.poll()
    watched.register(descriptor, select.POLLPRI)
    return bool(watched.poll(0))


def ask(path: Path | str, work: Callable[[], T], wait: float = WAIT_SECONDS) -> T:
    """What `work`, which concerns `path`, returns or raises; in a fork where that file system may not answer.

    `work` may be cut short, and what it returns or raises can be pickled. Raises BadInput that names `path` when there
    is no answer within `wait` seconds; at once when this run has waited for that file system for `RUN_SECONDS`, or in
    vain.
    """
    mount = mount_of(path)
    if not mount:
        return work()
    answer = None
    waited = _waited.get(mount, 0.0)
    if mount not in _silent and waited < RUN_SECONDS:
        milliseconds = waiting.stopwatch()
        answer = _in_fork(work, min(wait, RUN_SECONDS - waited))
        _waited[mount] = waited + max(0.0, milliseconds() / 1000 - SWIFT_SECONDS)
        if answer is None:
            _silent[mount] = waiting.within(SILENT_SECONDS)
    if answer is None:
        raise bad_input(
            str(path),
            f"{mount} does not answer (network file system?)",
            f"see to that mount, or put the file on a disk of this host: findmnt {mount}",
        )
    done, value = pickle.loads(answer)  # what our own fork wrote
    if not done:
        raise value
    return value  # type: ignore[no-any-return]


def ask_as(name: str, uid: int, gid: int, work: Callable[[], T], place: Path | None = None) -> T | None:
    """What `work` returns for the user `name` (uid, gid) with its groups, in the directory `place`, into which he need
    not be let; None when it raises, or there is no answer within `WAIT_SECONDS`. Only root can be another user:
    everybody else asks for himself."""

    def as_user() -> T:
        become(name, uid, gid, place)
        return work()

    done, value = pickle.loads(_in_fork(as_user, WAIT_SECONDS) or pickle.dumps((False, None)))
    return value if done else None


def become(name: str, uid: int, gid: int, place: Path | None = None, shut: Callable[[], bool] = lambda: False) -> None:
    """Be the user `name` from now on, in the directory `place`, as `ask_as` says; for forks. shut: whether no link is
    to lead out of it (chroot(2)), asked there while we may be let to see all; without the right to do so (a container,
    an instance of somebody's own) one does. Raises OSError."""
    if place is not None:
        os.chdir(place)
    if os.geteuid() == 0:
        try:
            os.initgroups(name, gid)
        except OSError:
            os.setgroups([gid])
        os.setgid(gid)
        if place is not None and shut():
            _shut_in()
        os.setuid(uid)


def _shut_in() -> None:
    """Have no way out of the working directory, if we may; what leads to where stays known."""
    global _root
    here = str(Path.cwd())
    _distant_mounts()
    with contextlib.suppress(PermissionError):
        os.chroot(".")
        _root = here


def _in_fork(work: Callable[[], T], wait: float) -> bytes | None:
    """What `work` does, as pickled (True, result) or (False, exception); None when that takes longer than `wait`."""
    _left[:] = [pid for pid in _left if not _ended(pid)]
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(work, writer, wait)
    os.close(writer)
    with os.fdopen(reader, "rb", buffering=0) as stream:
        answer, deadline = b"", waiting.within(wait)
        while select.select([stream], [], [], deadline.left)[0]:
            piece = stream.read(1 << 20)
            if not piece:
                _left.append(child)  # which is about to end
                return answer or None
            answer += piece
    _left.append(child)
    return None


def _ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True  # one that the process had which we were forked from


def _answer(work: Callable[[], T], writer: int, wait: float) -> None:
    """In the fork: nothing of the process that it was made by stays open in it, for it may never end."""
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, wait)  # where it can be ended at all
        os.closerange(0, writer)
        os.closerange(writer + 1, os.sysconf("SC_OPEN_MAX"))
        try:
            answer = True, work()
        except Exception as error:
            answer = False, error  # type: ignore[assignment]
        data = memoryview(pickle.dumps(answer))
        while data:
            data = data[os.write(writer, data) :]
    finally:
        os._exit(0)
