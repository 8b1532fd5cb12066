"""The Docker daemon of this host: what DOCKER_TRUST comes to, and doing that with each apply."""

from __future__ import annotations

import contextlib
import logging
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

from secreg_host.base import files, names, reading
from secreg_host.base.errors import Problem, SecregError, bad_input
from secreg_host.base.paths import Paths
from secreg_host.base.process import find_program
from secreg_host.base.proxies import Proxies
from secreg_host.clients import certsd, owned, proxied, served
from secreg_host.clients.docker import docker, dockerd, dockerinfo, dockerproxies
from secreg_host.clients.docker.dockerd import ENDLESS, Dockerd, Manager, Patience
from secreg_host.clients.kept import DOCKER, Kept
from secreg_host.clients.rules import Rules
from secreg_host.clients.served import Endpoint
from secreg_host.generation.generations import Generation
from secreg_host.host import dockerfiles
from secreg_host.pki import handshake
from secreg_host.pki.handshake import Rule

log = logging.getLogger(__name__)

NAME = DOCKER


def found(paths: Paths) -> bool:
    """Whether Docker is on this host, or a directory of its settings."""
    return any(find_program(name) for name in ("dockerd", "docker")) or reading.is_directory(paths.docker)


def rules(paths: Paths, said: dict[str, Any], proxies: Proxies) -> Rules:
    """dockerd, by what `docker info` says: "insecure-registries" by name, or by the network of an address; else certs.d
    and the system."""
    named = dockerinfo.insecure(said)
    networks = [names.network(word) for word in said.get("RegistryConfig", {}).get("InsecureRegistryCIDRs") or ()]

    def rule(endpoint: Endpoint, word: str) -> Rule:
        near = False
        with contextlib.suppress(OSError, ValueError):
            for answer in socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM):
                address = names.address(str(answer[4][0]))
                near |= address is not None and any(address in network for network in networks)
        directory = paths.docker / "certs.d" / word
        through = proxies.towards(endpoint.host, endpoint.port)
        if word in named or near:
            return Rule(insecure=True, proxy=through)
        return Rule(cas=certsd.cas(directory), proxy=through, refuses=certsd.refused(directory))

    return rule


class Docker:
    """dockerd of the host below `paths`, by what is `kept` of it; current: what serves (None: nothing does)."""

    def __init__(self, paths: Paths, current: Generation | None, manager: Manager | None, kept: Kept) -> None:
        self.paths = paths
        self.manager = manager
        self.kept = kept
        self.served = served.of(current) if current else None
        self.settings = current.settings if current else None
        self.reach = next((at.reach for at in current.listens if at.tls), "") if current else ""

    @property
    def record(self) -> docker.Record:
        """What we did to it."""
        return docker.Record.from_json(self.kept.of(NAME))

    def begin_anew(self) -> None:
        """Forget that it was removed, and what failed."""
        self.kept.save("declined", value=False)
        self.kept.save(NAME, replace(self.record, failed="", problem=None, proven="").as_json())

    def mode(self) -> str:
        """DOCKER_TRUST as it counts now: a publicly trusted certificate needs nothing; nor does what was removed."""
        if self.served is None or self.settings is None or self.kept.record.get("declined"):
            return "none"
        mode = self.settings.docker_trust
        if mode == "none" or not self.served.endpoints:
            return "none"
        if not self._own_ca():
            first = self.served.endpoints[0]
            if handshake.shake(first.host, first.port, Rule(), self.reach) in ("", handshake.OUT_OF_TIME):
                return "none"  # an expired one is no reason to stop verifying
        if mode == "ca" and self.served.ca is None:
            raise bad_input(
                str(self.paths.ca_crt),
                "is not the CA of the certificate that is served, so Docker can't be told to trust it",
                "put your CA's certificate there, or set DOCKER_TRUST=insecure",
            )
        return mode

    def _own_ca(self) -> bool:
        """Whether the CA that we made signed what is served. (In the system's store, dockerd may not have read it.)"""
        own = files.read_or_none(self.paths.state / self.paths.ca_crt.name)
        return self.served is not None and self.served.ca is not None and self.served.ca.strip() in (own or b"")

    def follow(self, patience: Patience = ENDLESS) -> tuple[Problem, ...]:
        """Bring it up to what is served now; what the administrator should know."""
        wanted: tuple[str, ...] = ()
        own: dict[Path, bytes] = {}
        problems: tuple[Problem, ...] = ()
        mode = "none"
        try:
            mode = self.mode()
        except SecregError as error:
            problems = error.problems
        log.debug("DOCKER_TRUST counts as %s", mode)
        if self.served is not None and mode == "insecure":
            wanted = self.served.insecure_entries
        if self.served is not None and mode == "ca" and self.served.ca and found(self.paths):
            own = certsd.wants(self.paths.docker / "certs.d", self.served)
            problems += certsd.faults(path.parent for path in own)
        problems += owned.client(self.kept, NAME, own)[1]
        record = self.record
        if self.manager is None and wanted:
            hint = f'add to "insecure-registries" of {self.paths.docker}/daemon.json: {", ".join(wanted)}'
            return (*problems, Problem(NAME, "is left alone where systemd does not run", hint))
        daemon: Dockerd | None = None
        if wanted or record.target is not None:
            engine = docker.Docker(self.paths, self.manager, patience=patience)
            problems += engine.follow(record, wanted, lambda new: self.kept.save(NAME, new.as_json()))
            daemon = engine.dockerd
        if mode == "none":
            dockerproxies.forget(self.kept)
            return problems
        return (*problems, *self._proxied(daemon), *dockerd.left_alone(self.paths, self.manager))

    def _proxied(self, daemon: Dockerd | None) -> tuple[Problem, ...]:
        """That it goes to the registry through a proxy. daemon: it, where it was looked at already."""
        found = daemon or Dockerd(self.paths, self.manager, None, Patience(endless=False))
        engine = found.engine
        if engine is None or self.served is None:
            return ()
        places = sorted(map(str, engine.unit.places))
        if places != self.kept.record.get(dockerfiles.PLACES, []):
            self.kept.save(dockerfiles.PLACES, places)
        proxies = dockerproxies.of(self.kept, found)
        if not (far := proxied.through(proxies, self.served)):
            return ()
        remedy = proxied.place(dockerinfo.UNIT, engine.unit, found.config)
        return (proxied.problem(NAME, proxies, far, remedy),)
