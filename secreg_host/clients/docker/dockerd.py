"""The Docker daemon of this host as it runs: how systemd starts it, what it shows, and letting it read its file again.

It is told by SIGHUP through systemd, never restarted, and asked afterwards (what `docker info` prints).
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from secreg_host.base import reading, waiting
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.paths import SNAP_DAEMON_JSON, Paths
from secreg_host.clients.docker import dockerflags, dockerinfo
from secreg_host.clients.docker.dockerflags import Unit
from secreg_host.clients.docker.dockerinfo import UNIT, insecure

log = logging.getLogger(__name__)

SNAP = "snap.docker.dockerd.service"
STARTING_SECONDS, PROOF_SECONDS = 20.0, 10.0
FORGETFUL = ("23.", "24.")
"""Versions of dockerd that lose "insecure-registries" when they are reloaded while mirrors are set."""


class Manager(Protocol):
    """What is needed of systemd.Systemd."""

    def unit(self, name: str) -> dict[str, Any]: ...
    def call(self, method: str, *args: Any) -> Any: ...


@dataclass(frozen=True)
class Engine:
    """dockerd as this host has it; running: it can be told to reload; stale: its unit changed on disk since systemd
    read it."""

    unit: Unit
    running: bool
    stale: bool = False


@dataclass(frozen=True)
class Proof:
    """What `docker info` must show after a reload, and what it must not show any more."""

    there: Set[str]
    gone: Set[str] = frozenset()

    def holds(self, shown: Set[str]) -> bool:
        """Whether `shown`, the registries that `docker info` lists, are as they should be."""
        return self.there <= shown and not self.gone & shown


def left_alone(paths: Paths, manager: Manager | None) -> tuple[Problem, ...]:
    """Daemons of kinds whose files are left alone."""
    found = []
    hint = 'add the entries to "insecure-registries" there yourself (see: secure-registry trust show)'
    if manager is not None and manager.unit(SNAP).get("LoadState") == "loaded":
        found.append(Problem(str(SNAP_DAEMON_JSON), "Docker is a snap, which is not edited", hint))
    for path in sorted(paths.user_runs.glob("*/docker.sock")):
        found.append(Problem(str(path), "a rootless Docker, in ~/.config/docker/daemon.json, is not edited", hint))
    return tuple(found)


class Dockerd:
    """The daemon of the host below `paths`; ask(path of its socket) returns what `docker info` prints."""

    def __init__(self, paths: Paths, manager: Manager | None, ask: Callable[[Path], dict[str, Any]] | None) -> None:
        self.paths = paths
        self.manager = manager
        self.ask = ask or dockerinfo.info
        self.engine = self.look()
        self.refused = False

    def look(self) -> Engine | None:
        """dockerd as systemd has it now; one that is starting is waited for."""
        if self.manager is None:
            return None
        for _ in waiting.looks(STARTING_SECONDS, 0.1):
            found = self.manager.unit(UNIT)
            if found.get("ActiveState") != "activating":  # a SIGHUP before it is ready would end it
                break
        if found.get("LoadState") != "loaded" or not found.get("ExecStart"):
            return None
        given = []
        for name, _ in found.get("EnvironmentFiles", ()):
            path = Path(name)
            if self.paths.root != Path("/") and not path.is_relative_to(self.paths.root):
                path = self.paths.root / name.lstrip("/")
            if (data := reading.read(path, reading.SETTINGS)) is not None:
                given.append((path, data))
        unit = Unit(tuple(found["ExecStart"][0][1]), tuple(found.get("Environment", ())), tuple(given))
        return Engine(unit, found.get("ActiveState") == "active", bool(found.get("NeedDaemonReload")))

    @property
    def running(self) -> bool:
        """Whether dockerd runs."""
        return self.engine is not None and self.engine.running

    def shown(self) -> frozenset[str]:
        """Its insecure registries."""
        return insecure(self.ask(self.socket))

    @property
    def socket(self) -> Path:
        """Where dockerd listens."""
        given = list(dockerflags.words(self.engine.unit)) if self.engine else []
        hosts = [value for flag in ("-H", "--host") for value, _ in dockerflags.values(given, flag)]
        own = [host.removeprefix("unix://") for host in hosts if host.startswith("unix://")]
        return Path(own[0]) if own and "fd://" not in hosts else self.paths.docker_socket

    def forgets(self) -> str:
        """Why a reload would make it lose the list of others, too; "" if it would not."""
        said = self.ask(self.socket)
        version = str(said.get("ServerVersion", ""))
        if version.startswith(FORGETFUL) and said["RegistryConfig"].get("Mirrors"):
            return f"Docker {version} loses its insecure registries when it is reloaded while registry-mirrors are set"
        return ""

    def hang_up(self) -> bool:
        """Let dockerd read its file again; False: it does not run any more, and reads it when it starts."""
        self.engine = self.look()
        if self.manager is None or self.engine is None or not self.engine.running:
            return False
        log.debug("docker: SIGHUP to %s", UNIT)
        self.manager.call("KillUnit", UNIT, "main", signal.SIGHUP.value)
        return True

    def reload(self, proof: Proof) -> None:
        """SIGHUP, then wait until dockerd shows what it should. Raises SecregError with its reason."""
        began = time.time()
        if not self.hang_up():
            return
        for _ in waiting.looks(PROOF_SECONDS, 0.1):
            silent: SecregError | None = None
            try:
                if proof.holds(self.shown()):
                    return
            except SecregError as error:
                silent = error
            if said := dockerinfo.last_error(began):
                break
        if silent and not said:
            raise silent
        self.refused = True
        raise SecregError(
            f"dockerd did not take the change over: {said or 'docker info does not show it'}",
            "see: journalctl -u docker -n 20; then: secure-registry trust install docker, or DOCKER_TRUST=ca",
        )
