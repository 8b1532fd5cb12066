"""Where backups were made to: so that the mount point of a disk that is away is not taken for a new place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from secreg_host.base import quoting, reading, records
from secreg_host.base.errors import SecregError
from secreg_host.base.paths import Paths
from secreg_host.upkeep.place import MARKER, Place

RECORD: dict[Any, records.Shape] = {"ids": {str: str}}


def _record(paths: Paths) -> Path:
    return paths.state / "destinations.json"


def check(paths: Paths, directory: Path) -> None:
    """Raise SecregError where backups were made to `directory` before, and none are there now."""
    known = records.peek(_record(paths), RECORD).get("ids", {})
    path = directory.absolute()
    if str(path) not in known or reading.is_there(path / MARKER):
        return
    what = f"the backups that were made to {path} are not there: is their disk not mounted?"
    begin = f"to begin anew there: rm {quoting.shell(_record(paths))}"
    raise SecregError(what, f"mount it (findmnt -T {quoting.shell(path)}); {begin}")


def remember(paths: Paths, directory: Path, place: Place) -> None:
    """Remember that backups are made to `directory`."""
    marker = records.parsed(reading.peek(place.path / MARKER, reading.JSON))
    known = records.peek(_record(paths), RECORD).get("ids", {})
    if isinstance(marker, dict):
        records.save(_record(paths), {"ids": {**known, str(directory.absolute()): str(marker.get("id", ""))}})
