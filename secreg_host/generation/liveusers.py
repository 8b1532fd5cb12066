"""The users that count right now: a directory in memory, which the password check and the front read.

    users/EPOCH/htpasswd       what the password check asks, opened for each question
    users/EPOCH/second         what it asks of robots first: secrets before the present ones, which count for a while
    users/EPOCH/robots         the rights of each robot, which only root reads
    users/EPOCH/robots.conf    what these rights are to the front, and globs.conf (ownrights.py)
    users/EPOCH/until          from when on fewer of them count (watchdog/ends.py), which only root reads
    users/EPOCH/epoch.conf     the number that remembered passwords are kept by
    users/EPOCH/answer.conf    a location that only a front with this number answers
    users/EPOCH/probe          the password of our own probe, which only root reads
    users/live -> EPOCH        whoever reads follows it: one rename changes all three
    users/proven -> EPOCH      the front was seen to answer for it

They are no part of a generation: users never go back, and need nothing that another file may lack. The epoch is 128
random bits, another one after every change and never the same again: answers remembered for one set of users must not
count for another, not even when an earlier set comes back.

Whenever somebody may log in, our own probe may, too: a user that is in no file of the administrator's, with 256 random
bits for a password. Where nobody is let in, nor is it. Decoys (decoy.py) are in the place of users that are not there.

Only root may open the directory for reading, so that nobody else can hold a lock (flock(2)) on it. Room is reserved
in it (reserve.py): users can be removed when all memory for files is used up.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from secreg_host.base import files, utf8
from secreg_host.base.errors import SecregError
from secreg_host.base.reserve import Reserve
from secreg_host.formats import decoy, robots, userlines, users
from secreg_host.formats.robots import Own
from secreg_host.generation import ownrights
from secreg_host.host.host import Host
from secreg_host.wanted.robots import NOTHING, Beside, rights_of
from secreg_host.watchdog import ends

HTPASSWD, EPOCH_CONF, ANSWER_CONF, PROBE = "htpasswd", "epoch.conf", "answer.conf", "probe"
SECOND = "second"
BESIDE = (SECOND, "robots", ends.FILE)
"""Where each of what counts besides is; there is no file of what is nothing."""
RESERVED = 64 * 1024
"""Bytes that are kept at least; more where there are more users: as much as two copies of theirs."""

ALONE_SECONDS = 0.2
"""How long another run is waited for that is just writing, which takes milliseconds unless it was stopped."""

OURS = (f"{users.PROBE}:".encode(), f"{users.DECOY}-".encode())
"""How lines begin that no line of the administrator's begins with."""

STRAY_SECONDS = 60.0
"""From what age on a directory that nobody reads, or a link that was to be renamed, is what a killed run left."""


@dataclass(frozen=True)
class LiveUsers:
    """The users of `host` that count; nothing here looks at /etc."""

    host: Host

    @property
    def directory(self) -> Path:
        """Where they are, in memory."""
        return self.host.paths.users_run

    @property
    def epoch(self) -> str:
        """The epoch that counts; "" when nobody is let in."""
        return _target(self.host.paths.users_live)

    @property
    def proven(self) -> str:
        """The epoch that the front was last seen to answer for; "" when none was."""
        return _target(self.directory / "proven")

    def lines(self) -> list[bytes]:
        """What the password check reads, line by line: our own probe, who is in .htpasswd, decoys among them. Raises
        OSError."""
        return (self.host.paths.users_live / HTPASSWD).read_bytes().splitlines(keepends=True)

    def read(self) -> bytes | None:
        """What the password check reads, but for what is our own; None: nothing."""
        try:
            return b"".join(line for line in self.lines() if not line.startswith(OURS))
        except OSError:
            return None

    def beside(self) -> Beside:
        """What counts besides. Nothing, where it can't be read."""
        with contextlib.suppress(OSError):
            paths = [self.directory / self.epoch / name for name in BESIDE]
            return Beside(*(path.read_bytes() if path.exists() else b"" for path in paths))
        return NOTHING

    def own(self, user: str) -> Own | None:
        """The rights of its own that robot `user` has: none, if it is called like one and is nobody. None: a user."""
        own = rights_of(self.beside().rights).get(user)
        if own is None and user.startswith(robots.PREFIX) and not userlines.has_line(self.read() or b"", user):
            return ()
        return own

    @property
    def probe(self) -> str:
        """The password of our own probe; "": it can't log in, and nor can anybody else."""
        try:
            return (self.host.paths.users_live / PROBE).read_text("ascii")
        except (OSError, ValueError):
            return ""

    @property
    def whole(self) -> bool:
        """Whether our own probe may log in where others may, and the front is told who is called like a robot: earlier
        versions wrote none of that."""
        live = self.host.paths.users_live
        with contextlib.suppress(OSError):
            told = (live / ownrights.ROBOTS_CONF).exists() or not any(map(ownrights.is_called, _names(self.lines())))
            return told and ((live / PROBE).exists() or (live / HTPASSWD).stat().st_size == 0)
        return False

    def count(self) -> int:
        """How many users may log in."""
        return (self.read() or b"").count(b"\n")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the directory's lock while the block runs; without it, if somebody holds it for long or it can't be had:
        it saves work, and nothing depends on it."""
        with contextlib.ExitStack() as held:
            with contextlib.suppress(SecregError):
                files.make_directory(self.directory, 0o711)
                held.enter_context(files.exclusively(self.directory, ALONE_SECONDS))
            yield

    def write(self, htpasswd: bytes, beside: Beside = NOTHING) -> str:
        """Let `htpasswd`, checked lines USER:HASH, decoys for them, and what is `beside` count from now on; returns the
        new epoch.

        Raises SecregError when it can't be written, with the room that is reserved neither; what counted before still
        does then.
        """
        epoch = secrets.token_hex(16)
        own, names = rights_of(beside.rights), _names(htpasswd.splitlines())
        confs = {ownrights.ROBOTS_CONF: ownrights.conf(own, names), ownrights.GLOBS_CONF: ownrights.globs_conf(own)}
        htpasswd = decoy.among(htpasswd)
        size = len(htpasswd) + sum(map(len, (*beside, *confs.values())))
        self._reserve(size).use(lambda: self._write(epoch, htpasswd, beside, confs))
        return epoch

    def _write(self, epoch: str, htpasswd: bytes, beside: Beside, confs: Mapping[str, bytes]) -> None:
        accounts, probe = self.host.accounts, secrets.token_hex(32)
        files.make_directory(self.directory, 0o711)
        folder = self.directory / epoch
        shutil.rmtree(folder, ignore_errors=True)
        try:
            files.make_directory(folder, 0o755)  # nginx includes by pattern: what is not there is no error
            if htpasswd:
                files.create(folder / PROBE, probe.encode(), files.PRIVATE)
                htpasswd = f"{users.PROBE}:{users.fast_hash(probe)}\n".encode() + htpasswd
            files.create(folder / HTPASSWD, htpasswd, 0o400, accounts.auth.owner)
            for name, data in zip(BESIDE, beside, strict=True):
                if data and name == SECOND:
                    files.create(folder / name, data, 0o400, accounts.auth.owner)
                elif data:
                    files.create(folder / name, data, files.PRIVATE)
            for name, data in confs.items():
                if data:
                    files.create(folder / name, data, 0o400, accounts.front.owner)
            files.create(folder / EPOCH_CONF, f'"" {epoch};\n'.encode(), 0o400, accounts.front.owner)
            answer = f"location = {answer_path(epoch)} {{\n    access_log off;\n    return 204;\n}}\n"
            files.create(folder / ANSWER_CONF, answer.encode(), 0o400, accounts.front.owner)
            files.flip(self.host.paths.users_live, epoch)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def shut(self) -> None:
        """Let nobody in: removing needs no room."""
        self.host.paths.users_live.unlink(missing_ok=True)

    def mark_proven(self, epoch: str) -> None:
        """Remember that the front answers for `epoch`, and forget what counted before it."""
        before = self.proven
        if before != epoch:
            with contextlib.suppress(SecregError):  # no room: it is proven again next time
                self._reserve(0).use(lambda: files.flip(self.directory / "proven", epoch))
        self._sweep(before)
        self._reserve(self._size()).keep()

    def _sweep(self, before: str) -> None:
        """Remove what counted `before`, and what killed runs left a while ago: one may just be writing."""
        keep = {self.epoch, self.proven, self._reserve(0).directory.name}
        with contextlib.suppress(OSError), os.scandir(self.directory) as entries:
            for entry in entries:
                stray = entry.stat(follow_symlinks=False).st_mtime < time.time() - STRAY_SECONDS
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in keep and (entry.name == before or stray):
                        shutil.rmtree(entry.path, ignore_errors=True)
                elif stray and entry.name.endswith(".new"):
                    Path(entry).unlink()

    def _size(self) -> int:
        with contextlib.suppress(OSError):
            live = self.host.paths.users_live
            names = (HTPASSWD, *BESIDE, ownrights.ROBOTS_CONF, ownrights.GLOBS_CONF)
            return sum((live / name).stat().st_size for name in names if (live / name).exists())
        return 0

    def _reserve(self, size: int) -> Reserve:
        return Reserve(self.directory / "reserve", max(RESERVED, 2 * size))


def _names(lines: Iterable[bytes]) -> Iterator[str]:
    """Who stands in `lines`, USER:HASH."""
    return (utf8.shown(line.partition(b":")[0]) for line in lines)


def answer_path(epoch: str) -> str:
    """The address that only a front whose remembered passwords are of `epoch` answers (204)."""
    return f"/_secreg/users/{epoch}"


def _target(link: Path) -> str:
    try:
        return link.readlink().name
    except OSError:
        return ""
