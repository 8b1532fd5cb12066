"""Whole files that are put into directories of other programs, known by their digest: never over somebody else's,
never removed once somebody edited them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path

from secreg_host.base import files, marks, reading
from secreg_host.base.errors import Problem
from secreg_host.clients.kept import Kept

log = logging.getLogger(__name__)

INSTALL = "secure-registry trust install"
REMOVE = "remove it; then: secure-registry trust remove"


@dataclass(frozen=True)
class Plan:
    """write: files to write; remove: files to remove; record: digests of ours afterwards, by path."""

    write: Mapping[Path, bytes]
    remove: tuple[Path, ...]
    record: dict[str, str]
    problems: tuple[Problem, ...] = ()


def plan(
    wanted: Mapping[Path, bytes],
    record: Mapping[str, str],
    now: Mapping[Path, bytes | None],
    links: Container[Path] = (),
) -> Plan:
    """What to do so that `wanted` is there, and nothing else of ours. now: what stands at each path; links: which of
    these are no files but links (or worse), so somebody else's, whatever they lead to. Pure."""
    write: dict[Path, bytes] = {}
    keep: dict[str, str] = {}
    problems = []
    for path, data in wanted.items():
        there, ours = now.get(path), record.get(str(path))
        if path in links:
            hint = f"if it holds the same, leave it; else move it away, then: {INSTALL}"
            if there != data:
                problems.append(Problem(str(path), "is not a file of its own, so somebody else manages it", hint))
            continue
        if there is not None and there == data and ours is None:
            continue  # the administrator did the same
        if there is None or marks.digest(there) == ours or there == data:
            keep[str(path)] = marks.digest(data)
            if there != data:
                write[path] = data
        else:
            what = "is somebody else's (another registry's?), or was edited"
            problems.append(Problem(str(path), what, f"move it away, then: {INSTALL}"))
    over = {path: now.get(path) for path in map(Path, record) if path not in wanted}
    left = {path: there for path, there in over.items() if there is not None or path in links}
    edited = [path for path, there in left.items() if path in links or marks.digest(there or b"") != record[str(path)]]
    beside = {path.parent for path in edited}
    keep |= {str(path): record[str(path)] for path in left if path.parent in beside}
    problems += [Problem(str(path), "was edited, so it stays, and what is beside it", REMOVE) for path in edited]
    return Plan(write, tuple(path for path in left if path.parent not in beside), keep, tuple(problems))


def follow(
    wanted: Mapping[Path, bytes], record: Mapping[str, str], save: Callable[[dict[str, str]], None]
) -> tuple[bool, tuple[Problem, ...]]:
    """Bring the files up to `wanted`; whether anything changed, and problems. The record is kept before and after."""
    paths = {*wanted, *map(Path, record)}
    links = {path for path in paths if os.path.lexists(path) and (path.is_symlink() or not path.is_file())}
    made = plan(wanted, record, {path: reading.content(path) for path in paths}, links)
    if made.write or made.remove:
        save({**record, **made.record})
    for path in made.remove:
        files.remove(path)  # before the record forgets it
        log.info("removed %s", path)
    for gone in record.keys() - made.record.keys():  # also what a run removed that was cut
        _tidy(Path(gone).parent)
    for path, data in made.write.items():
        if not reading.is_directory(path.parent):
            files.make_directory(path.parent, 0o755)
        files.write(path, data, files.PUBLIC)
        log.info("wrote %s", path)
    save(made.record)
    return bool(made.write or made.remove), made.problems


def client(kept: Kept, name: str, wanted: Mapping[Path, bytes]) -> tuple[bool, tuple[Problem, ...]]:
    """`follow` for the files of client `name`, by what is `kept` of them."""
    record = kept.of("files", name)
    if not wanted and not record:
        return False, ()
    return follow(wanted, record, lambda new: kept.save("files", new, name))


def _tidy(directory: Path) -> None:
    """Remove `directory` and the certs.d above it when they are empty."""
    for level in (directory, directory.parent):
        if "certs.d" not in (level.name, level.parent.name):
            return
        with files.explained(level, "remove"):
            if level.is_dir():
                if any(level.iterdir()):
                    return
                level.rmdir()
                files.sync_directory(level.parent)
