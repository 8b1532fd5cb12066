"""What of ours stands in which clients' files: the record of it."""

from __future__ import annotations

from typing import Any

from secreg_host.base import records
from secreg_host.host.host import Host

PART = "trust"
"""What findings about clients are of."""

DOCKER = "docker"
MINE = {"before": (str, type(None)), "wrote": str, "added": [str], "made": bool}
SHAPE: dict[Any, records.Shape] = {
    "declined": bool,
    "chosen": {str: str},
    "files": {str: {str: str}},
    "docker": {"failed": str, "path": str, "variable": str, "mine": MINE, "problem": [str], "proven": str},
    "k3s": (MINE, type(None)),
}


def told(host: Host) -> tuple[str, ...]:
    """The clients of `host` in whose files something of ours stands, by name."""
    known = records.peek(host.paths.trust, SHAPE)
    found = [client for client, kept in known.get("files", {}).items() if kept]
    docker = [DOCKER] if known.get(DOCKER, {}).get("mine") else []
    k3s = ["k3s"] if known.get("k3s") else []
    return tuple(sorted({*found, *docker, *k3s}))
