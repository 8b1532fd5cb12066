"""Who else may read or write what is ours: owners and modes (inode(7)) of a file and of all directories on the way.

Nothing is refused here but hooks (hooks.py): root may have reasons. It is said.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from secreg_host.base import distant, marks, quoting, reading
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.paths import Paths
from secreg_host.base.snapshot import Snapshot
from secreg_host.wanted import settings

PART = "files"
OTHERS = stat.S_IWGRP | stat.S_IWOTH
"""Who may write besides the owner. An ACL with more shows as the group's rights (acl(5))."""


@dataclass(frozen=True)
class Weakness:
    """A file or directory that others than root (and us) can write: it is theirs, or its mode lets them."""

    path: Path
    owner: bool
    mode: bool


def _weakness(path: Path, found: os.stat_result) -> Weakness | None:
    weak = Weakness(path, not _trusted(found), bool(found.st_mode & OTHERS))
    return weak if weak.owner or weak.mode else None


def _trusted(found: os.stat_result) -> bool:
    return found.st_uid in (0, os.geteuid())


def weaknesses(path: Path) -> tuple[Weakness, ...]:
    """Each place at which others could put something else at `path`: what it is, and the directories on the way to it
    and to where links lead. In a directory with the sticky bit, only owners replace what is theirs.

    Raises OSError when it is not there, or can't be looked at, and BadInput when nobody answers there.
    """
    return distant.ask(path, lambda: _weaknesses(path))


def _weaknesses(path: Path) -> tuple[Weakness, ...]:
    found: dict[Path, Weakness | None] = {}
    for step in marks.along(path):
        last = step.lstat()
        for directory in reversed(step.parents):
            above, entry = directory.stat(), directory / step.relative_to(directory).parts[0]
            if not (_trusted(above) and above.st_mode & stat.S_ISVTX and _trusted(entry.lstat())):
                found[directory] = _weakness(directory, above)
        if not stat.S_ISLNK(last.st_mode):
            found[step] = _weakness(step, last)
    return tuple(weak for weak in found.values() if weak is not None)


def remedy(weak: Iterable[Weakness]) -> str:
    """The command that leaves each of them to root (or to us)."""
    weak = tuple(weak)
    me = "root" if os.geteuid() == 0 else str(os.geteuid())
    words = {
        f"chown {me}": [quoting.shell(one.path) for one in weak if one.owner],
        "chmod go-w": [quoting.shell(one.path) for one in weak if one.mode],
    }
    return " && ".join(" ".join([command, *paths]) for command, paths in words.items() if paths)


def readable(path: Path) -> bool:
    """Whether every user of the host can read the file `path`."""
    try:
        return distant.ask(path, lambda: _readable(path))
    except SecregError:
        return False


def _readable(path: Path) -> bool:
    try:
        for step in marks.along(path):
            if not all(directory.stat().st_mode & stat.S_IXOTH for directory in step.parents):
                return False
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def problems(disk: Snapshot) -> tuple[Problem, ...]:
    """A warning for each secret that others can read, and for what others can write in /etc/secure-registry."""
    paths = disk.paths
    secrets = [paths.key, paths.htpasswd, paths.robots, paths.password, paths.registry_yml]
    found = [
        Problem(str(path), "every user of this host can read it", f"chmod o-r {quoting.shell(path)}")
        for path in (*secrets, *([paths.conf] if _has_password(disk) else []))
        if readable(path)
    ]
    weak = _writable(
        paths, [*secrets, paths.conf, paths.nginx_conf, paths.access_yml, paths.openssl_cnf, paths.crt, paths.ca_crt]
    )
    if weak:
        more = f"; and {len(weak) - 1} more" if len(weak) > 1 else ""
        what = f"others than root can write it, and so decide what is served{more}"
        found.append(Problem(str(weak[0].path), what, remedy(weak)))
    return tuple(found)


def _writable(paths: Paths, names: Iterable[Path]) -> tuple[Weakness, ...]:
    """The directory and the way to it, and files in it; not links, for somebody else looks after their targets."""
    found: list[Weakness] = []
    with contextlib.suppress(OSError, SecregError):
        found += weaknesses(paths.etc)
    for path in names:
        with contextlib.suppress(OSError):
            if not path.is_symlink() and (weak := _weakness(path, path.lstat())) is not None:
                found.append(weak)
    return tuple(found)


def _has_password(disk: Snapshot) -> bool:
    """Whether secure-registry.conf holds a password, or a line that can't be read and may be one."""
    given, wrong = settings.from_file(disk.peek(disk.paths.conf, reading.SETTINGS), "")
    return "PASSWORD" in given or bool(wrong)
