"""Asks the process that is ready (ready.py) for one apply, and ends as that ends: secure-registry-reload.service.

It runs at each save, so it loads next to nothing: `socket`, which makes an enumeration of each of its constants, would
take longer than all else.
"""

from __future__ import annotations

import sys
from _socket import AF_UNIX, SCM_RIGHTS, SOL_SOCKET, socket
from posix import environ

SOCKET = "/run/secure-registry/apply.sock"
"""Where secure-registry-apply.socket listens, for root alone."""

HEARD_SECONDS = 0.2
"""How long what is ready may take to begin: it does nothing else. One that hangs is passed by."""

ASKED, DEBUGGED, RENEWED = b"\0", b"\1", b"\2"
"""What is asked for: an apply, or one that says all it does (`SECREG_DEBUG` in the environment, as elsewhere); or one
in which the registry moves to another slot, whatever else is so."""

BEGUN = b"\xff"
"""What it says first."""

BUSY = f"what is ready for an apply does not answer within {HEARD_SECONDS} s"

UNHEARD = 75
"""Exit code for an apply that did not end by itself, if it began at all (EX_TEMPFAIL of sysexits.h)."""


def main() -> int:
    """Let one apply run, which says what it has to say on our stdout and stderr; returns its exit code, or UNHEARD."""
    debugged = environ.get(b"SECREG_DEBUG", b"0") not in (b"", b"0")
    code, wrong = ask(DEBUGGED if debugged else ASKED)
    if wrong:
        remedy = "one is done without what is ready for it; if it stays so: systemctl restart"
        print(f"<5>secure-registry: {wrong}\n<5>  -> {remedy} secure-registry-apply.socket", file=sys.stderr)
    return code


def ask(wanted: bytes, outputs: tuple[int, int] = (1, 2)) -> tuple[int, str]:
    """Let one apply run that is as `wanted`, and says what it has to say on `outputs`: its exit code; or UNHEARD, and
    why."""
    try:
        link = socket(AF_UNIX)
        link.connect(SOCKET)
        rights = b"".join(descriptor.to_bytes(4, sys.byteorder) for descriptor in outputs)
        link.sendmsg([wanted], [(SOL_SOCKET, SCM_RIGHTS, rights)])
        link.settimeout(HEARD_SECONDS)
        if link.recv(1) != BEGUN:
            return UNHEARD, "the apply did not begin"
        link.settimeout(None)
        answer = link.recv(1)
    except TimeoutError:
        return UNHEARD, BUSY
    except OSError as error:
        return UNHEARD, f"cannot ask for an apply: {error.strerror} ({SOCKET})"
    return (answer[0], "") if answer else (UNHEARD, "the apply was cut short")
