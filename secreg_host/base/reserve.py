"""Room that is kept for what must always work, on a file system that others may fill: bytes and inodes.

It is a directory of files that hold nothing: the first of them a given number of bytes, each an inode. Who can't write
gives it up, writes, and makes it anew when there is room again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from secreg_host.base import files
from secreg_host.base.errors import SecregError
from secreg_host.base.paths import Paths

Done = TypeVar("Done")

FULL = (errno.ENOSPC, errno.EDQUOT)
INODES = 8
STATE_SIZE = 256 * 1024


@dataclass(frozen=True)
class Reserve:
    """The reserve in `directory` (absolute path; it is made 0700): `size` bytes and `INODES` files."""

    directory: Path
    size: int

    def use(self, write: Callable[[], Done]) -> Done:
        """`write()`; if that fails for want of room, once more with what is kept here given up.

        Raises what `write` raises.
        """
        try:
            return write()
        except SecregError as error:
            if not is_full(error):
                raise
            self.give_up()
            return write()

    def keep(self) -> None:
        """Make what is missing of it; what there is no room for is left for a later call."""
        with contextlib.suppress(OSError, SecregError):
            files.make_directory(self.directory, 0o700)
            for number in range(INODES):
                self._keep(self.directory / str(number), self.size if number == 0 else 0)

    def _keep(self, path: Path, size: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            if path.lstat().st_size >= size:
                return
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, files.PRIVATE)
        try:
            if os.fstat(descriptor).st_size < size:
                os.posix_fallocate(descriptor, 0, size)
        except OSError:
            os.truncate(descriptor, 0)  # half of it would count as the whole
            raise
        finally:
            os.close(descriptor)

    def give_up(self) -> None:
        """Free what is kept. Removing needs no room."""
        shutil.rmtree(self.directory, ignore_errors=True)


def of_state(paths: Paths) -> Reserve:
    """The reserve beside the program's own records, for what is on the same disk."""
    return Reserve(paths.state / "reserve", STATE_SIZE)


def tells_full(words: str) -> bool:
    """Whether `words`, of ours, nginx's or the registry's, say the same."""
    return any(os.strerror(number).lower() in words.lower() for number in FULL)


def is_full(error: SecregError) -> bool:
    """Whether `error` says that there is no room: blocks, inodes, or a quota."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in FULL
