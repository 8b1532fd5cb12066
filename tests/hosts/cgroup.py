"""A control group for each machine.

Without one of its own nspawn puts the host into `payload` of the caller's group, so two hosts would share their
`system.slice`, and stopping a service in one would kill it in the other.
"""

from __future__ import annotations

import time
from pathlib import Path


class ControlGroup:
    """A group at `path`; needs no controller."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def below_ours(cls, name: str) -> ControlGroup:
        """One called `name` in the group that we are in ourselves."""
        return cls(_own() / f"secreg-{name}")

    def make(self) -> None:
        """Make it, empty."""
        self.remove()
        self.path.mkdir()

    def enter(self, argv: list[str]) -> list[str]:
        """`argv` started inside it."""
        return ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(self.path), *argv]

    def remove(self, timeout: float = 10) -> None:
        """Kill whatever is left in it, and remove it."""
        if not self.path.is_dir():
            return
        (self.path / "cgroup.kill").write_text("1")
        deadline = time.monotonic() + timeout
        while "populated 1" in (self.path / "cgroup.events").read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        for folder in sorted((path for path in self.path.rglob("*") if path.is_dir()), reverse=True):
            folder.rmdir()
        self.path.rmdir()


def _own() -> Path:
    """Our own group in the unified hierarchy, wherever that is mounted (hybrid set-ups have it on the side)."""
    mounts = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    mounted = next(Path(fields[4]) for fields in mounts if fields[fields.index("-") + 1] == "cgroup2")
    groups = Path("/proc/self/cgroup").read_text().splitlines()
    return mounted / next(line for line in groups if line.startswith("0::")).removeprefix("0::").lstrip("/")
