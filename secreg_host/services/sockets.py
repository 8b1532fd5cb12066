"""The sockets on which systemd listens for us: whether their paths lead there. Who removes such a file cuts everybody
off, and systemd takes no note of it: a unit that is active makes it again only when it is started anew."""

from __future__ import annotations

import errno
import logging
import socket
from pathlib import Path

from secreg_host.base import journal
from secreg_host.base.paths import Paths
from secreg_host.base.systemd import Systemd
from secreg_host.services import units

log = logging.getLogger(__name__)

QUEUE = "secure-registry-queue.socket"
PATHS = {QUEUE: "queue.sock", units.MANIFESTS: "manifests.sock", "secure-registry-apply.socket": "apply.sock"}
"""Our units that listen, and where, below the run directory (units/*.socket, templates/units/*.socket.j2)."""

NOBODY = (errno.ENOENT, errno.ECONNREFUSED)


def leads(path: Path) -> bool:
    """Whether `path` leads to a socket that somebody has. It is asked by one of another type, which the kernel refuses
    by EPROTOTYPE then (unix(7)): what listens there is not started, or kept from its work, by a look."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        try:
            link.connect(str(path))
        except OSError as error:
            return error.errno not in NOBODY
    return True


def lost(paths: Paths, manager: Systemd) -> list[str]:
    """Those that should listen and where nobody gets to; not while the main unit does not run, nor what somebody
    stopped. Raises SecregError."""
    astray = {unit: paths.run / name for unit, name in PATHS.items() if not leads(paths.run / name)}
    if not astray:
        return []
    states = manager.actives([units.MAIN, *astray])
    if states[units.MAIN][0] not in ("active", "reloading"):
        return []
    should = (unit for unit in astray if states[unit][0] in ("active", "failed"))
    return [unit for unit in should if not leads(astray[unit])]  # else it was started anew between the looks


def reopen(manager: Systemd, unit: str, *, wait: bool = True) -> None:
    """Have `unit` started anew, with what it starts, unless something else is about to become of it. Raises
    SecregError."""
    log.warning(f"nobody gets to {unit}: it is started anew", extra=journal.entry({"kind": "lost", "where": unit}))
    manager.job("RestartUnit", unit, mode="fail", wait=wait)
