"""The program's own memory below state/: which defaults it wrote, facts fixed at setup, and the redo log."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secreg_host.base import files, marks, reading
from secreg_host.base.errors import BadInput, SecregError
from secreg_host.base.paths import Paths

VERSION = 1
"""Of our records. Another one only when what a record says changes its meaning: keys that we don't know are passed
over. Records without a version are of 0.1, which passes over ours."""

Shape = type | tuple[Any, ...] | list[Any] | dict[Any, Any]

NUMBER, TEXT = (int, float), str
PROBLEM = {"where": TEXT, "what": TEXT, "hint": TEXT}
REPORT: dict[Any, Shape] = {
    "generation": TEXT,
    "since": NUMBER,
    "findings": [{"kind": TEXT, "part": TEXT, "problem": PROBLEM, "since": NUMBER, "later": bool}],
    "waiting": {str: NUMBER},
    "fingerprint": TEXT,
    "sources": [TEXT],
    "checked": TEXT,
    "users": TEXT,
    "count": NUMBER,
    "changes": {str: NUMBER},
    "by": TEXT,
    "again": NUMBER,
}
MILD = ("warning", "pending")
"""Kinds of findings for which nothing is held back, and all of what serves is as it should be."""

WRITTEN: dict[Any, Shape] = {str: [TEXT]}
PENDING: list[Any] = [{"version": int, "path": TEXT, "mode": int, "before": (TEXT, type(None))}]


def fits(value: object, shape: Shape) -> bool:
    """Whether the JSON value `value` is of `shape`: a type; several in a tuple; `[shape]` for each element of a list;
    a dict of the shapes of keys, `str` standing for those that it does not name. Keys may be missing."""
    if isinstance(shape, tuple):
        return any(fits(value, one) for one in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(one, shape[0]) for one in value)
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(
            fits(one, shape.get(key, shape.get(str, object))) for key, one in value.items()
        )
    return isinstance(value, shape) and not (isinstance(value, bool) and shape in (int, float))


def parsed(data: bytes | None) -> Any:
    """The JSON value in `data`; None if there is none."""
    try:
        return json.loads(data or b"null")
    except (ValueError, RecursionError):
        return None


def load(path: Path, shape: Mapping[Any, Shape]) -> dict[str, Any]:
    """The record in `path`, without its version; empty when there is none, or none that we can read: damaged, of a
    later version, of another shape. Each record can be made again."""
    try:
        found = parsed(reading.read(path, reading.RECORD))
    except BadInput:  # a pipe, a directory ...
        return {}
    if not fits(found, {**shape, "version": int}) or found.pop("version", 0) > VERSION:
        return {}
    return dict(found)


def peek(path: Path, shape: Mapping[Any, Shape]) -> dict[str, Any]:
    """`load` for what loses nothing by being made anew: empty, too, where the file can't be read at all."""
    try:
        return load(path, shape)
    except SecregError:
        return {}


def save(path: Path, record: Mapping[str, Any], *, versioned: bool = True) -> None:
    """Write `record` to `path` unless it stands there already."""
    whole = {**record, "version": VERSION} if versioned else record
    data = json.dumps(whole, indent=1, sort_keys=True).encode() + b"\n"
    if reading.peek(path, reading.RECORD) != data:
        files.write_own(path, data)


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
        self.digests: dict[str, list[str]] = load(self.path, WRITTEN)

    def knows(self, path: Path) -> bool:
        """Whether the program ever wrote `path`."""
        return path.name in self.digests

    def wrote(self, path: Path, data: bytes | None) -> bool:
        """Whether `data`, found at `path`, is what the program wrote there."""
        return data is not None and marks.digest(data) in self.digests.get(path.name, [])

    def untouched(self, path: Path, data: bytes | None) -> bool:
        """The same, of a file that is still where the program wrote it: one that was moved elsewhere and linked here
        is the administrator's now, whatever it holds."""
        return self.wrote(path, data) and not path.is_symlink()

    def record(self, writes: Sequence[Write]) -> None:
        """Remember `writes`. Called before they are done: a crash in between, or a file system that can't be written,
        however often, leaves files that count as ours."""
        for write in writes:
            known, new = self.digests.get(write.path.name, []), marks.digest(write.data)
            there = [item for item in known if item == _digest_of(write.path)] or known[-1:]
            self.digests[write.path.name] = list(dict.fromkeys([*there, new]))
        save(self.path, self.digests)


def write_together(paths: Paths, writes: Sequence[Write]) -> None:
    """Write several files so that a crash leaves all of them old or, after `redo`, all of them new."""
    staged = paths.pending.with_name(".pending.new")
    shutil.rmtree(staged, ignore_errors=True)
    files.make_directory(paths.state, 0o700)
    files.make_directory(staged, 0o700, durable=False)
    entries = []
    for number, write in enumerate(writes):
        files.write(staged / str(number), write.data, files.PRIVATE)
        before = _digest_of(write.path)
        entries.append({"version": VERSION, "path": str(write.path), "mode": write.mode, "before": before})
    files.write(staged / "entries.json", json.dumps(entries).encode(), files.PRIVATE)
    with files.explained(paths.pending):
        staged.rename(paths.pending)
        files.sync_directory(paths.state)
    try:
        redo(paths)
    except SecregError:
        if all(_digest_of(Path(str(entry["path"]))) == entry["before"] for entry in entries):
            files.remove_tree(paths.pending)  # nothing was written yet: it is as if it had never been asked for
        raise


def _digest_of(path: Path) -> str | None:
    try:
        data = reading.read(path, reading.OTHER)
    except BadInput:
        return "not a file"
    return marks.digest(data) if data is not None else None


def redo(paths: Paths) -> None:
    """Finish what `write_together` began before a crash. A file that was edited since is left alone; so are all when
    the log is damaged, or of a later version."""
    shutil.rmtree(paths.pending.with_name(".pending.new"), ignore_errors=True)
    if not paths.pending.exists():
        return
    found = parsed(reading.peek(paths.pending / "entries.json", reading.RECORD))
    entries = found if fits(found, PENDING) else []
    if all({"path", "mode", "before"} <= set(entry) and entry.get("version", 0) <= VERSION for entry in entries):
        for number, entry in enumerate(entries):
            target, data = Path(entry["path"]), files.read_or_none(paths.pending / str(number))
            if data is not None and _digest_of(target) == entry["before"]:
                files.write(target, data, entry["mode"])
    files.remove_tree(paths.pending)  # if it came back, it would undo what is edited from now on
