"""Telling systemd: lines with a priority on stderr (sd-daemon(3)), and the status line of the unit (sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from enum import IntEnum


class Level(IntEnum):
    """syslog(3) priorities that we use."""

    ERROR = 3
    WARNING = 4
    INFO = 6


def in_journal() -> bool:
    """Whether stderr goes to the journal rather than to a terminal or a file."""
    return "JOURNAL_STREAM" in os.environ and not sys.stderr.isatty()


def say(text: str, level: Level = Level.INFO) -> None:
    """Print `text` to stderr; each line with its priority when that is the journal."""
    prefix = f"<{level.value}>" if in_journal() else ""
    for line in text.splitlines():
        print(f"{prefix}{line}", file=sys.stderr, flush=True)


def notify(state: str) -> None:
    """Send `state` (such as `STATUS=...`) to the service manager; nothing happens where there is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.sendto(state.encode(), address)
