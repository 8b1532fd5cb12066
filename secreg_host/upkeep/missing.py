"""What is said where no directory of backups is, or can be: in the hurry somebody named another one, or a disk is away,
or whose it is is not for this host to say."""

from __future__ import annotations

import os
from pathlib import Path

from secreg_host.base import distant, quoting, reading

IT_IS_NONE = "is no directory of backups"


def findmnt(path: Path) -> str:
    """What shows on which disk `path` is."""
    return f"findmnt -T {quoting.shell(path)}"


def told(path: Path, marker: str) -> tuple[str, str]:
    """What is wrong with `path`, in which no `marker` is, and what to do."""
    mounted = f"see what is mounted: {findmnt(path)}"
    above = next((one for one in path.parents if reading.is_there(one / marker)), None)
    if above is not None:
        return f"{IT_IS_NONE}, but in one", f"name that: {quoting.shell(above)}"
    if not reading.is_there(path):
        return f"{IT_IS_NONE}: it is not there", f"{mounted}; `backup create` makes new ones"
    return IT_IS_NONE, f"name one; {mounted}"


def to_own(path: Path, owner: int) -> str:
    """How directory `path`, which is of the user `owner`, or in which others may write, is made one's own."""
    mount, quoted = distant.mount_at(path), quoting.shell(path)
    if owner != os.geteuid() and mount is not None and mount.kind.startswith("nfs"):
        return (
            f"let its server take root for root ({mount.device}, exports(5): no_root_squash), then: chown 0: {quoted}"
        )
    return f"make it yours alone: chown {os.geteuid()}: {quoted}; chmod 700 {quoted}"


def taken(path: Path) -> tuple[str, str]:
    """The same where a new one can't be made, for something else is there."""
    if not reading.is_directory(path):
        return f"{IT_IS_NONE}, and no other one", "name another path"
    hint = f"name an empty one, or one that is not there: {quoting.shell(path / 'registry-backup')}"
    return f"{IT_IS_NONE}, and other files are in it", f"{hint}; or see what is mounted: {findmnt(path)}"
