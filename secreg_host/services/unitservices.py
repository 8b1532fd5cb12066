"""`Services` by units of systemd: what a host runs."""

from __future__ import annotations

import contextlib
import functools
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from secreg_host.base import files, process, waiting
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.paths import PROC
from secreg_host.base.systemd import Systemd
from secreg_host.host import host as hosts
from secreg_host.host import processes, views
from secreg_host.host.host import Host
from secreg_host.services import nginxmaster, notstarted, sockets, unitlog, units
from secreg_host.services.services import TRIAL_SECONDS
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.settings import SettingsPart

RENEW_SECONDS = 10.0
BEGUN = "InactiveExitTimestamp"
STARTING = ("activating", "start")
"""What a unit does until its process is ready."""


class Start(NamedTuple):
    """A start of a unit: its number (systemd.exec(5), INVOCATION_ID), and when it was asked for, in seconds since the
    epoch."""

    number: str
    at: float


class UnitServices:
    """`Services` by units of systemd."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.starts: dict[str, Start] = {}  # by process, the one that was asked for last

    @functools.cached_property
    def systemd(self) -> Systemd:
        """Connected when it is first needed: users go live without it."""
        return Systemd()

    def prepare(self, parts: Parts, slot: str) -> None:
        with contextlib.suppress(SecregError):  # it is away, which was told: the link stays as it is
            program = str(hosts.nginx(parts[SettingsPart].settings.nginx_binary))
            link = self.host.paths.nginx_program
            files.make_directory(link.parent, 0o711)
            files.flip(link, program)
        rendered = units.render(self.host, parts)
        changed = units.write(self.host, rendered)
        if units.drop_slot(self.host, slot):
            self.systemd.call("Reload")
        elif changed:
            names = {path.name.replace("@.", f"@{slot}.") for path in rendered for slot in processes.SLOTS}
            if not all(map(self._known, names)):
                self.systemd.call("Reload")
        self._take_manifests()

    def _take_manifests(self) -> None:
        """Have the socket of the manifest service before a front asks there. Where that fails, the observer says so."""
        if sockets.leads(processes.manifests_socket(self.host)):
            return
        with contextlib.suppress(SecregError):
            if self.systemd.properties(units.MANIFESTS, "LoadState")["LoadState"] != "masked":
                self.systemd.job("StartUnit", units.MANIFESTS, mode="fail")

    def prepare_registry(self, parts: Parts, slot: str) -> None:
        if not (self.host.paths.units / units.unit_of("registry@")).exists():
            self.prepare(parts, slot)  # nothing was ever proven, and systemd finds new units by itself
        elif units.prepare_slot(self.host, parts, slot):
            self.systemd.call("Reload")  # it does not notice that there is another file for a unit that it knows

    def refuses(self, argv: Sequence[str], meanwhile: Callable[[], None] = lambda: None) -> Problem | None:
        def never() -> bool:
            meanwhile()
            return False

        unit = units.unit_of(units.TRIAL)
        path = self.host.paths.trial_units / unit
        files.make_directory(path.parent, 0o755)
        files.write(path, units.trial(self.host, argv, TRIAL_SECONDS), files.PUBLIC)
        try:
            if self.systemd.properties(unit, "NeedDaemonReload")["NeedDaemonReload"]:
                self.systemd.call("Reload")
            self.systemd.job("StartUnit", unit, enough=never)
            found = self.systemd.properties(unit, "Result")
            if found["Result"] == "success":
                return None
            how = {"timeout": f"does not end within {TRIAL_SECONDS:.0f} s", "exit-code": "fails"}
            return notstarted.failed(argv, how.get(found["Result"], found["Result"]), self.last_words(units.TRIAL))
        finally:
            path.unlink(missing_ok=True)
            with contextlib.suppress(SecregError):
                self.systemd.call("ResetFailedUnit", unit)

    def _known(self, unit: str) -> bool:
        """Whether systemd has `unit` as its file is now. One that is new it finds by itself: the first start need not
        wait until it has read again whatever the host has."""
        found = self.systemd.properties(unit, "LoadState", "NeedDaemonReload")
        return found == {"LoadState": "loaded", "NeedDaemonReload": False}

    def wanted(self) -> bool:
        """Not only while nginx runs: an apply that was killed, or anybody, may have left it stopped."""
        return self.systemd.active(units.MAIN)[0] in ("active", "reloading") or self.running("nginx")

    def complete(self) -> None:
        """While the main unit is up, start what it wants beside the processes (it watches, or looks) and does not run:
        it was stopped, or came with a newer version. What is masked, or about to end, stays. A socket that was removed
        is made again. Raises SecregError.

        While the main unit reloads, systemd starts them after that: this may be what it waits for.
        """
        companions = units.companions(self.systemd.properties(units.MAIN, "Wants")["Wants"])
        states = self.systemd.actives([units.MAIN, *companions])
        main = states[units.MAIN][0]
        if main not in ("active", "reloading"):
            return
        for unit in (unit for unit in companions if not _runs(states[unit])):
            if self.systemd.properties(unit, "LoadState")["LoadState"] != "masked":
                self.systemd.job("StartUnit", unit, mode="fail", wait=main == "active")
        for unit in sockets.lost(self.host.paths, self.systemd):
            sockets.reopen(self.systemd, unit, wait=main == "active")

    def start(self, name: str) -> None:
        unit = units.unit_of(name)
        slot = name.partition("@")[2]
        starting = self.host.paths.run / f"starting-{slot}"
        try:
            if slot:
                files.write(starting, b"", files.PUBLIC)
            self.systemd.call("ResetFailedUnit", unit)
            at = time.time()
            self.systemd.job("StartUnit", unit)
            self.starts[name] = Start(self._invocation(name), at)
            if self.systemd.active(unit)[0] not in ("active", "activating"):
                raise SecregError(f"{unit} did not start", f"journalctl -u {unit} -n 20")
        finally:
            if slot:
                starting.unlink(missing_ok=True)

    def reload(self, name: str) -> bool:
        """By the signal itself: a job of systemd's takes its time, goes to the old master of a renewed nginx, and comes
        to a new one too early (nginxmaster.reload). Asks nothing of D-Bus while there is a master."""
        if self._told(name):
            return True
        # one that is coming up, or came up between two looks, has what was there before
        waiting.until(lambda: self.systemd.active(units.unit_of(name)) != STARTING, RENEW_SECONDS)
        return self._told(name)

    def _told(self, name: str) -> bool:
        if master := self._master(name):
            nginxmaster.reload(master, _in_unit(name))
        return bool(master)

    def stop(self, name: str, *, wait: bool = True) -> None:
        self.systemd.job("StopUnit", units.unit_of(name), wait=wait)

    def running(self, name: str) -> bool:
        return _runs(self.systemd.active(units.unit_of(name)))

    def slots(self) -> set[str]:
        names = {units.unit_of(f"registry@{slot}"): slot for slot in processes.SLOTS}
        return {names[unit] for unit, state in self.systemd.actives(list(names)).items() if _runs(state)}

    def up(self, name: str) -> bool:
        return self.systemd.active(units.unit_of(name))[0] in ("active", "reloading")

    def pids(self, name: str) -> set[int]:
        unit = units.unit_of(name)
        with contextlib.suppress(SecregError):
            return {entry[1] for entry in self.systemd.call("GetUnitProcesses", unit)}
        return set()

    def view(self, name: str) -> Path:
        with contextlib.suppress(SecregError):
            if master := self._master(name):
                return PROC / str(master) / "root"
        return Path("/")

    def died(self, name: str) -> bool:
        active, sub = self.systemd.active(units.unit_of(name))
        return active == "failed" or sub == "auto-restart"

    def _master(self, name: str) -> int:
        """The process that `name` is ruled by: of an nginx that was renewed the new one, while the old one finishes."""
        run = {"nginx": self.host.paths.front_run, "auth": self.host.paths.auth_run}.get(name)
        if run is not None:
            pid = nginxmaster.pid_in(run / "nginx.pid")
            if _in_unit(name)(pid):
                return pid
        return self._main_pid(name)

    def _main_pid(self, name: str) -> int:
        return int(self.systemd.properties(units.unit_of(name), "MainPID")["MainPID"])

    def outdated(self, name: str) -> bool:
        found = self.systemd.properties(units.unit_of(name), "ActiveState", "ExecStart")
        if found["ActiveState"] != "active" or not found["ExecStart"]:
            return False
        return processes.outdated(self._master(name), Path(found["ExecStart"][0][0]))

    def renew(self, name: str) -> None:
        """nginx's own way (nginx.org/en/docs/control.html): the old master starts a new one, which gets the sockets.

        Raises SecregError when the new one does not come up; the old one goes on then.
        """
        old = self._master(name)
        nginxmaster.send(old, signal.SIGUSR2, _in_unit(name))
        if not waiting.until(lambda: (new := self._master(name)) != old and nginxmaster.children(new), RENEW_SECONDS):
            raise SecregError(f"the new {name} does not start", f"journalctl -u {units.unit_of(name)} -n 20")
        nginxmaster.send(old, signal.SIGQUIT, _in_unit(name))

    def show_images(self, slot: str, root: str) -> None:
        """Started along with the registry; anew when another file system was mounted there, or by a newer version."""
        if not views.shows(self.host, root, slot):
            with contextlib.suppress(SecregError):  # without, the registry sends them, and apply says so
                self.systemd.job("RestartUnit", units.unit_of(f"images@{slot}"))

    def last_words(self, name: str) -> list[str]:
        """What was said in the start that was asked for and in the present one (systemd tries again by itself): by the
        process, and by systemd when it could not start it."""
        asked = self.starts.get(name)
        starts = {asked.number if asked else "", self._invocation(name)} - {""}
        since = asked.at if asked else self._begun(name)
        return unitlog.last_words(units.unit_of(name), starts, since) if starts else []

    def _begun(self, name: str) -> float:
        """When the present start of `name` began, or the last one: seconds since the epoch."""
        return float(self.systemd.properties(units.unit_of(name), BEGUN)[BEGUN] / 1e6)

    def _invocation(self, name: str) -> str:
        """The number of the present start of `name`, or of the last one (systemd.exec(5), INVOCATION_ID); "": none."""
        return bytes(self.systemd.properties(units.unit_of(name), "InvocationID")["InvocationID"]).hex()


def _in_unit(name: str) -> Callable[[int], bool]:
    """What tells whether a process belongs to `name`."""
    return lambda pid: process.unit_of(pid) == units.unit_of(name)


def _runs(state: tuple[str, str]) -> bool:
    """Whether a unit in this `state` runs, or is about to."""
    return state[0] not in ("inactive", "failed")
