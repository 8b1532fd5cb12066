"""What a new host needs besides images: one archive (tar) for each backup, by the paths that files have below the root.

    about.json                          what it is of
    etc/secure-registry/...             all of it, links as links
    linked/etc/secure-registry/...      what these links lead to, as it was
    var/lib/secure-registry/state/...   the CA's key and certificates, http.secret, what the program remembers: which
                                        defaults it wrote, the facts of setup, the first user, other programs' files

Not in it is what is made anew: generations and what leads to them, rendered units, and ANEW.
"""

from __future__ import annotations

import contextlib
import grp
import io
import json
import os
import pwd
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secreg_host.base import files, marks, reading, temporary
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.paths import Paths
from secreg_host.upkeep import archived, inside
from secreg_host.upkeep.sealing import Sealer

ABOUT, LINKED = "about.json", "linked"
ANEW = {
    "report.json": "what the last apply found",
    "rendered.sha256": "of units, which are rendered for the host",
    "njs.json": "how nginx's module for scripts is loaded here",
    "front.secret": "names within the front, of this host",
    "destinations.json": "where backups of this host are made to",
    "restore.json": "a restore that was cut",
    "reserve": "room that is kept",
    "templates": "a cache",
}
"""Of the program's state, and why not: it is made anew. All else is kept, also what later versions put there."""

DEPTH, MANY = 8, 10_000
"""How deep, and how many files, below a directory that a link leads to."""

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


class Sink:
    """A new file that is written from its beginning to its end, and hashed meanwhile; sealed, if there is a passphrase.
    size: how many bytes it has."""

    def __init__(self, path: Path, passphrase: str, top: Path) -> None:
        self.path, self.size, self._digest = path, 0, marks.hashing()
        self._descriptor, self._told = inside.opened(top, path, NEW, files.PRIVATE), 0
        self._sealer = Sealer(passphrase, self._put) if passphrase else None

    def write(self, data: bytes) -> int:
        """Write `data`. Raises OSError."""
        if self._sealer is not None:
            self._sealer.write(data)
        else:
            self._put(data)
        self._told += len(data)
        return len(data)

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self._digest.update(data)
        self.size += len(data)

    def tell(self) -> int:
        """How much was written."""
        return self._told

    def finish(self) -> str:
        """The digest of the file, which is on disk then."""
        if self._sealer is not None:
            self._sealer.finish()
        os.fsync(self._descriptor)
        return f"sha256:{self._digest.hexdigest()}"

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


@dataclass
class Archive:
    """An archive that is being written, what could not be taken, and how many files, links and directories were."""

    tar: tarfile.TarFile
    problems: list[Problem] = field(default_factory=list)
    count: int = 0

    def take(self, path: Path, name: str) -> None:
        """Put what is at `path` into it as `name`, with all below. Only what `path` itself is may be a link that is
        followed; what other links lead to stands below `linked`."""
        for one, below in _walk(path):
            inside = f"{name}/{below}".rstrip("/")
            try:
                status = one.stat() if one == path else one.lstat()
                if stat.S_ISLNK(status.st_mode):
                    self._link(one, inside, status)
                elif stat.S_ISDIR(status.st_mode):
                    self._add(inside, status, tarfile.DIRTYPE)
                else:
                    self._file(one, inside, status)
            except FileNotFoundError:
                continue  # it went meanwhile
            except OSError as error:
                self.problems += reading.unreadable(one, error).problems
            except SecregError as error:
                self.problems += error.at(str(one))

    def data(self, name: str, data: bytes) -> None:
        """Put `data` into it as the file `name`."""
        self._write(tarfile.TarInfo(name), data)

    def _file(self, path: Path, name: str, status: os.stat_result) -> None:
        data = reading.read(path, reading.OTHER)
        if data is not None:
            self._add(name, status, tarfile.REGTYPE, data=data)

    def _link(self, path: Path, name: str, status: os.stat_result) -> None:
        self._add(name, status, tarfile.SYMTYPE, target=str(path.readlink()))
        behind = reading.status(path)
        if behind is None or not stat.S_ISDIR(behind.st_mode):
            data = reading.read(path, reading.OTHER)  # which says what is wrong, if it leads to nothing
            if data is not None and behind is not None:
                self._add(f"{LINKED}/{name}", behind, tarfile.REGTYPE, data=data)
            return
        for count, (one, below) in enumerate(_walk(path, DEPTH)):
            found = reading.status(one)
            if found is not None and stat.S_ISREG(found.st_mode):
                self._file(one, f"{LINKED}/{name}/{below}", found)
            if count > MANY:
                what = f"leads to a directory of more than {MANY} files: the rest is not in the backup"
                self.problems.append(Problem(str(path), what, "point it to a directory of what it is for"))
                break

    def _add(self, name: str, status: os.stat_result, kind: bytes, target: str = "", data: bytes = b"") -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        info.mode, info.mtime = stat.S_IMODE(status.st_mode), int(status.st_mtime)
        info.uid, info.gid = status.st_uid, status.st_gid
        with contextlib.suppress(KeyError):
            info.uname = pwd.getpwuid(status.st_uid).pw_name
        with contextlib.suppress(KeyError):
            info.gname = grp.getgrgid(status.st_gid).gr_name
        self._write(info, data)

    def _write(self, info: tarfile.TarInfo, data: bytes) -> None:
        info.size = len(data)
        self.tar.addfile(info, io.BytesIO(data))
        self.count += 1


@dataclass(frozen=True)
class Saved:
    """An archive that was written: its size and digest, and what is not in it."""

    size: int
    digest: str
    problems: tuple[Problem, ...]


def machine(paths: Paths) -> str:
    """What tells this machine from others: no id that anybody else knows it by (machine-id(5)). "": nothing does."""
    found = reading.peek(paths.etc.parent / "machine-id", reading.SETTINGS).strip()
    return marks.digest(b"secure-registry backup\n", found)[:32] if found else ""


def save(paths: Paths, about: Mapping[str, Any], target: Path, passphrase: str = "", top: Path | None = None) -> Saved:
    """Write what a new host needs of the instance at `paths` to the new file `target`, sealed by the `passphrase` if
    there is one; below `top` no link on the way there is followed. Raises SecregError where that can't be written; what
    can't be read is told."""
    with files.explained(target):
        sink = Sink(target, passphrase, top or target.parent)
        try:
            with tarfile.TarFile(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[arg-type]
                archive = Archive(tar)
                archive.data(ABOUT, json.dumps(about, indent=1, sort_keys=True).encode() + b"\n")
                for path in (paths.etc, paths.state):
                    if path.is_dir():
                        archive.take(path, str(path.relative_to(paths.root)))
            digest = sink.finish()
            return Saved(sink.size, digest, (*archive.problems, *_too_much(paths, archive.count, sink.size)))
        finally:
            sink.close()


def _too_much(paths: Paths, count: int, size: int) -> Iterator[Problem]:
    """That the archive could not be brought back: `restore` refuses one that has no end."""
    if count > archived.MOST or size > archived.LARGEST:
        what = (
            f"{count} files of {size} bytes are to be backed up with it, and `restore` takes {archived.MOST} of "
            f"{archived.LARGEST} at the most: this configuration can't be brought back"
        )
        hint = f"move away what is not secure-registry's, then back up again: du -a {paths.etc} {paths.state} | sort -n"
        yield Problem(str(paths.etc), what, hint)


def _walk(top: Path, depth: int = 64) -> Iterator[tuple[Path, str]]:
    """`top` and all below it, links not followed but `top` itself, each with its path from there."""
    pending = [(top, "")]
    while pending:
        path, below = pending.pop()
        yield path, below
        if (path.is_symlink() and path != top) or not reading.is_directory(path) or below.count("/") >= depth:
            continue
        names = (
            name
            for name in sorted((one.name for one in path.iterdir()), reverse=True)
            if not _is_passing(path, top, name)
        )
        pending += [(path / name, f"{below}/{name}".lstrip("/")) for name in names]


def _is_passing(folder: Path, top: Path, name: str) -> bool:
    """Whether it is there for a moment only, or made anew."""
    return name.endswith(temporary.MARK) or (folder == top and top.name == "state" and name in ANEW)
