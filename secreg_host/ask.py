"""Asks the process that is ready (ready.py) for one apply, and ends as that ends: secure-registry-reload.service.

It runs at each save, so it loads next to nothing.
"""

from __future__ import annotations

import socket
import sys

SOCKET = "/run/secure-registry/apply.sock"
"""Where secure-registry-apply.socket listens, for root alone."""

UNHEARD = 75
"""Exit code for an apply that did not end by itself, if it began at all (EX_TEMPFAIL of sysexits.h)."""


def main() -> int:
    """Let one apply run, which says what it has to say on our stdout and stderr; returns its exit code, or UNHEARD."""
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(SOCKET)
            socket.send_fds(link, [b"\0"], [1, 2])
            answer = link.recv(1)
    except OSError as error:
        return _unheard(f"cannot ask for an apply: {error.strerror} ({SOCKET})")
    return answer[0] if answer else _unheard("the apply was cut short")


def _unheard(what: str) -> int:
    remedy = "one is done without what is ready for it; if it stays so: systemctl restart secure-registry-apply.socket"
    print(f"<3>secure-registry: {what}\n<3>  -> {remedy}", file=sys.stderr)
    return UNHEARD
