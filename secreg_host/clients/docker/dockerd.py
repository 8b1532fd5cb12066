"""The Docker daemon of this host as it runs: how systemd starts it, what it shows, and letting it read its file again.

It is told by SIGHUP through systemd, never restarted, and asked afterwards (what `docker info` prints). Whoever types a
command waits for it. An apply does not: what can't be had at once is had later, when the watchdog tries again.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from secreg_host.base import reading, waiting
from secreg_host.base.errors import Later, Problem, SecregError
from secreg_host.base.paths import PROC, SNAP_DAEMON_JSON, Paths
from secreg_host.clients.docker import daemonjson, dockerflags, dockerinfo
from secreg_host.clients.docker import unit as units
from secreg_host.clients.docker.dockerinfo import UNIT, Silent, insecure
from secreg_host.clients.docker.unit import Unit
from secreg_host.watchdog import retries

log = logging.getLogger(__name__)

SNAP = "snap.docker.dockerd.service"
STARTING_SECONDS, PROOF_SECONDS, SOON_SECONDS = 20.0, 10.0, 1.0
"""How long whoever types a command waits for a dockerd that is starting; how long it may take to take a change over;
how long an apply waits for an answer before it leaves that for later."""

STARTING = "is starting, and can't be told yet where the registry is"
SILENT = "does not answer, so it can't be told where the registry is"
HINT = "it is told by itself as soon as it can be; if it does not come up: systemctl status docker"
FORGETFUL = ("23.", "24.")
"""Versions of dockerd that lose "insecure-registries" when they are reloaded while mirrors are set."""


class Manager(Protocol):
    """What is needed of systemd.Systemd."""

    def unit(self, name: str) -> dict[str, Any]: ...
    def call(self, method: str, *args: Any) -> Any: ...


class NotNow(SecregError):
    """dockerd can't be asked at the moment."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        return (Later(UNIT, self.message, self.hint),)


@dataclass(frozen=True)
class Engine:
    """dockerd as this host has it; running: it can be told to reload; starting: it can't yet, or not just now; stale:
    its unit changed on disk since systemd read it; failed: systemd does not start it any more; run: its number; pid: of
    its process."""

    unit: Unit
    running: bool
    starting: bool = False
    stale: bool = False
    failed: bool = False
    run: str = ""
    pid: int = 0


@dataclass(frozen=True)
class Patience:
    """How long dockerd is waited for: as long as it takes, or not by an apply, which does `meanwhile` what users wait
    for."""

    endless: bool = True
    meanwhile: Callable[[], None] = lambda: None


ENDLESS = Patience()


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

    def __init__(
        self,
        paths: Paths,
        manager: Manager | None,
        ask: Callable[[Path], dict[str, Any]] | None,
        patience: Patience,
    ) -> None:
        self.paths = paths
        self.manager = manager
        self.patience = patience
        self.ask = ask or (dockerinfo.info if patience.endless else partial(dockerinfo.info, seconds=SOON_SECONDS))
        self.engine = self.look()
        self.refused = False

    def look(self) -> Engine | None:
        """dockerd as systemd has it now; one that is starting is waited for by those who can."""
        if self.manager is None:
            return None
        for _ in waiting.looks(STARTING_SECONDS if self.patience.endless else 0.0, 0.1):
            found = self.manager.unit(UNIT)
            state = found.get("ActiveState")
            if not (starting := state in ("activating", "reloading")):  # a SIGHUP before it is ready would end it
                break
        unit = units.read(self.paths, found)
        if unit is None:
            return None
        failed, stale = state == "failed", bool(found.get("NeedDaemonReload"))
        run, pid = str(found.get("InvocationID", "")), int(found.get("MainPID", 0))
        return Engine(unit, state == "active", starting, stale, failed, run, pid)

    @property
    def running(self) -> bool:
        """Whether dockerd runs."""
        return self.engine is not None and self.engine.running

    @property
    def starting(self) -> bool:
        """Whether dockerd is about to run."""
        return self.engine is not None and self.engine.starting

    @property
    def outdated(self) -> bool:
        """Whether it runs with flags beside which it takes none of our entries, and would be started without them."""
        if self.engine is None or not self.engine.pid or dockerflags.flagged(self.engine.unit):
            return False
        given = reading.peek(PROC / str(self.engine.pid) / "cmdline", reading.SETTINGS)
        return any(word.partition(b"=")[0] == dockerflags.FLAG.encode() for word in given.split(b"\0"))

    def shown(self) -> frozenset[str]:
        """Its insecure registries. Raises SecregError when it can't be asked, NotNow where that is tried again."""
        return insecure(self.info())

    def info(self) -> dict[str, Any]:
        """What `docker info` prints. Raises SecregError, NotNow where that is tried again."""
        if self.starting:
            raise NotNow(STARTING, HINT)
        if not self.patience.endless and self._was_silent():
            raise NotNow(SILENT, HINT)
        try:
            return self.ask(self.socket)
        except Silent as error:
            if self.patience.endless:
                raise
            raise NotNow(SILENT, HINT) from error

    def _was_silent(self) -> bool:
        """Whether it did not answer a moment ago, and it is not yet time to ask it again: edits do not wait for it."""
        retry = retries.load(self.paths)
        silent = retry is not None and any((one.where, one.what) == (UNIT, SILENT) for one in retry.what)
        return silent and retry is not None and retry.seconds(time.time()) > 0

    @property
    def config(self) -> Path:
        """The daemon.json that it reads."""
        usual = self.paths.docker / "daemon.json"
        return dockerflags.config_file(self.engine.unit, usual) if self.engine else usual

    @property
    def socket(self) -> Path:
        """Where dockerd listens. Raises SecregError when that is no socket of this host."""
        given = list(dockerflags.words(self.engine.unit)) if self.engine else []
        hosts = [value for flag in ("-H", "--host") for value, _ in dockerflags.values(given, flag)]
        hosts = hosts or list(daemonjson.hosts(reading.peek(self.config, reading.JSON)))
        own = [host.removeprefix("unix://") for host in hosts if host.startswith("unix://")]
        if own and "fd://" not in hosts:
            return Path(own[0]) if own[0] else self.paths.docker_socket
        if hosts and "fd://" not in hosts:
            hint = f'add to "hosts" of {self.config}, or to its flags: unix://{self.paths.docker_socket}'
            raise SecregError(f"dockerd listens on {hosts[0]} alone, where it is not asked", hint)
        return self.paths.docker_socket

    def forgets(self) -> str:
        """Why a reload would make it lose the list of others, too; "" if it would not."""
        said = self.info()
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

    def come_back(self) -> None:
        """Let dockerd run again that did not start with entries of ours, which were taken out just now: after a few
        attempts systemd gives up. One that somebody stopped stays so. Raises SecregError."""
        for _ in waiting.looks(PROOF_SECONDS, 0.1, self.patience.meanwhile):
            if self.manager is None or self.engine is None or not (self.starting or self.engine.failed):
                return
            if self.engine.failed:
                log.info("%s did not start with entries of ours; they are out, and it is started", UNIT)
                self.manager.call("ResetFailedUnit", UNIT)
                self.manager.call("StartUnit", UNIT, "fail")
                return
            self.engine = self.look()

    def reload(self, proof: Proof) -> bool:
        """SIGHUP, then wait until dockerd shows what it should; False: it does not run any more, so it shows nothing.
        Raises SecregError with its reason."""
        began = time.time()
        if not self.hang_up():
            if self.starting:
                raise NotNow(STARTING, HINT)
            return False
        for _ in waiting.looks(PROOF_SECONDS, 0.1, self.patience.meanwhile):
            silent: SecregError | None = None
            try:
                if proof.holds(self.shown()):
                    return True
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
