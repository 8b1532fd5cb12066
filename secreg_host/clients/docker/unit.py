"""How systemd starts a daemon: its command line, its environment, and the files where these stand.

Source: systemd.service(5), "Command lines"; systemd.exec(5), "Environment"; org.freedesktop.systemd1(5).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secreg_host.base import reading, utf8
from secreg_host.base.paths import Paths
from secreg_host.formats import envfile


@dataclass(frozen=True)
class Unit:
    """A service: argv as written, Environment=, and the files of EnvironmentFile= that exist, in order. places: the
    unit's own files, and all that EnvironmentFile= names, there or not."""

    argv: tuple[str, ...]
    environment: tuple[str, ...] = ()
    files: tuple[tuple[Path, bytes], ...] = ()
    places: tuple[Path, ...] = ()

    @property
    def known(self) -> dict[str, tuple[str, Path | None]]:
        """What stands in its environment, by name: the value, and the file of EnvironmentFile= that it is from."""
        found: dict[str, tuple[str, Path | None]] = {}
        for item in self.environment:
            name, _, value = item.partition("=")
            found[name] = (value, None)
        for path, data in self.files:
            for assignment in envfile.parse(utf8.shown(data), str(path))[0]:
                found[assignment.key] = (assignment.value, path)
        return found

    @property
    def variables(self) -> dict[str, str]:
        """Its environment."""
        return {name: value for name, (value, _) in self.known.items()}


def read(paths: Paths, found: dict[str, Any]) -> Unit | None:
    """The service whose properties, as systemd has them, were `found`; None where there is none. Raises BadInput for a
    file of its environment that can't be read."""
    if found.get("LoadState") != "loaded" or not found.get("ExecStart"):
        return None
    named = [_below(paths, name) for name, _ in found.get("EnvironmentFiles", ())]
    given = [(path, data) for path in named if (data := reading.read(path, reading.SETTINGS)) is not None]
    own = [Path(path) for path in (found.get("FragmentPath"), *(found.get("DropInPaths") or ())) if path]
    argv = tuple(found["ExecStart"][0][1])
    return Unit(argv, tuple(found.get("Environment", ())), tuple(given), (*own, *named))


def _below(paths: Paths, name: str) -> Path:
    path = Path(name)
    return path if path.is_relative_to(paths.root) else paths.root / name.lstrip("/")
