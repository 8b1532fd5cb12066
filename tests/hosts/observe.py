"""Waiting for a host, its units and its journal."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from tests.hosts.commands import Commands, NotInTime

T = TypeVar("T")
Entry = dict[str, str]


class Observed(Commands):
    """A host that can be watched."""

    def wait_for(self, what: str, check: Callable[[], T], timeout: float = 30) -> T:
        """Ask `check` until it returns something true, and return that; NotInTime names `what` after `timeout`."""
        deadline = time.monotonic() + timeout
        while not (answer := check()):
            if time.monotonic() > deadline:
                raise NotInTime(f"{what}: not within {timeout:g} s")
            time.sleep(0.05)
        return answer

    def unit_state(self, name: str) -> str:
        """`active`, `inactive`, `failed`, `activating`…; `inactive` too for a unit that doesn't exist."""
        return self.run("systemctl", "show", "--property=ActiveState", "--value", name).stdout.strip()

    def wait_unit(self, name: str, state: str = "active", timeout: float = 30) -> None:
        """Wait until unit `name` is in `state`; at once an error, with its journal, when it fails instead."""
        found = ""

        def reached() -> bool:
            nonlocal found
            found = self.unit_state(name)
            return found in (state, "failed")

        try:
            self.wait_for(f"{name} {state}", reached, timeout)
        except NotInTime as error:
            raise NotInTime(f"{error}, it is {found}\n{self._why(name)}") from None
        if found != state:
            raise AssertionError(f"{name} is {found}, not {state}\n{self._why(name)}")

    def failed_units(self) -> list[str]:
        """The units that systemd calls failed."""
        listed = self.run("systemctl", "list-units", "--failed", "--plain", "--no-legend").stdout
        return [line.split()[0] for line in listed.splitlines() if line]

    def _why(self, unit: str) -> str:
        status = self.run("systemctl", "status", "--no-pager", "--full", "--lines=0", unit, check=False).stdout
        lines = [entry.get("MESSAGE", "") for entry in self.journal(unit)[-40:]]
        return "\n".join([status, *lines])

    def journal(
        self,
        unit: str | None = None,
        priority: str | None = None,
        since_boot: bool = True,
        fields: Sequence[str] | None = None,
        after: str | None = None,
    ) -> list[Entry]:
        """Journal entries, oldest first; each has its fields as text, `__CURSOR` and `__REALTIME_TIMESTAMP` among them.

        unit: only of this one (a pattern may match several); priority: this or worse (`warning`); since_boot: only of
        the current boot; fields: only these besides the `__` ones; after: only what follows this `journal_end()`.
        """
        flags = ["--output=json", "--no-pager", "--quiet", "--all"]
        flags += [f"--unit={unit}"] if unit else []
        flags += [f"--priority={priority}"] if priority else []
        flags += ["--boot"] if since_boot else []
        flags += [f"--output-fields={','.join(fields)}"] if fields else []
        flags += [f"--after-cursor={after}"] if after else []
        return [_entry(line) for line in self.run("journalctl", *flags).stdout.splitlines()]

    def journal_end(self) -> str:
        """A mark of now, for `journal(after=…)`."""
        self.run("journalctl", "--sync")
        shown = self.run("journalctl", "--quiet", "--lines=0", "--show-cursor").stdout
        return shown.rpartition("cursor: ")[2].strip()


def _entry(line: str) -> Entry:
    return {name: _text(value) for name, value in json.loads(line).items()}


def _text(value: object) -> str:
    """A field's value: journalctl gives bytes that aren't text as a list of numbers, repeated fields as a list."""
    if isinstance(value, list):
        if value and isinstance(value[0], int):
            return bytes(value).decode(errors="replace")
        return "\n".join(_text(item) for item in value)
    return "" if value is None else str(value)
