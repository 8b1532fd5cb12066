"""What runs that were killed left in the directories of one instance."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import NamedTuple

from secreg_host.base import files, temporary
from secreg_host.base.paths import Paths

STRAY_SECONDS = 60.0
"""From what age on a template that is still being compiled was left by a killed run: it takes milliseconds."""


class Restoring(NamedTuple):
    """Where a restore writes, for root alone: what is to be /etc/secure-registry, and that once it is whole, until it
    has its place; what is to be in the program's state."""

    etc: Path
    whole: Path
    state: Path


def restoring(paths: Paths) -> Restoring:
    """Where a restore of the instance at `paths` writes."""
    etc = paths.etc.with_name(f".{paths.etc.name}.restore")
    return Restoring(etc, etc.with_name(f"{etc.name}d"), paths.lib / ".restore")


def sweep(paths: Paths) -> None:
    """Remove what nobody is making any more. For whoever holds the instance's lock; best effort.

    What lies in generations/ and among the users that count, `generations` and `liveusers` sweep; in directories of
    other programs, `trust` does.
    """
    for directory in (paths.lib, paths.slot("a").parent, paths.state, paths.backups, paths.run):
        temporary.sweep(directory, ours=True)
    for directory in (paths.etc, paths.units):
        temporary.sweep(directory)
    _sweep_restore(paths)
    for directory in (paths.rehearsal, paths.run / "njs"):
        shutil.rmtree(directory, ignore_errors=True)
    for path in (paths.state / "templates").glob("*.tmp"):  # jinja2's
        with contextlib.suppress(OSError):
            if path.lstat().st_mtime < time.time() - STRAY_SECONDS:
                path.unlink()


def _sweep_restore(paths: Paths) -> None:
    """What a restore left: its secrets go. Where it was killed between two renames, /etc is put in its place."""
    left = restoring(paths)
    if left.whole.is_dir() and not os.path.lexists(paths.etc):
        with contextlib.suppress(OSError):
            left.whole.rename(paths.etc)
            files.sync_directory(paths.etc.parent)
    for directory in left:
        shutil.rmtree(directory, ignore_errors=True)
