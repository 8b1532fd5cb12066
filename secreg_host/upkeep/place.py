"""The directory of backups: how it is laid out, and whether it is one.

    secure-registry-backup          what it is (a JSON object: format, id); without it nothing is ever removed here
    blobs/sha256/xx/HEX             the pool: each blob once, whatever backups name it
    backups/NAME                    a list for each backup (listing)
    config/NAME.tar                 what a new host needs besides images (configuration), or
    config/NAME.sealed              the same, by a passphrase (sealing)
    incoming/                       what is being written; what was left there goes with the next run
    lock                            who works here

Only regular files and directories, no links of either kind, and no name with a character that any file system refuses.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from secreg_host.base import distant, files, quoting, reading, records, temporary
from secreg_host.base.errors import BadInput, SecregError, bad_input
from secreg_host.upkeep import inside, missing

FORMAT = 1
MARKER = "secure-registry-backup"
BACKUP = re.compile(r"(?P<stamp>[0-9]{8}T[0-9]{6}Z)(?:-(?P<number>[0-9]{1,9}))?")
"""The name of a backup: when it was made (UTC), and a number where the clock said a time that had been."""

PLAIN, SEALED = ".tar", ".sealed"
STAMP = "%Y%m%dT%H%M%SZ"
NOBODYS = {"lost+found"}
FOLDERS = ("blobs", "blobs/sha256", "blobs/sha512", "backups", "config", "incoming")
MODE = ".mode-"
UNSYNCED = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EACCES}
"""What file systems say that sync no directories (CIFS, some of FUSE)."""


@dataclass(frozen=True)
class Place:
    """A directory of backups, and the id that its marker had ("": not known)."""

    path: Path
    id: str = ""

    @property
    def pool(self) -> Path:
        """Where blobs are."""
        return self.path / "blobs"

    @property
    def lists(self) -> Path:
        """Where the lists of backups are, by their names."""
        return self.path / "backups"

    @property
    def configs(self) -> Path:
        """Where the configurations are."""
        return self.path / "config"

    @property
    def incoming(self) -> Path:
        """Where what is not whole yet is."""
        return self.path / "incoming"

    @property
    def lock(self) -> Path:
        """What is held by whoever changes something here."""
        return self.path / "lock"

    def config(self, name: str) -> Path:
        """The configuration of backup `name`, sealed or not."""
        sealed = self.configs / f"{name}{SEALED}"
        return sealed if sealed.exists() else self.configs / f"{name}{PLAIN}"

    def blob(self, digest: str) -> str:
        """Where the bytes of `digest` are: as text, for there are many."""
        algorithm, _, value = digest.partition(":")
        return f"{self.path}/blobs/{algorithm}/{value[:2]}/{value}"

    @property
    def mode(self) -> int:
        """The mode of each file."""
        return files.PRIVATE

    def new(self, digest: str) -> str:
        """Where a blob is written."""
        return f"{self.incoming}/{digest.replace(':', '-')}"

    def folders(self, digest: str) -> tuple[str, ...]:
        """The directory of a blob, which is made if there is none."""
        return (self.blob(digest).rpartition("/")[0],)

    def top(self, _: str) -> str:
        """All that is below is one's own, and no link."""
        return str(self.path)

    def settle(self, touched: set[str]) -> None:
        """Make names durable that came to be in the directories `touched`. Raises OSError."""
        for folder in (*map(Path, sorted(touched)), self.pool / "sha256", self.pool / "sha512"):
            sync(folder)

    def size(self, digest: str) -> int | None:
        """How many bytes of `digest` there are; None: none. Raises OSError."""
        try:
            found = os.lstat(self.blob(digest))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def names(self) -> list[str]:
        """The backups that are here, the oldest first. Raises SecregError."""
        with files.explained(self.lists, "read"), os.scandir(self.lists) as found:
            return sorted((one.name for one in found if BACKUP.fullmatch(one.name)), key=order)

    def check_folders(self) -> None:
        """Raise SecregError where something else is in the place of a directory: a link, by which somebody else's files
        would be removed."""
        for path in (self.path / folder for folder in FOLDERS):
            with files.explained(path, "read"), contextlib.suppress(FileNotFoundError), inside.held(self.path, path):
                pass

    def check(self) -> None:
        """Raise SecregError if it is not there any more: it may have been on a disk that is not mounted now."""
        said = records.parsed(reading.peek(self.path / MARKER, reading.JSON))
        if not isinstance(said, dict) or self.id not in ("", said.get("id")):
            raise SecregError(
                f"{self.path} is not there any more", f"see whether it is mounted: {missing.findmnt(self.path)}"
            )


def order(name: str) -> tuple[str, int]:
    """What backups are sorted by."""
    found = BACKUP.fullmatch(name)
    return (found["stamp"], int(found["number"] or 1)) if found else (name, 0)


def made_at(name: str) -> datetime | None:
    """When backup `name` was made; None: that is no date, so it is not we who called it so."""
    try:
        return datetime.strptime(name.partition("-")[0], STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def next_name(names: list[str], now: datetime, lists: Path = Path()) -> str:
    """The name of a backup that is made `now`, after those by the `names` in `lists`, the oldest first: it is sorted
    behind them, also where the clock was set back. Raises BadInput where nothing is, as no backup of ours ever is."""
    stamp = f"{now:{STAMP}}"
    if not names:
        return stamp
    last, number = order(names[-1])
    found = stamp if stamp > last else f"{last}-{number + 1}"
    if not BACKUP.fullmatch(found):
        what = f"no name of a backup comes after {names[-1]}, which no backup of secure-registry ever gets"
        where = quoting.shell(lists / names[-1])
        raise bad_input(str(lists / names[-1]), what, f"call it something else: mv {where} {where}.old")
    return found


def found(path: Path) -> Place:
    """The directory of backups `path`. Raises BadInput if it is none, SecregError for what can't be read."""
    path = path.absolute()
    try:
        data = reading.read(path / MARKER, reading.JSON)
    except BadInput as error:
        raise bad_input(str(path), error.problems[0].what, error.problems[0].hint) from None
    if data is None:
        raise bad_input(str(path), *missing.told(path, MARKER))
    said = records.parsed(data)
    version = said.get("format") if isinstance(said, dict) else None
    if version != FORMAT:
        what = f"is of a format ({version}) that this version does not know"
        raise bad_input(str(path / MARKER), what, "use the version of secure-registry that made it, or a later one")
    return Place(path, str(said.get("id", "")) if isinstance(said, dict) else "")


def prepared(path: Path, *, insecure: bool, sealed: bool = False) -> Place:
    """The directory of backups `path`, which is made if there is none. insecure: even where others could read or write
    it; sealed: even where others could read it.

    Raises BadInput for a directory of somebody else's, and for one whose files others can read or put there;
    SecregError for what can't be written.
    """
    path = path.absolute()
    path = distant.ask(path, path.resolve)
    try:
        place = found(path)
    except BadInput:
        if reading.is_there(path / MARKER):
            raise
        if _is_taken(path):
            raise bad_input(str(path), *missing.taken(path)) from None
        if not reading.is_there(path):
            files.make_directory(path, 0o700)
        place = Place(path)
    for each in (path, *(path / folder for folder in FOLDERS)) if not insecure else ():
        _check_ours(each)
    if not (insecure or sealed):
        _check_private(path)
    if not reading.is_there(path / MARKER):
        place = Place(path, secrets.token_hex(16))
        said = {"format": FORMAT, "id": place.id}
        files.write(path / MARKER, json.dumps(said).encode() + b"\n", files.PRIVATE)
    with files.explained(path):
        for one in FOLDERS:
            inside.make(path, path / one, 0o700)
        sync(path)
    place.check_folders()
    return place


def _is_taken(path: Path) -> bool:
    """Whether something is there, and not an empty directory, or what a run left that was killed as it made one."""
    if not reading.is_there(path):
        return False
    if not reading.is_directory(path):
        return True
    with files.explained(path, "read"):
        return distant.ask(path, lambda: not all(_is_left(one, path) for one in path.iterdir()))


def _is_left(one: Path, top: Path) -> bool:
    """Whether `one` is nobody's below the directory `top`, which has no marker yet: nothing of a backup is there."""
    if one.parent == top and (one.name in NOBODYS or one.name.startswith(MODE) or one.name.endswith(temporary.MARK)):
        return True
    if str(one.relative_to(top)) not in FOLDERS or one.is_symlink() or not one.is_dir():
        return False
    return all(_is_left(inner, top) for inner in one.iterdir())


ANYWAY = "; or, if nobody else gets there, say --insecure-destination"


def _check_ours(path: Path) -> None:
    """Raise BadInput where others can put something into directory `path`."""
    status = reading.status(path)
    if status is not None and (status.st_uid != os.geteuid() or status.st_mode & 0o022):
        who = "others can write there" if status.st_uid == os.geteuid() else f"it is of another user ({status.st_uid})"
        what = f"is no place for keys and hashes of passwords: {who}"
        raise bad_input(str(path), what, missing.to_own(path, status.st_uid) + ANYWAY)


def _check_private(path: Path) -> None:
    """Raise BadInput where others can read what we write in directory `path`."""
    with files.explained(path):
        descriptor, name = tempfile.mkstemp(prefix=MODE, dir=path)
        try:
            seen = os.fstat(descriptor)
        finally:
            os.close(descriptor)
            Path(name).unlink()
    if seen.st_mode & 0o077 or seen.st_uid != os.geteuid():
        mount = distant.mount_at(path)
        kind = f" ({mount.kind})" if mount else ""
        what = f"is on a file system{kind} that keeps no modes: others could read keys and hashes of passwords there"
        raise bad_input(str(path), what, f"seal them by a passphrase: --encrypt; name a directory elsewhere{ANYWAY}")


def sync(path: Path) -> None:
    """Make the names in directory `path` durable, where its file system can. Raises OSError."""
    try:
        files.sync_directory(path)
    except OSError as error:
        if error.errno not in UNSYNCED:
            raise


def sweep(place: Place) -> None:
    """Remove what a run that was killed left, which may not have had the time to make names in the pool durable. Only
    who holds the lock may do that."""
    with files.explained(place.incoming, "remove"):
        left = inside.regular(place.path, place.incoming)
        for folder in [*place.pool.glob("*/*"), *place.pool.iterdir()] if left else ():
            sync(folder)
        for name in left:
            inside.unlink(place.path, place.incoming / name)


def blobs(place: Place) -> Iterator[tuple[str, Path]]:
    """The digests of which there are bytes in the pool, and where. What has another name is nobody's. Raises
    OSError."""
    for algorithm, length in (("sha256", 64), ("sha512", 128)):
        top = place.pool / algorithm
        for folder in sorted(top.iterdir()) if top.exists() else ():
            if folder.is_symlink() or not folder.is_dir():
                continue
            for path in sorted(folder.iterdir()):
                name = path.name
                if len(name) == length and name[:2] == folder.name and re.fullmatch("[0-9a-f]+", name):
                    yield f"{algorithm}:{name}", path
