"""What a program changes below a directory, in order, as strace(1) tells it.

Each system call that changes names or bytes, or syncs them, becomes one `Change`; calls of the same effect (open and
openat, unlink and unlinkat) the same one. A call that may change a file in a way that is not known here is an error, so
that nothing is passed over in silence.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

NAMES = ("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat")
FOLDERS = ("mkdir", "mkdirat", "rmdir", "chdir", "fchdir", "chroot")
BYTES = ("open", "openat", "creat", "write", "pwrite64", "lseek", "truncate", "ftruncate", "fallocate")
REST = ("chmod", "fchmod", "fchmodat", "fsync", "fdatasync", "sync", "syncfs")
UNKNOWN = {"writev": 0, "pwritev": 0, "pwritev2": 0, "sendfile": 0, "copy_file_range": 2, "splice": 2}
"""Calls that write in a way that the model does not know, with the number of the argument that says where to."""

LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+)(<[^>]*>(?:\(deleted\))?)?.*")
UNFINISHED = " <unfinished ...>"
DETACHED = " <detached ...>"
"""What strace, told to end, says of a call that it was writing of; whether that was carried out, the disk tells."""
RESUMED = re.compile(r"\d+ +<\.\.\. \w+ resumed>(.*)")
HEX = re.compile(r"\\x([0-9a-f]{2})")
DESCRIPTOR = re.compile(r"(AT_FDCWD|\d+)(?:<([^>]*)>(\(deleted\))?)?")
HERE = re.compile(r"AT_FDCWD<([^>]*)>")
OWN = re.compile(rb"/proc/(?:self|\d+)/fd/(\d+)")


@dataclass(frozen=True)
class Change:
    """What one call did. kind: make, write, cut, room, rename, link, symlink, unlink, mkdir, rmdir, mode, sync, all;
    unknown.

    path: to what; other: the second path of a rename or link, or what a symlink says; data: what was written, at
    offset `at` (None: at the end); mode: of what is made; size: that it is cut, or enlarged, to.
    """

    kind: str
    path: Path = Path("/")
    other: Path = Path("/")
    data: bytes = b""
    at: int | None = 0
    mode: int = 0
    size: int = 0

    @property
    def short(self) -> str:
        """It in a few words."""
        return f"{self.kind} {self.path}" + (f" {self.other}" if self.kind in ("rename", "link", "symlink") else "")


@dataclass
class Reader:
    """Lines of strace, and what must be remembered: where each open file is, what it is; where processes are."""

    positions: dict[tuple[str, int], int | None] = field(default_factory=dict)
    paths: dict[tuple[str, int], Path] = field(default_factory=dict)
    latest: dict[int, tuple[str, int]] = field(default_factory=dict)
    here: dict[str, Path] = field(default_factory=dict)
    roots: dict[str, Path] = field(default_factory=dict)  # of processes that are shut in (chroot(2))

    def changes(self, lines: Sequence[str]) -> Iterator[Change]:
        """What `lines` tell, in order. Raises ValueError for a line that is not understood."""
        for line in _joined(lines):
            if (found := LINE.fullmatch(line)) is None:
                raise ValueError(f"strace: {line[:300]}")
            process, name, said, result, opened = found.groups()
            if int(result, 0) < 0:
                continue
            if at := HERE.search(line):
                self.here[process] = Path(os.fsdecode(_unhexed(at[1])))
            yield from self._change(process, name, said.split(", "), int(result, 0), opened or "")

    def _change(self, process: str, name: str, args: list[str], result: int, opened: str) -> Iterator[Change]:
        if name in ("open", "openat", "creat"):
            yield from self._opened(process, name, args, result, opened)
        elif name == "lseek":
            self.positions[self._key(process, args[0])] = result
        elif name in ("write", "pwrite64"):
            path = self._of(args[0])
            key = self._key(process, args[0])
            at = int(args[3]) if name == "pwrite64" else self.positions.get(key, 0)
            if name == "write" and at is not None:
                self.positions[key] = at + result
            yield Change("write", path, data=_bytes(args[1])[:result], at=at)
        elif name in ("fsync", "fdatasync"):
            yield Change("sync", self._of(args[0]))
        elif name in ("sync", "syncfs"):
            yield Change("all")
        elif name in ("ftruncate", "truncate"):
            path = self._of(args[0]) if name[0] == "f" else self._path(process, "", args[0])
            yield Change("cut", path, size=int(args[1]))
        elif name == "fallocate":
            yield Change("room", self._of(args[0]), size=int(args[2]) + int(args[3]))
        elif name in ("chdir", "fchdir", "chroot"):
            where = self._of(args[0]) if name[0] == "f" else self._path(process, "", args[0])
            (self.roots if name == "chroot" else self.here)[process] = where
        elif name in ("chmod", "fchmod", "fchmodat"):
            yield Change("mode", self._changed(process, name, args), mode=int(args[2 if name == "fchmodat" else 1], 8))
        elif name in UNKNOWN:
            yield Change("unknown", self._of(args[UNKNOWN[name]]))
        else:
            yield self._named(process, name, args)

    def _named(self, process: str, name: str, args: list[str]) -> Change:
        """A call that changes names."""
        if name in ("symlink", "symlinkat"):
            return Change(
                "symlink", self._path(process, *(args[1:] if name[-2:] == "at" else ("", args[1]))), _text(args[0])
            )
        if name in ("rename", "renameat", "renameat2", "link", "linkat"):
            if name == "renameat2" and args[4] not in ("0", "RENAME_NOREPLACE"):
                raise ValueError(f"renameat2 with {args[4]} is not known to the model")
            pairs = args if "at" in name[4:] else ["", args[0], "", args[1]]
            return Change(
                name[:6] if name[0] == "r" else "link",
                self._path(process, *pairs[:2]),
                self._path(process, *pairs[2:4]),
            )
        if name in ("mkdir", "mkdirat"):
            where = args if name[-2:] == "at" else ["", *args]
            return Change("mkdir", self._path(process, *where[:2]), mode=int(where[2], 8))
        where = args if name == "unlinkat" else ["", args[0]]
        return Change(
            "rmdir" if name == "rmdir" or "AT_REMOVEDIR" in args[-1] else "unlink", self._path(process, *where[:2])
        )

    def _opened(self, process: str, name: str, args: list[str], result: int, opened: str) -> Iterator[Change]:
        where = args if name == "openat" else ["", *args]
        flags = set(where[2].split("|")) if name != "creat" else {"O_WRONLY", "O_CREAT", "O_TRUNC"}
        path = self._of(f"{result}{opened}")
        key = (process, result)
        self.positions[key] = None if "O_APPEND" in flags else 0
        self.paths[key], self.latest[result] = path, key
        if flags & {"O_SYNC", "O_DSYNC", "O_TMPFILE", "__O_TMPFILE"}:
            raise ValueError(f"{where[2]} is not known to the model")
        if "O_CREAT" in flags:
            yield Change("make", path, mode=int(where[-1], 8))
        if "O_TRUNC" in flags:
            yield Change("cut", path)

    def _path(self, process: str, at: str, said: str) -> Path:
        """The path that `said` is, from the directory `at`: a descriptor, as strace shows it, or "" for where the
        process is."""
        path = _text(said)
        if path.is_absolute():
            return self.roots.get(process, Path("/")) / path.relative_to("/")
        found = DESCRIPTOR.fullmatch(at)
        return (Path(os.fsdecode(_unhexed(found[2]))) if found and found[2] else self._here(process)) / path

    def _here(self, process: str) -> Path:
        """Where `process` is: a thread that has said nothing yet, where the one is that was made last before it."""
        if process not in self.here:
            made = max((int(one) for one in self.here if int(one) < int(process)), default=0)
            self.here[process] = self.here[str(made)]
        return self.here[process]

    def _key(self, process: str, descriptor: str) -> tuple[str, int]:
        number = int(descriptor.partition("<")[0])
        key = (process, number)
        return key if key in self.positions else self.latest.get(number, key)

    def _of(self, descriptor: str) -> Path:
        """What an open descriptor leads to; a name that is none below any directory for what has no name any more."""
        found = DESCRIPTOR.fullmatch(descriptor)
        if found is None or found[2] is None or found[3]:
            return Path("/", "(deleted)")
        return Path(os.fsdecode(_unhexed(found[2])))

    def _changed(self, process: str, name: str, args: list[str]) -> Path:
        """The file whose mode is changed: many are named by their descriptor."""
        if name == "fchmod":
            return self._of(args[0])
        path = self._path(process, *(args[:2] if name == "fchmodat" else ("", args[0])))
        if number := OWN.fullmatch(os.fsencode(path)):
            return self.paths[self._key(process, number[1].decode())]
        return path


def _joined(lines: Sequence[str]) -> Iterator[str]:
    """`lines` without what is no call; a call during which another process was told of is in one line, at its end."""
    begun: dict[str, str] = {}
    for line in lines:
        process = line.partition(" ")[0]
        if " +++ " in line or " --- " in line or line.endswith((" = ?", DETACHED)):
            continue  # an end, a signal, a call that did not return, or whose return nobody waited for
        if line.endswith(UNFINISHED):
            begun[process] = line.removesuffix(UNFINISHED)
        elif resumed := RESUMED.fullmatch(line):
            yield begun.pop(process) + resumed[1]
        else:
            yield line


def _unhexed(text: str) -> bytes:
    return HEX.sub(lambda one: chr(int(one[1], 16)), text).encode("latin-1")


def _bytes(text: str) -> bytes:
    if not text.endswith('"'):
        raise ValueError(f"strace shortened {text[:80]}")
    return _unhexed(text.strip('"'))


def _text(text: str) -> Path:
    return Path(os.fsdecode(_bytes(text)))


def changes(lines: Sequence[str], below: Path) -> list[Change]:
    """What `lines` of strace tell of what is below the directory `below`, and syncs of everything."""
    every = Reader().changes(lines)
    ours = (
        one
        for one in every
        if any(below in (path, *path.parents) for path in (one.path, one.other)) or one.kind == "all"
    )
    return list(ours)


def tracer(out: Path) -> list[str]:
    """What goes before a command, so that what it does is told in the file `out`."""
    calls = ",".join(f"?{name}" for name in (*NAMES, *FOLDERS, *BYTES, *REST, *UNKNOWN))
    how = ["strace", "-f", "-y", "-xx", "-qq", "-s", str(1 << 24), "--seccomp-bpf", "-e", f"trace={calls}"]
    return [*how, "-o", str(out)]  # no status=successful: of calls that overlap, it leaves the process out


def run(
    argv: Sequence[str], below: Path, environment: Mapping[str, str], said: str = ""
) -> tuple[list[Change], subprocess.CompletedProcess[str]]:
    """Run `argv` to its end, with `said` typed into it; what it changed in the directory `below`, and how it ended."""
    with tempfile.TemporaryDirectory(prefix="srt-") as directory:
        out = Path(directory) / "trace"
        done = subprocess.run(
            [*tracer(out), *argv], env=dict(environment), input=said, capture_output=True, text=True, timeout=120
        )
        lines = out.read_text().splitlines() if out.exists() else []
        return changes(lines, below), done
