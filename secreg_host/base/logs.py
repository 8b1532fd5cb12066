"""Where it is kept who did what, and what that is made of."""

from __future__ import annotations

from pathlib import Path

from secreg_host.base.paths import Paths


def requests(paths: Paths) -> Path:
    """What the front has of it: its own file, which is rotated as its other ones."""
    return paths.log / "requests.log"


def audit(paths: Paths) -> Path:
    """The log of it, root's, in the directory of the front's user: the front's sandbox hides it."""
    return paths.log / "audit.log"


def packed(paths: Paths) -> Path:
    """What that was on other days."""
    return paths.lib / "audit"


def place(paths: Paths) -> Path:
    """How far the front's file and the journal were read."""
    return paths.state / "audit.json"
