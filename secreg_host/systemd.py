"""systemd over D-Bus: the only import of pydbus. Every call has a timeout (pydbus alone would wait 25 days).

Source: org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from secreg_host import files, process, units
from secreg_host.errors import SecregError
from secreg_host.host import Host
from secreg_host.parts import Part

NAME, OBJECT = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
CALL_SECONDS = 25
JOB_SECONDS = 60.0


@dataclass(frozen=True)
class UnitState:
    """A unit as systemd sees it; `since` in seconds since the epoch, 0 if it is not active."""

    active: str
    sub: str
    main_pid: int
    since: float
    result: str
    status_text: str


class Systemd:
    """The manager object of the system bus."""

    def __init__(self) -> None:
        with _explained("reach systemd"):
            import pydbus

            self.bus = pydbus.SystemBus()
            self.manager = self.bus.get(NAME, OBJECT, timeout=CALL_SECONDS)

    def call(self, method: str, *args: Any) -> Any:
        with _explained(f"{method} {' '.join(map(str, args))}"):
            return getattr(self.manager[f"{NAME}.Manager"], method)(*args, timeout=CALL_SECONDS)

    def unit(self, name: str) -> dict[str, Any]:
        """All properties of unit `name` and of its service; D-Bus loads the unit if need be."""
        path = self.call("LoadUnit", name)
        with _explained(f"look at {name}"):
            properties = self.bus.get(NAME, path, timeout=CALL_SECONDS)["org.freedesktop.DBus.Properties"]
            found: dict[str, Any] = properties.GetAll(f"{NAME}.Unit", timeout=CALL_SECONDS)
            if name.endswith(".service"):
                found |= properties.GetAll(f"{NAME}.Service", timeout=CALL_SECONDS)
            return found

    def state(self, name: str) -> UnitState:
        found = self.unit(name)
        return UnitState(
            found["ActiveState"],
            found["SubState"],
            found.get("MainPID", 0),
            found["ActiveEnterTimestamp"] / 1e6 if found["ActiveState"] == "active" else 0.0,
            found.get("Result", ""),
            found.get("StatusText", ""),
        )

    def job(self, method: str, unit: str, wait: bool = True) -> None:
        """Queue a job (StartUnit, StopUnit, ReloadUnit, RestartUnit) and wait until it is through."""
        job = self.call(method, unit, "replace")
        deadline = time.monotonic() + JOB_SECONDS
        while wait and self.unit(unit)["Job"][1] == job:
            if time.monotonic() > deadline:
                raise SecregError(
                    f"{method} {unit} is not through after {JOB_SECONDS:.0f} s", f"systemctl status {unit}"
                )
            time.sleep(0.01)


@contextlib.contextmanager
def _explained(doing: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise SecregError(f"cannot {doing}: {error}", "apt install python3-pydbus") from error
    except Exception as error:
        if not type(error).__module__.startswith(("gi", "pydbus")) and not isinstance(error, KeyError):
            raise
        said = getattr(error, "message", str(error))
        hint = (
            "run this as root (sudo)" if "AccessDenied" in said or "authentication" in said else "is systemd running?"
        )
        raise SecregError(f"cannot {doing}: {said.split(': ', 1)[-1]}", hint) from error


class SystemdServices:
    """`Services` by units of systemd."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.systemd = Systemd()

    def prepare(self, parts: Mapping[str, Part]) -> None:
        if units.write(self.host, units.render(self.host, parts)):
            self.systemd.call("Reload")

    def start(self, name: str) -> None:
        unit = units.unit_of(name)
        slot = name.partition("@")[2]
        starting = self.host.paths.run / f"starting-{slot}"
        try:
            if slot:
                files.write(starting, b"", files.PUBLIC)
            self.systemd.call("ResetFailedUnit", unit)
            self.systemd.job("StartUnit", unit)
            if self.systemd.state(unit).active not in ("active", "activating"):
                raise SecregError(f"{unit} did not start", f"journalctl -u {unit} -n 20")
        finally:
            if slot:
                starting.unlink(missing_ok=True)

    def reload(self, name: str) -> None:
        self.systemd.job("ReloadUnit", units.unit_of(name))

    def stop(self, name: str, wait: bool = True) -> None:
        self.systemd.job("StopUnit", units.unit_of(name), wait)

    def running(self, name: str) -> bool:
        return self.systemd.state(units.unit_of(name)).active not in ("inactive", "failed")

    def pids(self, name: str) -> set[int]:
        unit = units.unit_of(name)
        with contextlib.suppress(SecregError):
            return {entry[1] for entry in self.systemd.call("GetUnitProcesses", unit)}
        return set()

    def died(self, name: str) -> bool:
        state = self.systemd.state(units.unit_of(name))
        return state.active == "failed" or state.sub == "auto-restart"

    def last_words(self, name: str) -> list[str]:
        argv = ["journalctl", "-q", "-o", "cat", "-n", "20", "-u", units.unit_of(name), "-p", "info"]
        argv.append("_TRANSPORT=stdout")
        return process.run(argv).stdout.strip().splitlines()
