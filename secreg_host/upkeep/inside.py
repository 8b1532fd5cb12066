"""Files below a directory in which somebody else may put links: who writes and removes there as root is led nowhere.

A directory of backups may be on a network, and whoever keeps it there can swap a directory for a link at any moment:
to /etc, say. So each directory below `top` is opened by its name in the one above, without following links, and what is
done is done to a name in the last one (openat(2), O_NOFOLLOW). Paths are text: there are many.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def _folder(top: str | Path, path: str) -> int:
    """The directory `path`, which is `top` or below it, as a descriptor. Raises OSError, which names the path."""
    at, inner = str(top), os.open(top, FOLDER & ~os.O_NOFOLLOW)
    try:
        for folder in filter(None, path.removeprefix(at).split("/")):
            at = f"{at}/{folder}"
            with _named(at):
                outer, inner = inner, os.open(folder, FOLDER, dir_fd=inner)
            os.close(outer)
    except OSError:
        os.close(inner)
        raise
    return inner


@contextlib.contextmanager
def _within(top: str | Path, path: str | Path) -> Iterator[tuple[int, str]]:
    """The directory of `path`, which is below `top`, as a descriptor, and the name in it. Raises OSError, which names
    the path as a whole."""
    folder, _, name = str(path).rpartition("/")
    descriptor = _folder(top, folder)
    try:
        with _named(str(path)):
            yield descriptor, name
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    """An error of what has a name in a directory says where that is."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename and path
        error.filename2 = None
        raise


class Kept:
    """Directories that are kept open, and what is done in them, for there are many files; top: up to where links are
    followed on the way to a path."""

    def __init__(self, top: Callable[[str], str]) -> None:
        self._top, self._open = top, dict[str, int]()

    def close(self) -> None:
        """Let go of them."""
        for descriptor in self._open.values():
            os.close(descriptor)

    def _at(self, path: str) -> tuple[int, str]:
        folder, _, name = path.rpartition("/")
        if folder not in self._open:
            self._open[folder] = _folder(self._top(path), folder)
        return self._open[folder], name

    def new(self, path: str, mode: int) -> int:
        """The new file `path`, opened for writing: what is there, such as of a run that was killed, is never written
        to, for somebody else may read it. Raises OSError."""
        folder, name = self._at(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(FileExistsError), _named(path):
            return os.open(name, flags, mode, dir_fd=folder)
        os.unlink(name, dir_fd=folder)  # noqa: PTH108
        with _named(path):
            return os.open(name, flags, mode, dir_fd=folder)

    def replace(self, old: str, new: str) -> None:
        """Let what is at `old` be at `new`. Raises OSError."""
        (folder, name), (to, called) = self._at(old), self._at(new)
        with _named(new):
            os.replace(name, called, src_dir_fd=folder, dst_dir_fd=to)  # noqa: PTH105

    def unlink(self, path: str) -> None:
        """Remove the file `path`, if it is there. Raises OSError."""
        folder, name = self._at(path)
        with contextlib.suppress(FileNotFoundError), _named(path):
            os.unlink(name, dir_fd=folder)  # noqa: PTH108


def opened(top: str | Path, path: str | Path, flags: int, mode: int = 0o600) -> int:
    """The file `path` below `top`, opened. Raises OSError."""
    with _within(top, path) as (folder, name):
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder)


def make(top: str | Path, path: str | Path, mode: int) -> None:
    """Make the directory `path` below `top`, if nothing is there. Raises OSError."""
    with _within(top, path) as (folder, name), contextlib.suppress(FileExistsError):
        os.mkdir(name, mode, dir_fd=folder)  # noqa: PTH102


def replace(top: str | Path, old: str | Path, new: str | Path) -> None:
    """Let what is at `old` be at `new`, both below `top`. Raises OSError."""
    with _within(top, new) as (to, called), _within(top, old) as (folder, name):
        os.replace(name, called, src_dir_fd=folder, dst_dir_fd=to)  # noqa: PTH105


def unlink(top: str | Path, path: str | Path, *, missing_ok: bool = False) -> None:
    """Remove the file or link `path` below `top`. Raises OSError."""
    with contextlib.suppress(*([FileNotFoundError] if missing_ok else [])), _within(top, path) as (folder, name):
        os.unlink(name, dir_fd=folder)  # noqa: PTH108


@contextlib.contextmanager
def held(top: str | Path, path: str | Path) -> Iterator[int]:
    """The directory `path` below `top` as a descriptor. Raises OSError."""
    with _within(top, f"{path}/.") as (folder, _):
        yield folder


def regular(top: str | Path, path: str | Path) -> list[str]:
    """The files in the directory `path` below `top`, by name, in order; none where it is not there. Raises OSError."""
    with contextlib.suppress(FileNotFoundError), held(top, path) as folder, os.scandir(folder) as found:
        return sorted(one.name for one in found if one.is_file(follow_symlinks=False))
    return []
