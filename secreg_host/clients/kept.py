"""What is remembered of clients between runs: which of them trust us, and what of ours stands in whose files."""

from __future__ import annotations

from typing import Any

from secreg_host.base import records
from secreg_host.base.paths import Paths
from secreg_host.host import dockerfiles
from secreg_host.host.host import Host

PART = "trust"
"""What findings about clients are of."""

DOCKER = "docker"
PROXIES = "proxies"
"""The key under which stands what dockerd said of its own (`dockerproxies`)."""

MINE = {"before": (str, type(None)), "wrote": str, "added": [str], "made": bool}
RECORD: dict[Any, records.Shape] = {
    "declined": bool,
    "chosen": {str: str},
    "files": {str: {str: str}},
    "docker": {"failed": str, "path": str, "variable": str, "mine": MINE, "problem": [str], "proven": str},
    "k3s": (MINE, type(None)),
    PROXIES: {"run": str, "https": str, "none": str},
    dockerfiles.PLACES: [str],
}


class Kept:
    """The record of the instance at `paths`. Raises SecregError when it can't be read, or written."""

    def __init__(self, paths: Paths) -> None:
        self.path = paths.trust
        self.record: dict[str, Any] = records.load(self.path, RECORD)

    def save(self, key: str, value: Any, client: str = "") -> None:
        """Keep `value` by `key`; client: that of this one alone."""
        if client:
            value = {**self.record.get(key, {}), client: value}
        self.record[key] = value
        records.save(self.path, self.record)

    def of(self, key: str, client: str = "") -> Any:
        """What is kept by `key`, of `client` alone where one is named; {} for nothing."""
        found = self.record.get(key, {})
        return found.get(client, {}) if client else found


def told(host: Host) -> tuple[str, ...]:
    """The clients of `host` in whose files something of ours stands, by name."""
    known = records.peek(host.paths.trust, RECORD)
    found = [client for client, files in known.get("files", {}).items() if files]
    docker = [DOCKER] if known.get(DOCKER, {}).get("mine") else []
    k3s = ["k3s"] if known.get("k3s") else []
    return tuple(sorted({*found, *docker, *k3s}))
