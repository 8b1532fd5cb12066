"""systemd over D-Bus: the only import of pydbus. Every call has a timeout (pydbus alone would wait 25 days).

Source: org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from secreg_host.base import distro, waiting
from secreg_host.base.errors import SecregError

log = logging.getLogger(__name__)

NAME, OBJECT = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
PROPERTIES = "org.freedesktop.DBus.Properties"
CALL_SECONDS = 25

SIGNATURES = {
    **dict.fromkeys(("StartUnit", "StopUnit", "ReloadUnit", "RestartUnit"), "(ss)"),
    **dict.fromkeys(("ResetFailedUnit", "GetUnitProcesses"), "(s)"),
    "ListUnitsByNames": "(as)",
    "Reload": "()",
    "DisableUnitFiles": "(asb)",
    "EnableUnitFiles": "(asbb)",
    "KillUnit": "(ssi)",
}
"""The manager's methods that are used, and the types of their arguments (D-Bus specification, type system)."""
OF_UNITS = (
    *("ActiveState", "SubState", "LoadState", "NeedDaemonReload", "InvocationID"),
    *("ActiveEnterTimestamp", "InactiveExitTimestamp", "UnitFileState", "Wants"),
)
"""Properties that any unit has; the others that are asked for are those of services."""

JOB_SECONDS = 60.0
LOOK_SECONDS, LONGEST_SECONDS = 0.005, 0.02
"""Pauses between looks at a job: they grow from the first to the second, for looks keep others from working."""


@dataclass(frozen=True)
class UnitState:
    """A unit as systemd sees it; `since` in seconds since the epoch, 0 if it is not active."""

    active: str
    sub: str
    since: float
    result: str
    status_text: str


def _system_bus() -> Any:
    """A connection of our own to the system bus: the shared one of a process is closed for good when the bus is
    restarted. EL packages only what pydbus stands on (gi): there gi is asked itself."""
    from gi.repository import Gio

    address = Gio.dbus_address_get_for_bus_sync(Gio.BusType.SYSTEM, None)
    try:
        import pydbus
    except ModuleNotFoundError as error:
        if error.name != "pydbus":
            raise
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        return Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
    return pydbus.connect(address).con


class Systemd:
    """The manager object of the system bus.

    Calls go over pydbus' connection with the signatures given here: a proxy object would read the introspection data
    of the whole manager each time, which costs the watchdog more memory than all else.
    """

    def __init__(self) -> None:
        with _explained("reach systemd"):
            self.connection = _system_bus()

    def _ask(self, path: str, interface: str, method: str, signature: str, args: tuple[Any, ...]) -> Any:
        from gi.repository import GLib

        given = GLib.Variant(signature, args) if args else None
        took = waiting.stopwatch()
        try:
            answer = self.connection.call_sync(NAME, path, interface, method, given, None, 0, CALL_SECONDS * 1000, None)
        finally:
            asked = (path.removeprefix(f"{OBJECT}/"), method, *map(str, args))
            log.debug("D-Bus %s: %.1f ms", " ".join(asked), took())
        values = answer.unpack()
        return values[0] if len(values) == 1 else values

    def call(self, method: str, *args: Any) -> Any:
        """Call `method` of the manager (one of SIGNATURES); returns its value."""
        with _explained(f"{method} {' '.join(map(str, args))}"):
            return self._ask(OBJECT, f"{NAME}.Manager", method, SIGNATURES[method], args)

    def unit(self, name: str) -> dict[str, Any]:
        """All properties of unit `name` and of its service."""
        path = object_of(name)
        found: dict[str, Any] = {}
        with _explained(f"look at {name}"):
            for interface in ("Unit", "Service") if name.endswith(".service") else ("Unit",):
                found |= self._ask(path, PROPERTIES, "GetAll", "(s)", (f"{NAME}.{interface}",))
        return found

    def properties(self, name: str, *wanted: str) -> dict[str, Any]:
        """The `wanted` properties of service `name`: all of them would take a hundred times as long."""
        path = object_of(name)
        found = {}
        with _explained(f"look at {name}"):
            for one in wanted:
                interface = f"{NAME}.{'Unit' if one in OF_UNITS else 'Service'}"
                found[one] = self._ask(path, PROPERTIES, "Get", "(ss)", (interface, one))
        return found

    def active(self, name: str) -> tuple[str, str]:
        """ActiveState and SubState of unit `name`."""
        return next(iter(self.actives([name]).values()))

    def actives(self, names: Sequence[str]) -> dict[str, tuple[str, str]]:
        """ActiveState and SubState of each of the units, in one call."""
        return {name: (active, sub) for name, _, _, active, sub, *_ in self.call("ListUnitsByNames", names)}

    def state(self, name: str) -> UnitState:
        """What unit `name`, a service, is doing. Raises SecregError."""
        wanted = ("ActiveState", "SubState", "ActiveEnterTimestamp", "Result", "StatusText")
        found = self.properties(name, *wanted)
        return UnitState(
            found["ActiveState"],
            found["SubState"],
            found["ActiveEnterTimestamp"] / 1e6 if found["ActiveState"] == "active" else 0.0,
            found["Result"],
            found["StatusText"],
        )

    def job(
        self,
        method: str,
        unit: str,
        *,
        wait: bool = True,
        enough: Callable[[], bool] = lambda: False,
        mode: str = "replace",
    ) -> bool:
        """Queue a job (StartUnit, StopUnit, ReloadUnit, RestartUnit) and wait until it is through, or `enough`.

        mode: what happens to jobs that are queued already and conflict with it: with `fail` they stay, and this raises
        SecregError. Returns whether it is through.
        """
        job = self.call(method, unit, mode)
        path = object_of(unit)
        if not wait:
            return False
        took = waiting.stopwatch()
        for _ in waiting.looks(JOB_SECONDS, LOOK_SECONDS, longest=LONGEST_SECONDS):
            with _explained(f"look at {unit}"):
                current = self._ask(path, PROPERTIES, "Get", "(ss)", (f"{NAME}.Unit", "Job"))
            if current[1] != job:
                log.debug("%s %s is through: %.0f ms", method, unit, took())
                return True
            if enough():
                return False
        waited = f"{method} {unit} is not through after {JOB_SECONDS:.0f} s"
        raise SecregError(waited, f"systemctl status {unit}")


def object_of(unit: str) -> str:
    """Where `unit` is on the bus, as sd_bus_path_encode(3) has it; systemd loads it when it is looked at there."""
    return f"{OBJECT}/unit/" + re.sub(r"[^A-Za-z0-9]|^[0-9]", lambda found: f"_{ord(found[0]):02x}", unit)


@contextlib.contextmanager
def _explained(doing: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        remedy = distro.install("python3-pydbus", el="python3-gobject-base")
        raise SecregError(f"cannot {doing}: {error}", remedy) from error
    except Exception as error:
        if not type(error).__module__.startswith(("gi", "pydbus")) and not isinstance(error, KeyError):
            raise
        said = getattr(error, "message", str(error))
        hint = (
            "run this as root (sudo)"
            if "AccessDenied" in said or "authentication" in said
            else "see whether systemd answers: systemctl status"
        )
        raise SecregError(f"cannot {doing}: {said.split(': ', 1)[-1]}", hint) from error
