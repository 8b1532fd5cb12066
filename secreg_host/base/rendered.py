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
OF_0_1 = {
    "nginx": "87373b7169d315a78444de3bd15b67879df22158e4c5f9543690f74f69015785",
    "auth": "c0f30efee9a309ec4c8a5bc91d3bfb608324103345394e6671e5647a9b0e8b1a",
    "registry@": "2f7a364082906e909d2456914727164bd19b2ba3d65e07b001c87359fddb495f",
}
"""What version 0.1 rendered, which kept no record and knows none of ours: secure-registry-NAME.service, as SHA-256 of
what `_without_host` leaves of it."""

PROGRAM = re.compile(rb'^ExecStart=("[^"\n]*"|\S+)', re.MULTILINE)
STORAGE = re.compile(rb"^RequiresMountsFor=([^\n]*)\n(.*?)^ReadWritePaths=\1\n", re.MULTILINE | re.DOTALL)


class Rendered:
    """The record. Digests by path: that of what stands there, and while it is being replaced that of the new one."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        data = reading.content(paths.rendered)
        self.digests: dict[str, list[str]] = {}
        for line in utf8.shown(data or b"").splitlines():
            if found := LINE.fullmatch(line):
                self.digests.setdefault(found[2], []).append(found[1])

    @property
    def places(self) -> tuple[Path, ...]:
        """Where files are, or were, that the program rendered."""
        first = (self.paths.units / f"secure-registry-{name}.service" for name in OF_0_1)
        return tuple(dict.fromkeys((*map(Path, self.digests), *filter(self.has, first))))

    def has(self, path: Path) -> bool:
        """Whether what stands at `path` is as it was rendered. A link never is."""
        if path.is_symlink():
            return False
        data = reading.content(path)
        return data is not None and (digest(data) in self.digests.get(str(path), []) or _of_0_1(path.name, data))

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


def _of_0_1(name: str, data: bytes) -> bool:
    """Whether `data` is what version 0.1 rendered as unit `name`, on whatever host."""
    short = name.removeprefix("secure-registry-").removesuffix(".service")
    return digest(_without_host(data)) == OF_0_1.get(short)


def _without_host(unit: bytes) -> bytes:
    """A unit of version 0.1 without what depends on the host: where its program and the images are."""
    return STORAGE.sub(rb"\2", PROGRAM.sub(b"ExecStart=", unit, count=1), count=1)
