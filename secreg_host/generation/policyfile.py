"""access.yml where the manifest service reads it, which has to do with generations as little as with /etc: beside the
sockets, in memory, under the digest of what it holds. The front names it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from secreg_host.base import files, marks
from secreg_host.base.errors import SecregError
from secreg_host.base.paths import Paths
from secreg_host.host.host import Host
from secreg_host.wanted.parts.access import YML, AccessPart

KEPT = 4
"""How many are kept: old workers of nginx's name that of before for a while."""


def name(part: AccessPart) -> str:
    """What the file of `part` is called; "": it has none."""
    return marks.digest(part.files[YML])[:32] if YML in part.files else ""


def place(paths: Paths, called: str) -> Path:
    """Where the file is that is called so."""
    return paths.run / "access" / called


def keep(host: Host, part: AccessPart) -> None:
    """Let the file of `part` be there. Raises SecregError."""
    if not (called := name(part)):
        return
    path = place(host.paths, called)
    if path.is_file():
        return
    files.make_directory(path.parent, 0o711)
    files.write(path, part.files[YML], 0o400, host.accounts.registry.owner)
    with contextlib.suppress(OSError, SecregError):
        known = sorted(path.parent.iterdir(), key=lambda one: one.stat().st_mtime)
        for old in known[:-KEPT]:
            files.remove(old)
