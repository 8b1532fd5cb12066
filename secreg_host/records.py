"""The program's own memory below state/: which defaults it wrote, facts fixed at setup, and the redo log."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secreg_host import files
from secreg_host.errors import SecregError
from secreg_host.paths import Paths


def digest(data: bytes) -> str:
    """SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def load(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; empty when there is none or it is damaged (each record can be made again)."""
    data = files.read_or_none(path)
    try:
        found = json.loads(data) if data else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def save(path: Path, record: dict[str, Any]) -> None:
    """Write `record` to `path` unless it stands there already."""
    data = json.dumps(record, indent=1, sort_keys=True).encode() + b"\n"
    if files.read_or_none(path) != data:
        files.make_directory(path.parent, 0o700)
        files.write(path, data, files.PRIVATE)


@dataclass(frozen=True)
class Write:
    """A file to be written: where, what, and its mode."""

    path: Path
    data: bytes
    mode: int = files.PUBLIC


class Ledger:
    """Which files of /etc the program wrote: a file whose bytes are recorded here was not edited since. By name, for
    all of them are in one directory."""

    def __init__(self, paths: Paths) -> None:
        self.path = paths.written
        self.digests: dict[str, list[str]] = load(self.path)

    def knows(self, path: Path) -> bool:
        """Whether the program ever wrote `path`."""
        return path.name in self.digests

    def wrote(self, path: Path, data: bytes | None) -> bool:
        """Whether `data`, found at `path`, is what the program wrote there."""
        return data is not None and digest(data) in self.digests.get(path.name, [])

    def untouched(self, path: Path, data: bytes | None) -> bool:
        """The same, of a file that is still where the program wrote it: one that was moved elsewhere and linked here
        is the administrator's now, whatever it holds."""
        return self.wrote(path, data) and not path.is_symlink()

    def record(self, writes: Sequence[Write]) -> None:
        """Remember `writes`. Called before they are done: a crash in between, or a file system that can't be written,
        however often, leaves files that count as ours."""
        for write in writes:
            known, new = self.digests.get(write.path.name, []), digest(write.data)
            there = [item for item in known if item == _digest_of(write.path)] or known[-1:]
            self.digests[write.path.name] = list(dict.fromkeys([*there, new]))
        save(self.path, self.digests)


def write_together(paths: Paths, writes: Sequence[Write]) -> None:
    """Write several files so that a crash leaves all of them old or, after `redo`, all of them new."""
    staged = paths.pending.with_name(".pending.new")
    shutil.rmtree(staged, ignore_errors=True)
    files.make_directory(paths.state, 0o700)
    files.make_directory(staged, 0o700)
    entries = []
    for number, write in enumerate(writes):
        files.write(staged / str(number), write.data, files.PRIVATE)
        entries.append({"path": str(write.path), "mode": write.mode, "before": _digest_of(write.path)})
    files.write(staged / "entries.json", json.dumps(entries).encode(), files.PRIVATE)
    with files.explained(paths.pending):
        staged.rename(paths.pending)
        files.sync_directory(paths.state)
    try:
        redo(paths)
    except SecregError:
        if all(_digest_of(Path(str(entry["path"]))) == entry["before"] for entry in entries):
            shutil.rmtree(paths.pending)  # nothing was written yet: it is as if it had never been asked for
        raise


def _digest_of(path: Path) -> str | None:
    data = files.read_or_none(path)
    return digest(data) if data is not None else None


def redo(paths: Paths) -> None:
    """Finish what `write_together` began before a crash. A file that was edited since is left alone."""
    shutil.rmtree(paths.pending.with_name(".pending.new"), ignore_errors=True)
    listing = files.read_or_none(paths.pending / "entries.json")
    if listing is None:
        return
    for number, entry in enumerate(json.loads(listing)):
        target, data = Path(entry["path"]), files.read_or_none(paths.pending / str(number))
        if data is not None and _digest_of(target) == entry["before"]:
            files.write(target, data, entry["mode"])
    shutil.rmtree(paths.pending)
