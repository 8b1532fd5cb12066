"""Saving a file that got shorter, where there may be no room for a new one."""

from __future__ import annotations

from pathlib import Path

from secreg_host.base import files
from secreg_host.base.errors import SecregError
from secreg_host.base.reserve import Reserve


def save(path: Path, data: bytes, in_place: bytes, reserve: Reserve | None) -> None:
    """Write the file, which gets shorter: where no other one can take its place (no room, a file that is mounted)
    `in_place`, no line of which may move, for a crash can leave any block of it as it was; and where that needs room,
    as where nothing is ever overwritten (btrfs), with what is reserved. Raises SecregError."""
    try:
        files.rewrite(path, data)
    except SecregError as error:
        there = path.resolve()
        try:
            if reserve is None:
                files.shorten(there, in_place)
            else:
                reserve.use(lambda: files.shorten(there, in_place))
        except SecregError:
            raise error from error.__cause__
