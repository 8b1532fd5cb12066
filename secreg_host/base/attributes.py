"""What an administrator has fixed in its place (chattr(1)): not even root renames, links, removes or changes that."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import stat
from pathlib import Path

from secreg_host.base import quoting

GET = 0x80086601 if array.array("l").itemsize == 8 else 0x80046601
"""FS_IOC_GETFLAGS (linux/fs.h)."""

IMMUTABLE, APPEND = 0x10, 0x20
FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY


def fixed(*paths: Path) -> str:
    """How the first of `paths` that is fixed is let go, as a command; "": none is, as far as their file systems
    tell."""
    for path in paths:
        flags = array.array("l", [0])
        with contextlib.suppress(OSError):
            if stat.S_IFMT(path.lstat().st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
                continue
            descriptor = os.open(path, FLAGS)
            try:
                fcntl.ioctl(descriptor, GET, flags)
            finally:
                os.close(descriptor)
        for flag, option in ((IMMUTABLE, "-i"), (APPEND, "-a")):
            if flags[0] & flag:
                return f"chattr {option} {quoting.shell(path)}"
    return ""
