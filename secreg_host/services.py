"""What apply needs of whoever runs the processes: systemd on a host, a parent process elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from secreg_host.parts import Part


class Services(Protocol):
    """Runs the processes of `processes.py`, known by their names: `nginx`, `auth`, `registry@a`."""

    def prepare(self, parts: Mapping[str, Part]) -> None:
        """Make ready for processes with these parts: units, directories. Raises SecregError."""

    def start(self, name: str) -> None:
        """Start process `name`, or leave it running. Raises SecregError with its last words if it fails at once."""

    def reload(self, name: str) -> None:
        """Let `name` read its configuration again."""

    def stop(self, name: str, wait: bool = True) -> None:
        """Ask `name` to finish and end."""

    def running(self, name: str) -> bool:
        """Whether `name` runs (or is about to be restarted)."""

    def pids(self, name: str) -> set[int]:
        """The processes of `name`."""

    def last_words(self, name: str) -> str:
        """The end of what `name` said, for an error message."""
