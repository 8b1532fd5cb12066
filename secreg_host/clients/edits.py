"""Edits of files that belong to other programs: only what we put in, and only over the bytes that we read.

`plan` decides, purely: it takes our earlier entries out and puts the wanted ones in, so that the bytes come back as
they were. `read` and `replace` are the thin edge: compare-and-swap, with mode, owner and labels kept.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from secreg_host.base import distant, files, marks, reading, temporary, utf8
from secreg_host.base.errors import BadInput, SecregError, bad_input

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mine:
    """What we put into a file.

    before: its bytes without it (None: there was no file); wrote: SHA-256 of it with ours; added: our entries;
    made: whether what holds the entries (a key, a line) is ours too.
    """

    before: bytes | None
    wrote: str
    added: tuple[str, ...]
    made: bool

    def as_json(self) -> dict[str, Any]:
        """What is ours as JSON values, which `from_json` takes."""
        before = None if self.before is None else utf8.exact(self.before, "")
        return {"before": before, "wrote": self.wrote, "added": list(self.added), "made": self.made}

    @staticmethod
    def from_json(found: dict[str, Any] | None) -> Mine | None:
        """What is ours, of which `as_json` made `found`; None: nothing is."""
        if not found or set(found) != {"before", "wrote", "added", "made"}:
            return None
        before = found["before"]
        return Mine(
            None if before is None else before.encode(errors="replace"),
            found["wrote"],
            tuple(found["added"]),
            bool(found["made"]),
        )


class Kind(Protocol):
    """How entries are put into one kind of file. Both functions are pure and raise BadInput."""

    def add(self, data: bytes | None, wanted: tuple[str, ...]) -> tuple[bytes, tuple[str, ...], bool]:
        """`data` with those of `wanted` that it lacks; these; and whether their holder had to be made."""

    def take_out(self, data: bytes, mine: Mine) -> bytes | None:
        """`data` (edited by others since) without our entries; None: nothing is left but what we made."""


def plan(now: bytes | None, mine: Mine | None, kind: Kind, wanted: tuple[str, ...]) -> tuple[bytes | None, Mine | None]:
    """What the file should hold so that `wanted` stands in it, and what of it is ours. Nothing `wanted`: undo.

    Raises BadInput when the file can't be edited safely.
    """
    base = now
    if mine is not None and now is not None:
        base = mine.before if marks.digest(now) == mine.wrote else kind.take_out(now, mine)
    if not wanted:
        return base, None
    new, added, made = kind.add(base, wanted)
    if not added:
        return base, None
    return new, Mine(base, marks.digest(new), added, made)


@dataclass(frozen=True)
class Original:
    """A file as it was read: its bytes (None: there is none), and what stat(2) said of it."""

    path: Path
    data: bytes | None
    status: os.stat_result | None = None

    @property
    def mark(self) -> str:
        """What tells, besides its bytes, whether it changed since."""
        return marks.of(self.status) if self.status else ""


def read(path: Path) -> Original:
    """The regular file `path`. Raises BadInput for what should not be replaced: a symlink, something else."""
    return distant.ask(path, lambda: _read(path))


def _read(path: Path) -> Original:
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return Original(path, None)
    except (OSError, ValueError) as error:
        raise reading.unreadable(path, error) from error
    if stat.S_ISLNK(found.st_mode):
        raise bad_input(
            str(path),
            f"is a symlink to {path.readlink()}, so something else manages it",
            "add the entries where it is managed, or set DOCKER_TRUST=none",
        )
    if not stat.S_ISREG(found.st_mode):
        raise bad_input(str(path), "is not a regular file", f"move it away: mv {path} {path}.old")
    if found.st_nlink > 1:
        raise bad_input(
            str(path),
            f"has {found.st_nlink} names (hard links)",
            f"make it a file of its own: cp -p {path} {path}.new && mv {path}.new {path}",
        )
    return Original(path, reading.read(path, reading.JSON), found)


def replace(seen: Original, data: bytes | None) -> None:
    """Put `data` in place of what was `seen` (None: remove the file), atomically; mode, owner and labels stay. What
    that changes in another program's file is told.

    Raises SecregError when the file is not what was seen any more; it is then untouched.
    """
    path = seen.path
    with files.explained(path):
        if data is None:
            _compare(seen)
            files.remove(path)
            log.info("removed %s: only entries of ours were in it", path)
            return
        with temporary.instead_of(path) as descriptor:
            with os.fdopen(descriptor, "wb", closefd=False) as stream:
                stream.write(data)
            _dress(descriptor, seen)
            os.fsync(descriptor)  # which takes a while, before a last look
            _compare(seen)
        files.sync_directory(path.parent)
    log.info("%s: %s", path, "made" if seen.data is None else _difference(seen.data, data))


def _difference(before: bytes, after: bytes) -> str:
    """What of lines is another one, in short."""
    old, new = (Counter(data.splitlines()) for data in (before, after))
    counts = {"added": (new - old).total(), "taken out": (old - new).total()}
    return "lines " + ", ".join(f"{did}: {count}" for did, count in counts.items() if count)


def _dress(descriptor: int, seen: Original) -> None:
    """Mode, owner, ACLs and security label of the file that is replaced."""
    if seen.status is None:
        os.fchmod(descriptor, files.PUBLIC)
        return
    if os.geteuid() == 0:
        os.fchown(descriptor, seen.status.st_uid, seen.status.st_gid)
    for name in os.listxattr(seen.path):
        with contextlib.suppress(OSError):  # some can't be set by hand; none of these is the administrator's
            os.setxattr(descriptor, name, os.getxattr(seen.path, name))
    os.fchmod(descriptor, stat.S_IMODE(seen.status.st_mode))


def _compare(seen: Original) -> None:
    try:
        now = read(seen.path)
    except BadInput:
        now = None
    if now is None or (now.data, now.mark) != (seen.data, seen.mark):
        raise SecregError(
            f"{seen.path} was changed by somebody else just now",
            "nothing of it was lost; run it again: secure-registry trust install",
        )
