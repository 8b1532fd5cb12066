"""Where the front remembers right passwords: in memory (tmpfs), readable by it alone, or nowhere."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path

from secreg_host.base import files, marks
from secreg_host.base.errors import SecregError
from secreg_host.host import host as hosts
from secreg_host.host.host import Host

RUN_DIRECTORY = "auth-cache"


def place(host: Host) -> Path | None:
    """The directory: in the run directory if that is in memory, as on a host; else one of our own in /dev/shm.

    None when there is no such place, or somebody else took it: then each password is checked each time.
    """
    if hosts.in_memory(host.paths.run):
        return host.paths.front_run / RUN_DIRECTORY
    private, owner = _private(host), host.accounts.front.owner
    if not hosts.in_memory(private.parent):
        return None
    with contextlib.suppress(OSError, SecregError):
        if not os.path.lexists(private):
            files.make_directory(private, 0o700, owner)
        status = private.lstat()
        ours = (status.st_uid, stat.S_IMODE(status.st_mode)) == (owner[0], 0o700)
        if ours and stat.S_ISDIR(status.st_mode):
            return private
    return None


def empty(host: Host, view: Path) -> None:
    """Take away what the front remembers: it then asks again for each password, within a second.

    view: its root directory as seen from here (proc_pid_root(5)), for nobody else sees what it remembers. It may have
    been taken over: no link of its is followed.
    """
    directory = place(host)
    if directory is None:
        return
    with contextlib.suppress(OSError):  # it is not there, or no longer
        for _, _, names, descriptor in os.fwalk(view / directory.relative_to("/"), follow_symlinks=False):
            for name in names:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=descriptor)  # noqa: PTH108 (Path knows no descriptors)


def forget(host: Host) -> None:
    """Remove what is outside of the run directory, when the instance has ended."""
    with contextlib.suppress(OSError):
        if _private(host).lstat().st_uid in (os.geteuid(), host.accounts.front.uid):
            shutil.rmtree(_private(host))


def _private(host: Host) -> Path:
    name = marks.digest(os.fsencode(host.paths.root.resolve()))[:16]
    return host.paths.shared_memory / f"secure-registry-{host.accounts.front.uid}-{name}"
