"""Telling systemd: where what is logged goes, and the status line of the unit (sd_notify(3)).

Modules log by the standard library, `logging.getLogger(__name__)`: what people should know from INFO on; which programs
run, what is decided and how long it takes as DEBUG. This is the handler for all of it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import struct
import sys
import time
from collections.abc import Mapping
from typing import Any

from secreg_host.base import marks, masking
from secreg_host.base.paths import JOURNAL

PROGRAM = "secreg_host"
"""The logger above those of all our modules."""

DEBUG = "SECREG_DEBUG"
"""The environment variable that is as good as `--debug`, for what systemd starts."""

SET = f"systemctl set-environment {DEBUG}=1"
"""What sets it for all that systemd starts from then on (systemctl(1))."""

PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
"""Those of syslog(3) for the levels that we use."""


def start(*, debug: bool = False) -> None:
    """Let what our modules log be told from INFO on, or all of it if `debug` or the environment variable says so."""
    program = logging.getLogger(PROGRAM)
    program.handlers[:] = [Handler()]
    program.setLevel(logging.DEBUG if debug or os.environ.get(DEBUG, "0") not in ("", "0") else logging.INFO)


def entry(fields: Mapping[str, str], *, kept: bool = False) -> dict[str, Any]:
    """`extra` of what becomes one entry of the service in the journal, with structured `fields` (lower case here).

    kept: also when stderr is a terminal, in place of a line there: for what is looked up later.
    """
    return {"fields": {f"SECREG_{name.upper()}": value for name, value in fields.items()}, "kept": kept}


def in_journal() -> bool:
    """Whether stderr goes to the journal rather than to a terminal or a file."""
    return "JOURNAL_STREAM" in os.environ and not sys.stderr.isatty()


def _reads_lines() -> bool:
    """Whether the journal itself reads stderr: a command of a unit may have put a pipe or a file there since, whose
    reader knows nothing of priorities."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # none, or closed
        return os.environ.get("JOURNAL_STREAM") == marks.stream(sys.stderr.fileno())
    return False


class Handler(logging.Handler):
    """Entries (`entry`) go to the journal where there is one; all else goes to stderr, line by line, each with its
    priority where that is the journal (sd-daemon(3)). What can't be told changes nothing of what is done."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = time.time()

    def emit(self, record: logging.LogRecord) -> None:
        """Tell `record`."""
        fields = getattr(record, "fields", None)
        if fields is not None and (getattr(record, "kept", False) or in_journal()):
            with contextlib.suppress(OSError):
                _send(record, fields)
                return
        prefix = f"<{PRIORITIES[record.levelno]}>" if _reads_lines() else ""
        with contextlib.suppress(OSError, ValueError):  # it is full, or closed
            for line in self.format(record).splitlines():
                print(f"{prefix}{line}", file=sys.stderr, flush=True)

    def format(self, record: logging.LogRecord) -> str:
        """The message; of DEBUG with the module and the milliseconds since the beginning."""
        text = masking.urls(record.getMessage())
        if record.levelno > logging.DEBUG:
            return text
        return f"debug: {(record.created - self.begun) * 1000:6.0f} ms {record.name.rpartition('.')[2]}: {text}"


def _send(record: logging.LogRecord, fields: dict[str, str]) -> None:
    """One entry for the journal. Raises OSError where there is none.

    OBJECT_SYSTEMD_UNIT makes it an entry of secure-registry.service, whichever unit runs this, so that `systemctl
    status` shows it. Sources: systemd's native journal protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL),
    systemd.journal-fields(7).
    """
    told = {
        "MESSAGE": record.getMessage(),
        "PRIORITY": str(PRIORITIES[record.levelno]),
        "SYSLOG_IDENTIFIER": "secure-registry",
        "OBJECT_SYSTEMD_UNIT": "secure-registry.service",
        "CODE_FILE": record.pathname,
        "CODE_LINE": str(record.lineno),
        "CODE_FUNC": record.funcName,
        **fields,
    }
    encoded = {name.encode(): masking.urls(text).encode(errors="backslashreplace") for name, text in told.items()}
    data = b"".join(name + b"\n" + struct.pack("<Q", len(value)) + value + b"\n" for name, value in encoded.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.sendto(data, JOURNAL)


def notify(state: str) -> None:
    """Send `state` (such as `STATUS=...`) to the service manager; nothing happens where there is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.sendto(state.encode(errors="backslashreplace"), address)
