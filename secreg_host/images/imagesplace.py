"""Where images may be: everywhere but where the registry's sandbox keeps it from others' files, or nothing is kept.

Of home directories the registry sees nothing but the directory of images, by a door that its unit opens.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from secreg_host.base import distant, files, quoting, reading
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.paths import HOMES, NOT_KEPT
from secreg_host.base.process import Account
from secreg_host.host.host import Host
from secreg_host.images import marker
from secreg_host.images.marker import Here, Store

ELSEWHERE = "name a directory of its own elsewhere, such as /srv/registry"

OWN = {"docker", "lost+found"}
"""What a store has at its top, besides markers."""


def resolved(root: str) -> str:
    """The directory `root` without links, as far as it is there. Raises SecregError when it does not answer."""
    return distant.ask(root, lambda: os.path.realpath(root))


def at_home(place: str | None) -> bool:
    """Whether `place` is below what ProtectHome= hides."""
    return place is not None and any(home in Path(place).parents for home in HOMES)


def refused(host: Host, root: str, place: str) -> tuple[str, str] | None:
    """Why images can't be in `place`, the directory `root` without links, and what to do; None: they can."""
    path, paths = Path(place), host.paths
    if not host.walled:
        return None
    if path in (Path("/"), *HOMES):
        return f"rootdirectory {root} is not a directory of images alone", ELSEWHERE
    for one in NOT_KEPT:
        if one in (path, *path.parents):
            return f"rootdirectory {root}: what a service has in {one} is not kept, or not its own", ELSEWHERE
    for one in (paths.etc, paths.state, paths.generations, paths.run, paths.views):
        if one in (path, *path.parents) or path in one.parents:
            return f"rootdirectory {root}: {one} is hidden from the registry", ELSEWHERE
    if at_home(place) and ":" in place:
        return f"rootdirectory {root}: a unit can't name a path with a colon below a home directory", ELSEWHERE
    return None


def unwritable(host: Host, root: str) -> tuple[str, str] | None:
    """Why the registry can't write to the directory `root`, which is made if there is none, and what to do; None: it
    can."""
    path, account = Path(root), host.accounts.registry
    try:
        status = reading.status(path)
        if status is None:
            distant.ask(path, lambda: files.make_directory(path, 0o750, account.owner))
            return None
    except SecregError as error:
        name, quoted = account.name, quoting.shell(root)
        hint = f"correct the path; or create it: install -d -o {name} -g {name} -m 750 {quoted}"
        return f"rootdirectory: {error.problems[0].what}", hint
    if not stat.S_ISDIR(status.st_mode):
        return f"rootdirectory {root} is not a directory", "name a directory"
    writable = (
        (status.st_uid == account.uid and status.st_mode & 0o200)
        or (status.st_gid == account.gid and status.st_mode & 0o020)
        or status.st_mode & 0o002
    )
    if writable:
        return None
    return f"the registry (user {account.name}) can't write to rootdirectory {root}", remedy(account, root)


def remedy(account: Account, root: str) -> str:
    """How all in the directory `root` becomes the account's: a link to it is followed, none in it (chown -h would leave
    the directory that a link leads to). Not where there is more than a store in it, which may be anybody's."""
    place = root
    foreign: set[str] = set()
    with contextlib.suppress(OSError, SecregError):
        place = resolved(root)
        foreign = distant.ask(root, lambda: {path.name for path in Path(root).iterdir()} - OWN)
    if any(not marker.NAMED.fullmatch(name) for name in foreign):
        return f"other files are in it, too: {ELSEWHERE}"
    return f"chown -hR {account.name}: {quoting.shell(place)}; then: secure-registry reload"


def away(where: str, root: str, before: Store, here: Here) -> Problem | None:
    """That the store of `before` is not what is `here`, in the directory `root` that the file `where` names; or, about
    that file, that its marker is none. None: it may serve."""
    if before.name and before.id in here.odd:
        path = Path(root) / before.name
        what = f"rootdirectory {root} has a marker that is no regular file, by which the registry does not start"
        quoted = quoting.shell(path)
        return Problem(str(path), what, f"rm -rf {quoted}; touch {quoted}; then: secure-registry reload")
    lost = marker.lost(before, here)
    if not lost:
        return None
    what = f"the images are not in rootdirectory {root}: {lost}"
    hint = "mount it, or bring them back, and it serves by itself; to begin anew: secure-registry setup --new-store"
    return Problem(where, what, hint)
