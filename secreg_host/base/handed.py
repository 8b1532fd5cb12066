"""Sockets that somebody listens on for us: systemd (sd_listen_fds(3)), or who runs an instance in the foreground."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from secreg_host.base import files
from secreg_host.base.errors import bad_input

FIRST_DESCRIPTOR = 3


def listener(unit: str) -> socket.socket:
    """The socket of `unit`, which no program that we start gets. Raises BadInput where systemd did not start us."""
    if os.environ.get("LISTEN_FDS") != "1":
        raise bad_input("LISTEN_FDS", "only systemd can run this, by its socket", f"systemctl restart {unit}")
    found = socket.socket(fileno=FIRST_DESCRIPTOR)
    found.set_inheritable(False)
    return found


def at_stdin() -> socket.socket:
    """The one that stands in the place of our input."""
    return socket.socket(fileno=os.dup(0))


@contextlib.contextmanager
def bound(path: Path, owner: tuple[int, int], backlog: int) -> Iterator[socket.socket]:
    """A socket at `path` within the block, which only its `owner` can connect to."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as found:
        found.bind(str(path))
        path.chmod(files.PRIVATE)
        os.chown(path, *owner)
        found.listen(backlog)
        try:
            yield found
        finally:
            path.unlink(missing_ok=True)
