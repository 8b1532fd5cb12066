"""Files as they were when they were first looked at: what is decided in one go is decided of the same bytes, and each
file is read once. What is to be written goes through here, too; it is read anew then, for somebody may have edited it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from secreg_host.base import files, marks, reading, records
from secreg_host.base.errors import BadInput, SecregError
from secreg_host.base.paths import Paths
from secreg_host.base.records import Ledger, Write


class Snapshot:
    """The files of the instance at `paths`, each read once. begun: their marks (marks.mark) before that, by path."""

    def __init__(self, paths: Paths, begun: Mapping[str, str] | None = None) -> None:
        self.paths = paths
        self._marks = dict(begun or {})
        self._known: dict[Path, bytes | None] = {}
        self._refused: dict[tuple[Path, int], SecregError] = {}

    @functools.cached_property
    def ledger(self) -> Ledger:
        """Which files of /etc this program wrote."""
        return Ledger(self.paths)

    def read(self, path: Path, limit: int) -> bytes | None:
        """`reading.read`, and for whoever asks again the same answer."""
        found = self._known.get(path)
        if path in self._known and (found is None or len(found) <= limit):
            return found
        if known := self._refused.get((path, limit)):
            raise known
        try:
            self._known[path] = reading.read(path, limit)
        except SecregError as error:
            self._refused[path, limit] = error
            raise
        return self._known[path]

    def peek(self, path: Path, limit: int) -> bytes:
        """What can be read of `path`: nothing where `read` returns None or raises."""
        try:
            return self.read(path, limit) or b""
        except SecregError:
            return b""

    def mark(self, path: Path) -> str:
        """The mark of the file at `path` from before it was read, or since it was written here."""
        found = self._marks.get(str(path))
        if found is None:
            found = self._marks[str(path)] = marks.mark(path)
        return found

    def content(self, path: Path) -> bytes | None:
        """The bytes of the file at `path`; None when there is no regular file, or one that is far too large. Raises
        SecregError when it can't be read."""
        try:
            return self.read(path, reading.NGINX)
        except BadInput:
            return None

    def write(self, writes: Sequence[Write]) -> None:
        """Write files of ours: all of them or, after a crash, none (records.write_together); those in /etc count as
        written by this program from before the first byte on. Raises SecregError when one can't be written."""
        if of_etc := [write for write in writes if write.path.parent == self.paths.etc]:
            files.make_directory(self.paths.etc, 0o755)
            self.ledger.record(of_etc)
        if len(writes) > 1:
            records.write_together(self.paths, writes)
        else:
            for write in writes:
                files.write(write.path, write.data, write.mode)
        for write in writes:
            self._forget(write.path)

    def edit(self, path: Path, data: bytes) -> None:
        """Write `data` to a file of the administrator's, which stays his: behind a link, with its mode and owner.
        Raises SecregError when it can't be written."""
        files.rewrite(path, data)
        self._forget(path)

    def _forget(self, path: Path) -> None:
        self._known.pop(path, None)
        self._marks.pop(str(path), None)
