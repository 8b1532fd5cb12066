"""Which files the program rendered into a directory that is not its own (units): by path and digest, for as long as
they are there. What somebody edited, or put there himself, is never taken for one of them.

The record has the lines of sha256sum(1), so that the package's scripts can read it when the program is gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from secreg_host.base import files, reading, utf8
from secreg_host.base.marks import digest
from secreg_host.base.paths import Paths

LINE = re.compile(r"([0-9a-f]{64})  (/.+)")
HEADER = b"# Written by secure-registry setup;"
"""How each unit begins."""

FIRST = ("nginx", "auth", "registry@")
"""What version 0.1 rendered, which kept no record: secure-registry-NAME.service."""


class Rendered:
    """The record. Digests by path: that of what stands there, and while it is being replaced that of the new one."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        data = reading.content(paths.rendered)
        self.digests: dict[str, list[str]] = {}
        for line in utf8.shown(data or b"").splitlines():
            if found := LINE.fullmatch(line):
                self.digests.setdefault(found[2], []).append(found[1])
        if data is None:
            self._adopt()

    def _adopt(self) -> None:
        """Take over what version 0.1 rendered, known by its name and its first line."""
        for name in FIRST:
            path = self.paths.units / f"secure-registry-{name}.service"
            data = None if path.is_symlink() else reading.content(path)
            if data is not None and data.startswith(HEADER):
                self.digests[str(path)] = [digest(data)]

    def has(self, path: Path) -> bool:
        """Whether what stands at `path` is as it was rendered. A link never is."""
        if path.is_symlink():
            return False
        data = reading.content(path)
        return data is not None and digest(data) in self.digests.get(str(path), [])

    def record(self, new: Mapping[Path, bytes]) -> None:
        """Remember `new`. Called before it is written: a crash in between leaves files that count as rendered."""
        for path, data in new.items():
            there = reading.content(path)
            known = [item for item in self.digests.get(str(path), []) if there is not None and item == digest(there)]
            self.digests[str(path)] = list(dict.fromkeys([*known, digest(data)]))
        self._save()

    def forget(self, gone: Iterable[Path]) -> None:
        """Forget what is not there any more, or is not the program's."""
        for path in gone:
            self.digests.pop(str(path), None)
        self._save()

    def _save(self) -> None:
        lines = [f"{item}  {path}\n" for path, items in sorted(self.digests.items()) for item in items]
        data = "".join(lines).encode()
        if (reading.content(self.paths.rendered) or b"") != data:
            files.write_own(self.paths.rendered, data)
