"""A booted Debian host: run commands in it, read and write its files and its journal, reboot it, cut its power.

    with Machine.boot(tree.base("trixie"), "registry") as host:
        host.install(deb)
        host.run("secure-registry", "setup", "registry.test")
        host.power_cut()

Costs on a two-core computer: booted with dockerd 1 to 1.5 s, a command 5 ms, `reboot` 1.2 s, `power_cut` 1 s.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.hosts import tree
from tests.hosts.network import Port
from tests.hosts.nspawn import REBOOT, Nspawn
from tests.hosts.observe import Observed
from tests.hosts.workspace import Workspace

# Directories under /var/lib that are plain ones of our disk: overlay2 can't work on an overlay.
_DATA = {"usr/sbin/dockerd": ("docker", "containerd"), "usr/bin/podman": ("containers",)}
_DOCKER_UNITS = ("docker.service", "docker.socket", "containerd.service")

boots: Counter[Path] = Counter()
"""How often hosts were booted from which tree."""


class Machine(Observed):
    """One host. What it writes is kept in a layer on top of `base`; it survives reboots, not the end of the `with`."""

    def __init__(self, base: Path | Machine, name: str, *, volatile: bool = True, docker: bool = True) -> None:
        tree.require()
        self.name = name
        lower: tuple[Path, ...] = base.layers if isinstance(base, Machine) else (base,)
        self._port = Port()
        self.address = self._port.address
        self._workspace = Workspace(lower, name, in_memory=volatile)
        self.layers: tuple[Path, ...] = (self._workspace.upper, *lower)
        self._identify()
        has_docker = (self.disk / "usr/sbin/dockerd").exists()
        self._docker = docker and has_docker
        folders = [name for program, names in _DATA.items() if (self.disk / program).exists() for name in names]
        self._binds = {self._workspace.folder(folder): f"/var/lib/{folder}" for folder in folders}
        self._arguments = [f"systemd.mask={unit}" for unit in _DOCKER_UNITS] if has_docker and not docker else []
        self._nspawn: Nspawn | None = None

    @classmethod
    def boot(cls, base: Path | Machine, name: str = "host", *, volatile: bool = True, docker: bool = True) -> Machine:
        """Boot a host called `name` and wait until it runs.

        base: a tree, or a Machine that was shut down and stays so as long as copies of it live (docker's images and
        containers aren't copied). volatile: keep its files in memory (half of it at most) instead of on disk, which is
        for hosts that hold gigabytes; docker's own data is always on disk. docker: start dockerd, if the tree has one.
        """
        if isinstance(base, Machine) and base.is_on:
            raise RuntimeError(f"host {base.name} is on: shut it down before copying it")
        machine = cls(base, name, volatile=volatile, docker=docker)
        try:
            machine.start()
        except BaseException:
            machine.close()
            raise
        return machine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _identify(self) -> None:
        """What an installer would write; an identity of its own, if it's a copy."""
        etc = self.disk / "etc"
        (etc / "hostname").write_text(f"{self.name}\n")
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n::1 localhost ip6-localhost\n")
        (etc / "machine-id").write_text("")

    @property
    def disk(self) -> Path:
        """Its file system out here, without what is mounted in it, also when it's off."""
        return self._workspace.root

    @property
    def is_on(self) -> bool:
        return self._nspawn is not None and self._nspawn.alive

    @property
    def leader(self) -> int:
        """The process id, out here, of the host's PID 1; another one after each boot."""
        nspawn = self._on()
        if not nspawn.alive:
            raise RuntimeError(f"host {self.name} is off; the end of its console:\n{nspawn.said()}")
        return nspawn.leader

    def start(self, timeout: float = 60) -> None:
        """Switch it on and wait until it runs."""
        self._port.plug()
        boots[self.layers[-1]] += 1
        self._nspawn = Nspawn(
            self._workspace.root,
            self.name,
            self._port.namespace,
            self._workspace.group,
            self._workspace.console,
            self._binds,
            self._arguments,
        )
        self.wait_for("the end of booting", self._is_up, timeout)
        if self._docker:
            self.wait_unit("docker.service", timeout=timeout)

    def _is_up(self) -> bool:
        done = self.run("systemctl", "is-system-running", check=False)
        return done.stdout.strip() in ("running", "degraded")  # Debian 13: systemd-modules-load fails in a container

    def reboot(self, timeout: float = 60) -> None:
        """What `reboot` does, until it runs again."""
        nspawn = self._on()
        self.run("systemctl", "reboot", check=False)
        status = nspawn.wait(timeout)
        if status != REBOOT:
            raise RuntimeError(f"host {self.name} did not reboot, nspawn ended with {status}:\n{nspawn.said()}")
        self.start(timeout)

    def power_cut(self, start: bool = True) -> None:
        """End every process at once, then boot again, unless `start` is off.

        Not all of a real one: what was written but not synced is still there. It shows what half-done work looks like;
        which fsync is missing, `tests/power` shows.
        """
        self._on().kill()
        if start:
            self.start()

    def shutdown(self) -> None:
        """What `poweroff` does; `start` switches it on again."""
        self._on().shut_down()

    def _on(self) -> Nspawn:
        if self._nspawn is None:
            raise RuntimeError(f"host {self.name} was never started")
        return self._nspawn

    def close(self) -> None:
        """The end: kill it, and remove all that there is of it."""
        try:
            if self._nspawn is not None:
                self._nspawn.kill()
        finally:
            self._port.unplug()
            self._workspace.close()
