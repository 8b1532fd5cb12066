"""An instance, whoever runs it: systemd, or a process in the foreground. Verbs ask no further."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from secreg_host.apply import apply, hooks
from secreg_host.apply.activate import Stage
from secreg_host.apply.report import Finding, Report
from secreg_host.apply.usersfirst import Users
from secreg_host.apply.wish import Wish
from secreg_host.base import journal, quoting
from secreg_host.base.errors import SecregError, bad_input
from secreg_host.command import foreground
from secreg_host.command.call import Call
from secreg_host.formats.registryconf import MEMORY, Keeping
from secreg_host.generation.generations import Generation
from secreg_host.host import processes
from secreg_host.host.host import Host
from secreg_host.services import units
from secreg_host.services.services import Idle, Services
from secreg_host.services.unitservices import UnitServices
from secreg_host.wanted.parts import users

log = logging.getLogger(__name__)


class Counted(NamedTuple):
    """What came of letting users count: what is wrong with them, and how many can log in (None: it does not run)."""

    findings: tuple[Finding, ...]
    number: int | None


class Instance(Protocol):
    """What can be done with an instance. All of it raises SecregError when it can't be done."""

    @property
    def host(self) -> Host:
        """Where it lives."""

    @property
    def services(self) -> Services:
        """Who runs its processes, for an apply that is done here."""

    @property
    def attended(self) -> bool:
        """Whether somebody runs it in a process of his own, which nobody else can start."""

    @property
    def to_start(self) -> str:
        """What is typed to start it."""

    def running(self) -> bool:
        """Whether it runs, or is to run."""

    def start(self) -> None:
        """Let it run with what was applied; one that runs takes it over."""

    def enable(self) -> bool:
        """Let it start with the host, where it does not yet; whether anything was changed."""

    def stop(self) -> None:
        """End it; returns when nothing of it runs any more."""

    def restart(self) -> None:
        """Stop and start."""

    def reload(self, doing: str) -> Report:
        """Let what /etc says serve, for whoever is `doing` something; how that went."""

    def let_users_count(self) -> Counted:
        """Let .htpasswd, which was just written, count when this returns."""

    def renewal(self) -> Callable[[], None]:
        """What has the registry begin anew, in another process, and returns once the one before has ended. Raises
        BadInput where that can't be."""

    def follow(self, generation: Generation, meanwhile: Callable[[], None]) -> tuple[Finding, ...]:
        """Let the clients of this host that trust the registry follow `generation`, which serves. For an apply, whose
        users are looked after `meanwhile`."""

    def tell(self, report: Report) -> None:
        """Tell the administrator's own programs what is new in `report`, without waiting for them."""

    def remove_units(self) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        """End it for good and remove the units that were rendered for it: those that went, and those that are not as
        they were written, which stay. Raises SecregError, before anything is removed, when something still runs."""


@dataclass(frozen=True)
class ByUnits:
    """The machine's own instance: units of systemd."""

    host: Host

    @functools.cached_property
    def services(self) -> UnitServices:
        return UnitServices(self.host)

    @property
    def attended(self) -> bool:
        return False

    @property
    def to_start(self) -> str:
        return "secure-registry start"

    def running(self) -> bool:
        return self.services.wanted()

    def start(self) -> None:
        self._job("StartUnit")

    def enable(self) -> bool:
        systemd = self.services.systemd
        if systemd.properties(units.MAIN, "UnitFileState")["UnitFileState"] != "disabled":
            return False
        only_until_boot, in_place_of_others = False, False
        systemd.call("EnableUnitFiles", [units.MAIN], only_until_boot, in_place_of_others)
        systemd.call("Reload")
        return True

    def stop(self) -> None:
        self._job("StopUnit")

    def restart(self) -> None:
        self._job("RestartUnit")

    def _job(self, method: str) -> None:
        """Raises SecregError with the unit's own words."""
        log.debug("%s %s; what that does is in the journal; in such detail after: %s", method, units.MAIN, journal.SET)
        self.services.systemd.job(method, units.MAIN)
        state = self.services.systemd.state(units.MAIN)
        if method != "StopUnit" and state.active != "active":
            said, _, hint = state.status_text.removeprefix("failed: ").partition(" -> ")
            said = said or f"the service is {state.active} ({state.result})"
            raise SecregError(said, hint or f"journalctl -u {units.MAIN} -n 30")

    def reload(self, doing: str) -> Report:
        services = self.services
        if not services.wanted():
            raise SecregError("secure-registry does not run, so there is nothing to reload", "secure-registry start")
        try:
            report = apply.apply(Stage(self.host, services), Wish(doing, {}), self.follow)
        finally:
            self._complete()
        self.tell(report)
        return report

    def _complete(self) -> None:
        """Users come first, and nothing of theirs waits for what only looks."""
        try:
            self.services.complete()
        except SecregError as error:
            log.warning(str(error.problems[0]), extra=journal.entry({}))

    def let_users_count(self) -> Counted:
        users = Users(self.host, self.services)
        users.take_over()
        return Counted(users.findings, None if users.counted is None else users.counted.count(b"\n"))

    def renewal(self) -> Callable[[], None]:
        from secreg_host.services import successor

        return lambda: successor.renew(self.host, self.services)

    def follow(self, generation: Generation, meanwhile: Callable[[], None]) -> tuple[Finding, ...]:
        from secreg_host.clients import following

        return following.follow(self.host, self.services.systemd, generation, meanwhile)

    def tell(self, report: Report) -> None:
        for wrong in hooks.launch(self.host.paths, report.told):
            log.warning(str(wrong), extra=journal.entry({}))

    def remove_units(self) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        systemd = self.services.systemd
        with contextlib.suppress(SecregError):  # it may not be there any more
            systemd.job("StopUnit", units.MAIN)
        states = systemd.actives([units.unit_of(name) for name in processes.NAMES]).items()
        for name in (name for name, (active, _) in states if active in ("active", "reloading", "activating")):
            raise SecregError(f"{name} still runs; nothing is removed", f"systemctl stop {name}, then try again")
        only_until_boot = False
        with contextlib.suppress(SecregError):
            systemd.call("DisableUnitFiles", [units.MAIN], only_until_boot)
        found = units.remove(self.host)
        systemd.call("Reload")
        return found


@dataclass(frozen=True)
class InForeground:
    """An instance that one process runs, or is to run."""

    host: Host

    @property
    def services(self) -> Services:
        return Idle()

    @property
    def attended(self) -> bool:
        return True

    @property
    def to_start(self) -> str:
        return f"secure-registry start --foreground --root {quoting.shell(self.host.paths.root)}"

    def running(self) -> bool:
        return foreground.pid_of(self.host.paths) is not None

    def start(self) -> None:
        foreground.reload(self.host.paths)

    def enable(self) -> bool:
        """Whoever runs the process sees to that."""
        return False

    def stop(self) -> None:
        foreground.stop(self.host.paths)

    def restart(self) -> None:
        hint = f"secure-registry stop --root {self.host.paths.root}; then start it as before"
        raise bad_input("restart", "only who runs it in the foreground can start it again", hint)

    def reload(self, doing: str) -> Report:
        return foreground.reload(self.host.paths)

    def let_users_count(self) -> Counted:
        if not self.running():
            return Counted((), None)
        report = foreground.reload(self.host.paths)
        return Counted(tuple(finding for finding in report.findings if finding.part == users.NAME), report.count)

    def renewal(self) -> Callable[[], None]:
        if self.running():
            where, root = str(self.host.paths.registry_yml), self.host.paths.root
            what = "cache: blobdescriptor: inmemory: the registry remembers blobs that are gone, as long as it runs"
            hint = f"take the lines of storage: cache: out; or stop it meanwhile: secure-registry stop --root {root}"
            raise bad_input(where, what, hint)
        return lambda: None

    def follow(self, generation: Generation, meanwhile: Callable[[], None]) -> tuple[Finding, ...]:
        """There are none: it is somebody's own instance, or systemd does not run."""
        return ()

    def tell(self, report: Report) -> None:
        """The process itself does."""

    def remove_units(self) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        if self.running():
            self.stop()
        return units.remove(self.host)  # there may be some, where systemd does not run at the moment


def of(call: Call) -> Instance:
    """The instance that `call` is about."""
    host = call.host()
    return ByUnits(host) if host.by_systemd else InForeground(host)


def forgetting(call: Call, keeping: Keeping) -> Callable[[], None]:
    """What has the registry of `call` forget what it remembers of blobs in memory. Raises BadInput where it can't."""
    return of(call).renewal() if keeping.cache == MEMORY else lambda: None


def startable(call: Call) -> Instance:
    """The same, if it can be started from here. Raises BadInput when a process must run it that does not."""
    found = of(call)
    if found.attended and not found.running():
        if not found.host.is_system:
            raise bad_input("--root", "systemd runs only the machine's own instance", "add --foreground")
        raise bad_input("start", "systemd does not run on this host", "secure-registry start --foreground")
    return found


def in_foreground(call: Call) -> Host:
    """Where the instance lives that this process is to run. Raises BadInput where that is systemd's to do: whoever asks
    for the instance asks systemd then, and would hear that it does not run."""
    host = call.host()
    if host.by_systemd:
        hint = "secure-registry start; or an instance of your own: add --root DIR"
        raise bad_input("--foreground", "systemd runs the machine's own instance", hint)
    return host
