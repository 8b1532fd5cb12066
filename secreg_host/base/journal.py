"""Telling systemd: lines with a priority on stderr (sd-daemon(3)), and the status line of the unit (sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from enum import IntEnum

from secreg_host.base.paths import JOURNAL


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


def record(text: str, level: Level, **fields: str) -> None:
    """One entry of `text` with structured `fields` (lower case here) in the journal of the service; stderr elsewhere.

    OBJECT_SYSTEMD_UNIT makes it an entry of secure-registry.service, whichever unit runs this, so that `systemctl
    status` shows it. Source: systemd's native journal protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL).
    """
    if in_journal():
        keep(text, level, **fields)
    else:
        say(text, level)


def keep(text: str, level: Level, **fields: str) -> None:
    """`record`, also when stderr is a terminal: for what is looked up later; stderr where there is no journal."""
    entry = {
        "MESSAGE": text,
        "PRIORITY": str(level.value),
        "SYSLOG_IDENTIFIER": "secure-registry",
        "OBJECT_SYSTEMD_UNIT": "secure-registry.service",
        **{f"SECREG_{name.upper()}": value for name, value in fields.items()},
    }
    encoded = {name.encode(): value.encode(errors="backslashreplace") for name, value in entry.items()}
    data = b"".join(name + b"\n" + struct.pack("<Q", len(value)) + value + b"\n" for name, value in encoded.items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.sendto(data, JOURNAL)
    except OSError:
        say(text, level)


def notify(state: str) -> None:
    """Send `state` (such as `STATUS=...`) to the service manager; nothing happens where there is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.sendto(state.encode(errors="backslashreplace"), address)
