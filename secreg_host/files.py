"""Files written so that neither a crash nor a curious eye finds half of one: atomic writes, modes, the lock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from secreg_host.errors import SecregError

PRIVATE = 0o600
SECRET = 0o640
"""Of files of the administrator's that may hold secrets: a group of his own choice may read them."""

PUBLIC = 0o644


@contextlib.contextmanager
def explained(path: Path, doing: str = "write") -> Iterator[None]:
    """Turn an OSError inside the block into a `SecregError` that names `path` and the remedy."""
    remedies = {
        errno.ENOSPC: f"free some space on the file system of {path.parent} (see: df -h {path.parent})",
        errno.EDQUOT: f"the quota of {path.parent} is used up",
        errno.EROFS: f"the file system is mounted read-only; remount it: mount -o remount,rw (see: findmnt -T {path})",
        errno.EACCES: "run this as root (sudo), or give --root DIR for an instance of your own",
        errno.EPERM: "run this as root (sudo); if you are, see whether the file is immutable: lsattr -d",
    }
    try:
        yield
    except OSError as error:
        hint = remedies.get(error.errno or 0, "")
        raise SecregError(f"cannot {doing} {error.filename or path}: {error.strerror}", hint) from error


def sync_directory(path: Path) -> None:
    """Make the names in directory `path` durable (fsync(2) on the directory)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, data: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Replace `path` by `data` at once: readers and crashes see the old bytes or the new, never a part.

    The file has `mode` from its first byte, whatever the umask; `owner` is (uid, gid). A symlink at `path` is
    followed, so that what the administrator linked stays linked.

    Raises SecregError when it can't be written; the old file is then untouched.
    """
    target = path.resolve() if path.is_symlink() else path
    with explained(target):
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".new", dir=target.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as stream:  # mkstemp created it 0600
                stream.write(data)
                stream.flush()
                if owner is not None and os.geteuid() == 0:
                    os.fchown(stream.fileno(), *owner)
                os.fchmod(stream.fileno(), mode)
                os.fsync(stream.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(target.parent)


def create(path: Path, data: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Make the new file `path` durably, with `mode` from its first byte. For directories that nobody reads yet."""
    with explained(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode & 0o700)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            if owner is not None and os.geteuid() == 0:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)


def make_directory(path: Path, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Make directory `path` (and its parents, 0755) with `mode` and `owner` (uid, gid); an existing one is mended."""
    with explained(path, "create"):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=mode & 0o700)
        status = path.stat()
        if owner is not None and os.geteuid() == 0 and (status.st_uid, status.st_gid) != owner:
            os.chown(path, *owner)
        if status.st_mode & 0o7777 != mode:
            path.chmod(mode)


def flip(link: Path, target: str) -> None:
    """Point symlink `link` at `target` (relative to its directory) atomically and durably (rename(2))."""
    with explained(link):
        temporary = link.with_name(f".{link.name}.new")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(link)
        sync_directory(link.parent)


def close(path: Path, mode: int) -> None:
    """Take from every user of the host what `mode` does not let them do with the file `path`; a link is left alone."""
    with explained(path, "change"):
        now = path.lstat().st_mode
        if stat.S_ISREG(now) and now & stat.S_IRWXO & ~mode:
            path.chmod(stat.S_IMODE(now) & ~(stat.S_IRWXO & ~mode))


def read_or_none(path: Path) -> bytes | None:
    """The bytes of `path`, None if there is no such file. Other errors are raised as SecregError."""
    with explained(path, "read"):
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None


def _private(path: Path) -> int:
    """`path`, opened or made, for us alone: who can open a lock, even for reading, can hold it."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    os.fchmod(descriptor, PRIVATE)
    return descriptor


@contextlib.contextmanager
def exclusively(directory: Path) -> Iterator[None]:
    """Hold flock(2) on `directory` while the block reads, changes and writes a file there: two runs lose nothing."""
    with explained(directory, "lock"):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def held(path: Path) -> bool:
    """Whether somebody holds the lock `path` right now."""
    try:
        with path.open() as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextlib.contextmanager
def lock(path: Path, doing: str, wait: float = 60.0) -> Iterator[None]:
    """Hold the one lock of an instance while the block runs; wait up to `wait` seconds for it.

    The kernel drops the lock (flock(2)) with its holder, so a killed run never leaves one behind. The file says who
    holds it; raises SecregError with that when the time is over.
    """
    import time

    make_directory(path.parent, 0o755)
    with explained(path, "lock"), os.fdopen(_private(path), "a+") as stream:
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    stream.seek(0)
                    holder = stream.read().strip() or "another run"
                    raise SecregError(
                        f"{holder} holds {path}, waited {wait:.0f} s", "try again when it is done, or end it"
                    ) from None
                time.sleep(0.02)
        stream.truncate(0)
        stream.write(f"secure-registry {doing} (process {os.getpid()})")
        stream.flush()
        try:
            yield
        finally:
            stream.truncate(0)
