"""The socket that systemd listens on for us (sd_listen_fds(3))."""

from __future__ import annotations

import os
import socket

from secreg_host.base.errors import bad_input

FIRST_DESCRIPTOR = 3


def listener(unit: str) -> socket.socket:
    """The socket of `unit`, which no program that we start gets. Raises BadInput where systemd did not start us."""
    if os.environ.get("LISTEN_FDS") != "1":
        raise bad_input("LISTEN_FDS", "only systemd can run this, by its socket", f"systemctl restart {unit}")
    found = socket.socket(fileno=FIRST_DESCRIPTOR)
    found.set_inheritable(False)
    return found
