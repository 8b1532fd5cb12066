"""The program with an account of what it does: each file it opens, each write, program, connection and look (stat(2)).

Run in the place of the launcher: `python3 counted.py LAUNCHER ARGUMENTS`; the account goes to $COUNTED, one JSON
array a line: what, and of which path or program.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from typing import Any

ACCOUNT = os.open(os.environ["COUNTED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
REMOVALS = ("os.remove", "os.rmdir", "shutil.rmtree")
CHANGES = ("os.rename", "os.mkdir", "os.symlink", "os.link", "os.truncate", *REMOVALS)


def told(what: str, about: object) -> None:
    """Add a line to the account."""
    os.write(
        ACCOUNT, json.dumps([what, os.fsdecode(about) if isinstance(about, bytes) else str(about)]).encode() + b"\n"
    )


def audited(event: str, given: tuple[Any, ...]) -> None:
    """Take what Python itself tells (PEP 578)."""
    if event == "open" and isinstance(given[0], str | bytes) and not (given[2] or 0) & (os.O_DIRECTORY | os.O_PATH):
        told("write" if (given[2] or 0) & WRITES else "read", given[0])
    elif event in CHANGES and (event not in REMOVALS or exists(given[0])):
        told("write", given[0])
    elif event in ("subprocess.Popen", "os.posix_spawn", "os.exec"):
        told("program", given[0])
    elif event == "socket.connect":
        told("connect", given[1])


def exists(path: Any, status: Any = os.lstat) -> bool:
    """Whether there is anything at `path`: only then is it removed."""
    try:
        status(path)
    except OSError:
        return False
    return True


def looked(real: Any) -> Any:
    """`real`, a function of os, with each call in the account."""

    def look(path: Any, *args: Any, **given: Any) -> Any:
        if not isinstance(path, int):
            told("look", path)
        return real(path, *args, **given)

    return look


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    sys.addaudithook(audited)
    synced = os.fsync
    os.fsync = lambda fd: (told("fsync", fd), synced(fd))[1]
    os.stat, os.lstat, os.readlink = looked(os.stat), looked(os.lstat), looked(os.readlink)
    runpy.run_path(sys.argv[0], run_name="__main__")
