"""What apply needs of whoever runs the processes: systemd on a host, a parent process elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from secreg_host.base.errors import Problem, SecregError
from secreg_host.wanted.parts.part import Parts

TRIAL_SECONDS = 10.0
"""How long a program may take to say its version."""


class Services(Protocol):
    """Runs the processes of `processes.py`, known by their names: `nginx`, `auth`, `registry@a`."""

    def prepare(self, parts: Parts, slot: str) -> None:
        """Make ready for processes with these parts, the registry in `slot`: units, programs. What is tried in another
        slot meanwhile stays as it is. Raises SecregError."""

    def prepare_registry(self, parts: Parts, slot: str) -> None:
        """Make ready for the registry of these parts in `slot`, and for nothing else: they are only tried. Raises
        SecregError."""

    def refuses(self, argv: Sequence[str], meanwhile: Callable[[], None] = lambda: None) -> Problem | None:
        """Why `argv`, a program that ends by itself, can't be run where nginx is; None: it can, for all we know.

        meanwhile: called again and again while it is waited for.
        """

    def wanted(self) -> bool:
        """Whether what /etc says is to run here; else it is only checked."""

    def start(self, name: str) -> None:
        """Start process `name`, or leave it running; wait for one that died and is about to be restarted.

        Raises SecregError with its last words if it fails at once.
        """

    def reload(self, name: str) -> bool:
        """Let `name` read its configuration again; whether there is a process that was told."""

    def stop(self, name: str, *, wait: bool = True) -> None:
        """Ask `name` to finish and end."""

    def running(self, name: str) -> bool:
        """Whether `name` runs (or is about to be restarted)."""

    def slots(self) -> set[str]:
        """The slots whose registry runs."""

    def up(self, name: str) -> bool:
        """Whether `name` runs and has begun its work: nginx then has its ports."""

    def pids(self, name: str) -> set[int]:
        """The processes of `name`."""

    def view(self, name: str) -> Path:
        """The root directory that `name` sees: in a sandbox, files are there that nobody else sees."""

    def died(self, name: str) -> bool:
        """Whether `name`, started before, has ended by itself (even if it is about to be restarted)."""

    def outdated(self, name: str) -> bool:
        """Whether the program of `name` was replaced on disk since it was started."""

    def renew(self, name: str) -> None:
        """Let nginx (`nginx`, `auth`) go on with the program that is on disk now, without dropping a connection."""

    def show_images(self, slot: str, root: str) -> None:
        """Let the front see what is below `root`, the storage of the registry in `slot`, as it is now."""

    def last_words(self, name: str) -> list[str]:
        """The last lines that `name` said, for an error message."""


class Idle:
    """`Services` where nothing runs and nothing may be started: configuration is only checked."""

    def prepare(self, parts: Parts, slot: str) -> None:
        pass

    def prepare_registry(self, parts: Parts, slot: str) -> None:
        pass

    def refuses(self, argv: Sequence[str], meanwhile: Callable[[], None] = lambda: None) -> Problem | None:
        return None

    def wanted(self) -> bool:
        return False

    def start(self, name: str) -> None:
        raise SecregError(f"{name} can't be started here", "secure-registry start --foreground")

    def reload(self, name: str) -> bool:
        return False

    def stop(self, name: str, *, wait: bool = True) -> None:
        pass

    def running(self, name: str) -> bool:
        return False

    def slots(self) -> set[str]:
        return set()

    def up(self, name: str) -> bool:
        return False

    def pids(self, name: str) -> set[int]:
        return set()

    def view(self, name: str) -> Path:
        return Path("/")

    def died(self, name: str) -> bool:
        return False

    def outdated(self, name: str) -> bool:
        return False

    def renew(self, name: str) -> None:
        pass

    def show_images(self, slot: str, root: str) -> None:
        pass

    def last_words(self, name: str) -> list[str]:
        return []
