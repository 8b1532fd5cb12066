"""Asks the process that is ready (ready.py) for one apply, and ends as that ends: secure-registry-reload.service.

It runs at each save, so it loads next to nothing.
"""

from __future__ import annotations

import socket
import sys

SOCKET = "/run/secure-registry/apply.sock"
"""Where secure-registry-apply.socket listens, for root alone."""


def main() -> int:
    """Let one apply run, which says what it has to say on our stdout and stderr; returns its exit code."""
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(SOCKET)
            socket.send_fds(link, [b"\0"], [1, 2])
            answer = link.recv(1)
    except OSError as error:
        return _failed(f"cannot ask for an apply: {error.strerror} ({SOCKET})", "secure-registry-apply.socket")
    return answer[0] if answer else _failed("the apply was cut short", "secure-registry-apply.service")


def _failed(what: str, unit: str) -> int:
    remedy = f"systemctl status {unit}; at once: secure-registry reload"
    print(f"<3>secure-registry: {what}\n<3>  -> {remedy}", file=sys.stderr)
    return 1
