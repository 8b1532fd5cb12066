"""Clients that trust the registry follow what serves: the end of an apply."""

from __future__ import annotations

from secreg_host.apply.report import Finding, findings
from secreg_host.base import bugs, records
from secreg_host.clients import trust
from secreg_host.clients.docker.dockerd import Manager
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host

PART = "trust"


def follow(host: Host, manager: Manager, generation: Generation) -> tuple[Finding, ...]:
    """Let the clients of `host` that trust us follow `generation`, which serves; what goes wrong there is a warning,
    never a failure. For whoever holds the lock. manager: systemd, by the connection that the apply has."""
    try:
        problems = trust.Trust(host, generation, manager).follow()
    except BaseException as error:
        problems = bugs.caught(error, host.paths.trust)
    return findings("warning", PART, problems)


def told(host: Host) -> tuple[str, ...]:
    """The clients of `host` in whose files something of ours stands, by name."""
    record = records.peek(host.paths.trust, trust.RECORD)
    found = [client for client, kept in record.get("files", {}).items() if kept]
    docker = [trust.DOCKER] if record.get(trust.DOCKER, {}).get("mine") else []
    k3s = ["k3s"] if record.get("k3s") else []
    return tuple(sorted({*found, *docker, *k3s}))
