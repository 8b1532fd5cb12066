"""What is in the file system of a host, to compare before and after (a package purged, a setup repeated)."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# Not files, or somebody else's that change by themselves.
EXCLUDED = (
    "/dev",
    "/proc",
    "/run/docker",
    "/run/host",
    "/run/log",
    "/run/systemd",
    "/run/udev",
    "/sys",
    "/tmp",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/lib/systemd",
    "/var/log/journal",
    "/var/tmp",
)
_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "pipe",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


@dataclass(frozen=True)
class Entry:
    """One path: its kind, permissions and owner; content is a file's digest or a symlink's target."""

    kind: str
    mode: int
    owner: tuple[int, int]
    content: str

    def __str__(self) -> str:
        return f"{self.kind} {self.mode:04o} {self.owner[0]}:{self.owner[1]} {self.content[:40]}".rstrip()


Listing = Mapping[str, Entry]


@dataclass(frozen=True)
class Difference:
    """The paths in which two listings differ; false if there are none."""

    added: Listing
    removed: Listing
    changed: Mapping[str, tuple[Entry, Entry]]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def __str__(self) -> str:
        lines = [f"+ {path} {entry}" for path, entry in self.added.items()]
        lines += [f"- {path} {entry}" for path, entry in self.removed.items()]
        lines += [f"~ {path} {old} -> {new}" for path, (old, new) in self.changed.items()]
        return "\n".join(lines)


def difference(before: Listing, after: Listing) -> Difference:
    """What happened between two listings."""
    return Difference(
        added={path: after[path] for path in sorted(after.keys() - before.keys())},
        removed={path: before[path] for path in sorted(before.keys() - after.keys())},
        changed={
            path: (before[path], after[path])
            for path in sorted(before.keys() & after.keys())
            if before[path] != after[path]
        },
    )


def listing(root: Path, excluded: Collection[str] = EXCLUDED) -> Listing:
    """Every path below `root` as `/…`, but for the trees in `excluded` (those directories themselves are listed)."""
    return dict(_walk(str(root), "", frozenset(excluded)))


def _walk(root: str, folder: str, excluded: frozenset[str]) -> Iterator[tuple[str, Entry]]:
    with os.scandir(f"{root}{folder}/") as found:
        entries = list(found)
    for item in entries:
        path = f"{folder}/{item.name}"
        try:
            entry = _entry(item)
        except FileNotFoundError:  # gone in between
            continue
        yield path, entry
        if entry.kind == "directory" and path not in excluded:
            yield from _walk(root, path, excluded)


def _entry(item: os.DirEntry[str]) -> Entry:
    status = item.stat(follow_symlinks=False)
    kind = _KINDS[stat.S_IFMT(status.st_mode)]
    content = ""
    if kind == "symlink":
        content = str(Path(item.path).readlink())
    elif kind == "file":
        with Path(item.path).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    return Entry(kind, stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid), content)
