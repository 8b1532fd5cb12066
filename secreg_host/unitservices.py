"""`Services` by units of systemd: what a host runs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from secreg_host import files, process, units
from secreg_host.errors import SecregError
from secreg_host.host import Host
from secreg_host.parts import Part
from secreg_host.systemd import Systemd


class UnitServices:
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
