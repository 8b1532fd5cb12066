"""Files written so that neither a crash nor a curious eye finds half of one: atomic writes, modes, the lock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from secreg_host.base import directories, reading, temporary, utf8, waiting
from secreg_host.base.errors import SecregError

log = logging.getLogger(__name__)

PRIVATE = 0o600
SECRET = 0o640
"""Of files of the administrator's that may hold secrets: a group of his own choice may read them."""

PUBLIC = 0o644


@contextlib.contextmanager
def explained(path: Path, doing: str = "write") -> Iterator[None]:
    """Turn an OSError inside the block into a `SecregError` that names `path` and the remedy."""
    try:
        yield
    except OSError as error:
        named = error.filename2 or error.filename
        beside = not isinstance(named, str) or Path(named).parent == path.parent  # a temporary file
        where = path if beside else named
        hint = _remedies(path).get(error.errno or 0, f"see what is there: ls -ld {path}")
        raise SecregError(f"cannot {doing} {where}: {error.strerror}", hint) from error


def _remedies(path: Path) -> dict[int, str]:
    """What helps where `path` can't be written, by the number of the error."""
    hidden = [part.startswith(".") for part in path.parts] + [True]
    lasting = Path(*path.parts[: min(hidden.index(True), len(path.parts) - 1)])  # what is hidden may be gone by then
    return {
        errno.ENOSPC: f"free some space on the file system of {lasting} (see: df -h {lasting})",
        errno.EDQUOT: f"remove something of the owner of {path.parent}, or raise his quota (see: quota)",
        errno.EROFS: f"the file system is mounted read-only; remount it: mount -o remount,rw (see: findmnt -T {path})",
        errno.EACCES: "run this as root (sudo), or give --root DIR for an instance of your own",
        errno.EISDIR: f"a directory is in its place; move it away: mv {path} {path}.old",
        errno.EBUSY: f"it is mounted there: edit it where it comes from (findmnt {path})",
        errno.EPERM: "run this as root (sudo); if you are, see whether the file is immutable: lsattr -d",
    }


def sync_directory(path: Path) -> None:
    """Make the names in directory `path` durable (fsync(2) on the directory)."""
    _sync(path, os.O_DIRECTORY)


def sync_tree(path: Path) -> None:
    """Make all that is below the directory `path` durable, files and names: sooner than if each file had been synced
    when it was written. Raises SecregError."""
    with explained(path):
        for folder, _, names in os.walk(path):
            for name in names:
                _sync(Path(folder, name), os.O_NOFOLLOW)
            sync_directory(Path(folder))


def _sync(path: Path, flag: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flag)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, data: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Replace `path` by `data` at once: readers and crashes see the old bytes or the new, never a part.

    The file has `mode` from its first byte, whatever the umask; `owner` is (uid, gid). A symlink at `path` is replaced,
    never written through: what it leads to is not ours. (Who is asked to edit a file that may be linked, as htpasswd
    is, names what the link leads to.)

    Raises SecregError when it can't be written; the old file is then untouched.
    """
    with explained(path):
        with temporary.instead_of(path) as descriptor:
            with os.fdopen(descriptor, "wb", closefd=False) as stream:
                stream.write(data)
            if owner is not None and os.geteuid() == 0:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
        sync_directory(path.parent)
    log.debug("wrote %s, %d bytes", path, len(data))


def rewrite(path: Path, data: bytes) -> None:
    """Write a file that somebody asked us to edit: where it is linked, what the link leads to; with its mode and owner,
    or as a secret where there was none. Raises SecregError as `write` does."""
    if status := reading.status(path):
        write(path.resolve(), data, stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid))
    else:
        write(path.resolve(), data, SECRET)


def write_own(path: Path, data: bytes) -> None:
    """`write`, for a file of the program's memory (0600), which nobody else has to do with: its directory is made, and
    a directory that stands in its place is moved away."""
    make_directory(path.parent, 0o700)
    _make_way(path)
    write(path, data, PRIVATE)


def _make_way(path: Path) -> None:
    """Move a directory that stands at `path` beside it, as NAME.old-1 and so on: no rename(2) replaces it."""
    if path.is_symlink() or not path.is_dir():
        return
    with explained(path, "move away"):
        number = 1
        while os.path.lexists(old := path.with_name(f"{path.name}.old-{number}")):
            number += 1
        path.rename(old)


def create(path: Path, data: bytes, mode: int, owner: tuple[int, int] | None = None, *, durable: bool = True) -> None:
    """Make the new file `path`, with `mode` from its first byte, its bytes on disk if it is to be `durable`. For
    directories that nobody reads yet."""
    with explained(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode & 0o700)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            if owner is not None and os.geteuid() == 0:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            if durable:
                os.fsync(descriptor)


def make_directory(path: Path, mode: int, owner: tuple[int, int] | None = None, *, durable: bool = True) -> None:
    """Make directory `path` (and its parents, 0755) with `mode` and `owner` (uid, gid), its name on disk if it is to be
    `durable`; an existing one is mended."""
    with explained(path, "create"):
        directories.make(path, mode, owner, durable=durable)


def remove(path: Path) -> None:
    """Remove the file or link `path`, if there is one, durably: it does not come back after a crash, when a record says
    that it is gone. Raises SecregError."""
    with explained(path, "remove"):
        if os.path.lexists(path):
            path.unlink(missing_ok=True)
            sync_directory(path.parent)


def remove_tree(path: Path) -> None:
    """The same for the directory `path` with all that is in it, if there is one. Raises SecregError."""
    with explained(path, "remove"):
        if os.path.lexists(path):
            shutil.rmtree(path)
            sync_directory(path.parent)


def flip(link: Path, target: str) -> None:
    """Point symlink `link`, of the program's own, at `target` (relative to its directory) atomically and durably
    (rename(2)), unless it does already. A directory that stands in its place is moved away."""
    if link.is_symlink() and str(link.readlink()) == target:
        return
    _make_way(link)
    with explained(link):
        new = link.with_name(f".{link.name}.new")
        new.unlink(missing_ok=True)
        new.symlink_to(target)
        new.replace(link)
        sync_directory(link.parent)
    log.debug("linked %s", link)  # to what may be a secret: the users' epoch


def close(path: Path, mode: int) -> None:
    """Take from every user of the host what `mode` does not let them do with the file `path`; a link is left alone."""
    with explained(path, "change"):
        now = path.lstat().st_mode
        if stat.S_ISREG(now) and now & stat.S_IRWXO & ~mode:
            path.chmod(stat.S_IMODE(now) & ~(stat.S_IRWXO & ~mode))


def read_or_none(path: Path) -> bytes | None:
    """`reading.read` for files that have no limit of their own."""
    return reading.read(path, reading.OTHER)


def _private(path: Path) -> int:
    """`path`, opened or made, for us alone: who can open a lock, even for reading, can hold it."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    os.fchmod(descriptor, PRIVATE)
    return descriptor


def shorten(path: Path, data: bytes) -> None:
    """Let the file `path` hold `data`, of at most its present length, without a new file or another block.

    One pwrite(2), padded with newlines to that length, then ftruncate(2): whoever reads meanwhile finds whole lines of
    `data` and empty ones; after a crash, too, if no line of it is elsewhere than it was. Raises SecregError when it
    can't be written.
    """
    with explained(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            length = os.fstat(descriptor).st_size
            if len(data) > length:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            if os.pwrite(descriptor, data.ljust(length, b"\n"), 0) < length:
                raise OSError(errno.EIO, "it was written in part", str(path))
            os.ftruncate(descriptor, len(data))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def exclusively(directory: Path, wait: float = 10.0) -> Iterator[None]:
    """Hold flock(2) on `directory` while the block reads, changes and writes a file: two runs lose nothing.

    Who may open it for reading can hold it, so for what others must not hold up it is one that only root can. Raises
    SecregError when somebody holds it for longer than `wait` seconds.
    """
    with explained(directory, "lock"):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not waiting.until(lambda: _taken(descriptor, directory), wait, 0.005):
            said = f"another process holds {directory}, waited {wait:.0f} s"
            raise SecregError(said, "end it (which one: lslocks), and try again")
        yield
    finally:
        os.close(descriptor)


def held(path: Path) -> bool:
    """Whether somebody holds the lock `path` right now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextlib.contextmanager
def lock(path: Path, doing: str, wait: float = 60.0, meanwhile: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the one lock of an instance while the block runs; wait up to `wait` seconds for it, and until then call
    `meanwhile` again and again.

    The kernel drops the lock (flock(2)) with its holder, so a killed run never leaves one behind. The file says who
    holds it, where there is room for that; raises SecregError with it when the time is over.
    """
    make_directory(path.parent, 0o755)
    _make_way(path)
    with explained(path, "lock"):
        descriptor = _private(path)
    try:
        took = waiting.stopwatch()
        if not waiting.until(lambda: _taken(descriptor, path), wait, 0.02, meanwhile):
            holder = utf8.shown(os.pread(descriptor, 200, 0)).strip() or "another run"
            said = f"{holder} holds {path}, waited {wait:.0f} s"
            raise SecregError(said, "try again when it is done, or end it")
        log.debug("%s: has the lock after %.0f ms", doing, took())
        _sign(descriptor, f"secure-registry {doing} (process {os.getpid()})")
        try:
            yield
        finally:
            _sign(descriptor, "")
    finally:
        os.close(descriptor)


def _taken(descriptor: int, path: Path) -> bool:
    """Whether the lock is ours now."""
    with explained(path, "lock"):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _sign(descriptor: int, text: str) -> None:
    """Let the file say `text`; who holds the lock needs no room for it."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.write(descriptor, text.encode())
