"""The images as the front sees them: by a mount of its own, read-only, in which no link is followed (mount(8)).

Who takes over the registry can put a link in the place of an image, and what it leads to would be sent to whoever asks:
the front's key, or by /proc/self/fd whatever it holds open. The kernel refuses that (MS_NOSYMFOLLOW, since 5.10), for
nginx and for its JavaScript module, at no cost per request. Each slot of the registry has a view of its storage.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from secreg_host.base import distant
from secreg_host.base.paths import Paths
from secreg_host.host.host import Host

OPTIONS = "ro,nosuid,nodev,noexec,nosymfollow"

Argv = tuple[str, ...]


def mounting(paths: Paths, root: str, slot: str) -> tuple[Argv, ...]:
    """The commands that make the view of the directory `root` for `slot`.

    mount(8) binds first and sets options then, and what other namespaces see of a mount keeps those that it had in the
    beginning. So this is done where only root gets in; what is bound from there has them from its first moment.

    What is mounted at `root` just then comes along, for both are peers until the bind is private (mount_namespaces(7)):
    it would go from there, too, when the bind does, and hide the bind's options. So the place is a mount of its own,
    made private with all that is on it; and what is on top is bound once more, and looked at.
    """
    place, view = _place(paths, slot), str(paths.images(slot))
    bound, seen = f"{place}/bound", f"{place}/seen"
    return (
        ("install", "-d", "-m", "0711", str(paths.views), view),
        ("install", "-d", "-m", "0700", str(paths.images("new")), place),
        ("mount", "--bind", place, place),
        ("mount", "--make-private", place),
        ("install", "-d", bound, seen),
        ("mount", "-o", f"bind,{OPTIONS}", root, bound),
        ("mount", "--make-rprivate", place),
        ("mount", "--bind", bound, seen),
        ("findmnt", "--mountpoint", seen, "--options", OPTIONS),  # an old mount(8) ignores what it does not know
        ("mount", "--bind", seen, view),
        ("umount", "--recursive", place),
    )


def unmounting(paths: Paths, slot: str) -> tuple[Argv, ...]:
    """The commands that take the view away, and what `mounting` leaves when it is cut short; what is being sent is sent
    to its end."""
    place = _place(paths, slot)
    return (
        ("mount", "--make-rprivate", place),
        ("umount", "--lazy", "--quiet", "--recursive", place, str(paths.images(slot))),
    )


def _place(paths: Paths, slot: str) -> str:
    """Where the view of `slot` is made."""
    return str(paths.images("new") / slot)


def used(host: Host) -> bool:
    """Whether the front of `host` sees images by views: systemd mounts them, and nobody else does."""
    return host.by_systemd


def place(host: Host, root: str, slot: str) -> Path:
    """Where the front finds what is in the directory `root`."""
    return host.paths.images(slot) if used(host) else Path(root)


def shows(host: Host, root: str, slot: str) -> bool:
    """Whether the view of `slot` is one of `root` as it is now: another file system may be mounted there meanwhile."""
    view = host.paths.images(slot)
    try:
        mount = distant.mounts().get(str(view))
        if mount is None or not set(OPTIONS.split(",")) <= mount.options:
            return False
        return os.path.samestat(view.stat(), Path(root).stat())
    except OSError:
        return False


def remove(paths: Paths) -> None:
    """Remove the directories on which views are mounted; one with a view on it stays (rmdir(2)), and so do images."""
    new = paths.images("new")
    for path in (*new.glob("*/*"), *new.glob("*"), *new.parent.glob("*"), new.parent):
        with contextlib.suppress(OSError):
            path.rmdir()


def hidden(host: Host, root: Path) -> Path | None:
    """A file system that is mounted below the directory `root`, which the view of it does not show; None: there is none
    of either."""
    if not used(host):
        return None
    inner = root.resolve()
    return next((point for point in map(Path, distant.mounts()) if inner in point.parents), None)
