"""By which rule a client goes to a registry, as its own files have it, whoever wrote them: whom it trusts, through
which proxy it goes, and what it refuses. Each client's are in its own file."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from secreg_host.base import files, records, utf8
from secreg_host.base.errors import SecregError
from secreg_host.clients.served import Endpoint
from secreg_host.pki.handshake import Rule

Rules = Callable[[Endpoint, str], Rule]
"""The rule by which a client goes to an endpoint that it calls by this spelling."""


def toml(path: Path, shape: records.Shape) -> dict[str, Any]:
    """What stands in `path`; nothing where that is not of `shape` or no TOML, which its reader does not take either."""
    with contextlib.suppress(ValueError, RecursionError, SecregError):
        found = tomllib.loads(utf8.text(files.read_or_none(path) or b"", str(path)))
        return found if records.fits(found, shape) else {}
    return {}
