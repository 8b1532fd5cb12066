"""Whether bytes of a store are what their digest says."""

from __future__ import annotations

import os
import stat

from secreg_host.base import marks
from secreg_host.images import layout

PIECE = 1 << 20


def is_right(path: str, digest: str) -> bool:
    """Whether the regular file `path` holds what its `digest` says. Raises OSError."""
    algorithm, _, value = digest.partition(":")
    hashed = marks.hashing(algorithm)
    try:
        descriptor = os.open(path, layout.FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return False
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        while piece := file.read(PIECE):
            hashed.update(piece)
    return hashed.hexdigest() == value
