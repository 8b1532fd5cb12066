"""/healthz, by which a balancer knows whether to send clients here: who answers it, and what makes it say no.

The front asks the password check and the registry, once a second at the most. What it can't know, such as a store that
nobody can write, whoever looks says by a file.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from secreg_host.base import files, reading, utf8
from secreg_host.base.errors import SecregError
from secreg_host.base.paths import Paths
from secreg_host.wanted.parts.nginx import NginxPart

LOCATION = re.compile(r"""^[^#\n]*\blocation\s+(?:(?:=|\^~)\s*)?["']?/healthz["']?\s*\{""", re.MULTILINE)


def taken(nginx: NginxPart) -> bool:
    """Whether nginx.conf has a /healthz of its own, which counts then (nginx takes no location twice)."""
    outside = (reading.peek(Path(path), reading.OTHER) for path in nginx.outside)
    return any(LOCATION.search(utf8.shown(data)) for data in (*nginx.files.values(), *outside))


def flag(paths: Paths) -> Path:
    """The file that is there while something that people need is known to be away: /healthz answers 503."""
    return paths.run / "away"


def tell(paths: Paths, *, away: bool) -> None:
    """Let /healthz say from now on whether something is `away` that the front can't ask itself. Best effort: where
    not even an empty file can be made, it says what the front finds."""
    with contextlib.suppress(OSError, SecregError):
        if not away:
            flag(paths).unlink(missing_ok=True)
        elif not flag(paths).exists():
            files.create(flag(paths), b"", files.PUBLIC)
