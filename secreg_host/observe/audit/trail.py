"""The file of who did what, and those that it was before: by days, packed, for AUDIT_DAYS.

It stands among the front's logs, in a directory of the front's user, whose sandbox hides it; what was packed is in a
directory of root's. It is emptied then, and not renamed, so that the front's sandbox goes on hiding it.
"""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from secreg_host.base import appended, files, logs, reading
from secreg_host.base.errors import SecregError
from secreg_host.base.paths import Paths
from secreg_host.observe.audit import entries
from secreg_host.observe.audit.entries import Entry

MODE = 0o640
LARGEST = 32 << 20
"""Bytes after which it is packed before the day is over."""

STAMP = "%Y%m%dT%H%M%S"
PACKED = re.compile(r"audit\.log-(?P<stamp>[0-9]{8}T[0-9]{6})\.gz")


def until(path: Path) -> datetime | None:
    """Up to when the entries of the packed file `path` are, by its name; None: it is none."""
    found = PACKED.fullmatch(path.name)
    try:
        return datetime.strptime(found["stamp"], STAMP).replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


class Trail:
    """The file, and what was packed of it."""

    def __init__(self, paths: Paths) -> None:
        self.path, self.packed = logs.audit(paths), logs.packed(paths)

    @property
    def size(self) -> int:
        """How long the file is."""
        return appended.size(self.path)

    def begin(self) -> None:
        """Have the file and the directory before anybody looks for them: the front's sandbox, when it is made. Raises
        OSError, SecregError."""
        group = self.path.parent.stat().st_gid
        files.make_directory(self.packed, 0o750, (0, group))
        appended.append(self.path, b"", MODE)

    def append(self, lines: list[bytes]) -> int:
        """Add `lines`, which are on disk then; how long it is by then. Raises OSError, and nothing of them is there."""
        return appended.append(self.path, b"".join(lines), MODE)

    def tail(self, size: int) -> Counter[bytes]:
        """The lines that were added after it was `size` long; all of them, if it is shorter by now."""
        begin = size if size <= self.size else 0
        found: Counter[bytes] = Counter()
        while self.size > begin and (data := appended.after(self.path, begin, appended.BLOCK)):
            found.update(data.splitlines(keepends=True))
            begin += len(data)
        return found

    @property
    def is_large(self) -> bool:
        """Whether it is to be packed before the day is over."""
        return self.size >= LARGEST

    def is_due(self, now: datetime) -> bool:
        """Whether it is to be packed: another day has begun, or it is large."""
        first = entries.read(appended.first(self.path)) if self.size else None
        return self.is_large or (first is not None and first.time[:10] != f"{now:%Y-%m-%d}")

    def name(self, now: datetime) -> str:
        """What it is called once it is packed `now`: like no other one, whatever the clock says."""
        while reading.is_there(self.packed / (name := f"{self.path.name}-{now.strftime(STAMP)}.gz")):
            now += timedelta(seconds=1)
        return name

    def pack(self, name: str) -> None:
        """Keep all of it as `name`, and empty it; where that is kept already, it is emptied. Raises SecregError,
        OSError."""
        if not reading.is_there(self.packed / name) and self.size:
            group = self.path.parent.stat().st_gid
            whole = b"".join(appended.lines(self.path))
            files.write(self.packed / name, gzip.compress(whole, 6, mtime=0), MODE, (0, group))
        appended.empty(self.path)

    def every(self) -> list[Path]:
        """The packed files, the oldest first."""
        found = [path for path in self.packed.glob("audit.log-*.gz") if until(path) is not None]
        return sorted(found, key=lambda path: path.name)

    def forget(self, days: int, now: datetime) -> None:
        """Remove what is older than `days`. Raises SecregError."""
        for path in self.every():
            last = until(path)
            if last is not None and last < now - timedelta(days=days):
                files.remove(path)

    def read(self, wanted: entries.Wanted) -> Iterator[Entry]:
        """The entries that are `wanted`, in the order in which they were written. Raises SecregError."""
        for path in [*self.every(), self.path]:
            last = until(path)
            if last is not None and last.timestamp() * entries.MICRO + entries.MICRO < wanted.since:
                continue
            for line in appended.lines(path):
                if (one := entries.read(line)) is not None and wanted.has(one):
                    yield one

    def check(self) -> None:
        """Raise SecregError when what stands there is not ours: somebody else put it there."""
        if reading.is_there(self.path) and not appended.is_ours(self.path.lstat()):
            what = f"{self.path} is no file of root's, so somebody else wrote it"
            raise SecregError(what, f"see whose it is: ls -l {self.path}; what was packed is in {self.packed}")
