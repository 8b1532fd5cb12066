"""The configuration of a backup back on a host: read and proven as a whole, written beside, then put in the place of
what is there at once. What was there is renamed, never removed.

    /etc/.secure-registry.restore       what is being written, for root alone
    /etc/.secure-registry.restored      all of it, which is to be /etc/secure-registry at once
    /var/lib/secure-registry/.restore   what is to be in the program's state

The next apply removes what a run left that was killed (leftovers), or, where it was killed just then and there is no
/etc/secure-registry, puts that in its place.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from secreg_host.base import files, leftovers, marks, quoting, reading, records
from secreg_host.base.errors import Note, Problem, SecregError
from secreg_host.base.paths import Paths
from secreg_host.upkeep import archived, hashing, listing, present, sealing
from secreg_host.upkeep.archived import Item, below
from secreg_host.upkeep.configuration import ABOUT, ANEW, LINKED
from secreg_host.upkeep.place import PLAIN, SEALED, Place

OF_THE_MACHINE = ("trust.json", "backups")
"""Of the program's state, what is about other programs' files, which only the same machine has."""


@dataclass
class Put:
    """What was put back below `root`: how many files; aside: where what was there before is now; back: the commands
    that go back to that; notes: what is not as it was."""

    root: Path
    count: int = 0
    aside: list[Path] = field(default_factory=list)
    back: list[str] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)


def read(place: Place, name: str, passphrase: Callable[[], str], *, sealed: bool = False) -> dict[str, Item]:
    """What is in the configuration of backup `name`; passphrase: asks for that by which it may be sealed, as it must
    be, if `sealed`. Raises SecregError if it is not as it was written, is that of another backup, or sealed by another
    passphrase."""
    data = _read(place, name)
    if sealing.is_sealed(data):
        data = sealing.opened(data, passphrase())
    elif sealed:
        hint = "take one with --at NAME that is; see who can write there, for somebody may have put this one there"
        raise SecregError(f"the configuration of backup {name} is not sealed", hint)
    items = archived.items(data)
    said = records.parsed(items[ABOUT].data) if ABOUT in items else None
    if not isinstance(said, dict) or said.get("name") != name:
        hint = (
            f"it was put there by somebody; take another one with --at NAME: secure-registry backup list {place.path}"
        )
        raise SecregError(f"the configuration of backup {name} is that of another one", hint)
    return items


def _read(place: Place, name: str) -> bytes:
    """The file that the list of the backup means: another one beside it may be left of one that never was."""
    said = next((entry for entry in listing.entries(place.lists / name) if entry[0] == "config"), None)
    found = [place.configs / f"{name}{suffix}" for suffix in (PLAIN, SEALED)]
    there = [path for path in found if os.path.lexists(path)] or found[:1]
    if said is not None and int(said[1]) > archived.LARGEST:
        raise SecregError(f"{there[0]} has more than {archived.LARGEST} bytes", "take another one with --at NAME")
    for path in there:
        with files.explained(path, "read"), os.fdopen(hashing.opened(str(path)), "rb") as file:
            data = file.read(archived.LARGEST + 1)
        if said is not None and (len(data), f"sha256:{marks.digest(data)}") == (int(said[1]), said[2]):
            return data
    hint = f"see: secure-registry backup verify {place.path}; take another one with --at NAME"
    raise SecregError(f"{there[0]} is not as it was written", hint)


@dataclass
class Staged:
    """A configuration that is written beside, with all that takes room or may be refused. etc: whether there is an /etc
    to be put in its place; state: what is to be at which path of the program's state; done: what became of it."""

    paths: Paths
    etc: bool
    state: dict[Path, Path]
    done: Put

    def put(self, stamp: str) -> Put:
        """Put it in the place of what is there, which is moved beside, as NAME.bak-`stamp`. Raises SecregError."""
        if self.etc:
            _swap(self.paths, stamp, self.done)
        beside = _free(self.paths.state.with_name(f"{self.paths.state.name}.bak-{stamp}"))
        for path, new in self.state.items():
            _replace(self.paths, path, new, beside, self.done)
        self.drop()
        return self.done

    def drop(self) -> None:
        """Remove what was written and is not in its place: there are keys in it."""
        for path in leftovers.restoring(self.paths):
            shutil.rmtree(path, ignore_errors=True)


def put(paths: Paths, items: Mapping[str, Item], stamp: str, *, same_machine: bool) -> Put:
    """Put what is in the archive on this host, at once."""
    with staged(paths, items, same_machine=same_machine) as found:
        return found.put(stamp)


@contextlib.contextmanager
def staged(paths: Paths, items: Mapping[str, Item], *, same_machine: bool) -> Iterator[Staged]:
    """What is in the archive, beside what is on this host, until the block ends. For whoever holds the instance's lock.
    Raises SecregError where it can't be written; nothing was changed then."""
    found = Staged(paths, not present.is_there(paths, items), {}, Put(paths.root))
    found.drop()
    try:
        if found.etc:
            _stage(paths, items, found.done)
        left_out = [*ANEW, *(() if same_machine else OF_THE_MACHINE)]
        _stage_state(paths, [*below(items, present.names(paths)[1])], left_out, found.state)
        yield found
    finally:
        found.drop()


def _stage(paths: Paths, items: Mapping[str, Item], done: Put) -> None:
    """Write all of /etc beside its place."""
    to, etc = leftovers.restoring(paths).etc, present.names(paths)[0]
    files.make_directory(paths.etc.parent, 0o755)
    with files.explained(to):
        files.make_directory(to, 0o700)
        for item in sorted(below(items, etc), key=lambda item: item.name):
            _write(to / item.name.removeprefix(f"{etc}/"), item, items, done)
        top = items.get(etc)
        if top is not None:
            _own(to, top)
        else:
            to.chmod(0o755)
        for folder, _, _ in os.walk(to):
            files.sync_directory(Path(folder))


def _stage_state(paths: Paths, items: list[Item], left_out: list[str], state: dict[Path, Path]) -> None:
    """Write what the program remembered beside its state, where that is other, or not there."""
    for item in sorted(items, key=lambda item: item.name):
        path = paths.root / item.name
        if path.relative_to(paths.state).parts[0] in left_out or item.kind != tarfile.REGTYPE:
            continue
        if present.content(path) != item.data:
            new = leftovers.restoring(paths).state / str(len(state))
            files.make_directory(new.parent, 0o700)
            files.create(new, item.data, item.mode & 0o700)
            state[path] = new


def _swap(paths: Paths, stamp: str, done: Put) -> None:
    """Put /etc in its place, which is between two renames that of nothing."""
    beside = leftovers.restoring(paths)
    with files.explained(paths.etc, "replace"):
        beside.etc.rename(beside.whole)
        aside = _make_way(paths.etc, stamp, done)
        try:
            beside.whole.rename(paths.etc)
        except OSError:
            if aside is not None:
                aside.rename(paths.etc)
                done.aside.remove(aside)
            raise
        if aside is not None:
            now, was, new = map(quoting.shell, (paths.etc, aside, _free(paths.etc.with_name(f"{paths.etc.name}.new"))))
            done.back.append(f"mv -T {now} {new} && mv -T {was} {now}")
        files.sync_directory(paths.etc.parent)


def _replace(paths: Paths, path: Path, new: Path, beside: Path, done: Put) -> None:
    """Put `new` at `path` of the state; what is there is kept `beside`."""
    files.make_directory(path.parent, 0o700)
    if os.path.lexists(path):
        _keep(path, beside / path.relative_to(paths.state))
        if beside not in done.aside:
            done.aside.append(beside)
            done.back.append(f"cp -a {quoting.shell(beside)}/. {quoting.shell(paths.state)}/")
    with files.explained(path, "replace"):
        new.rename(path)
        files.sync_directory(path.parent)
    done.count += 1


def _make_way(path: Path, stamp: str, done: Put) -> Path | None:
    """Move `path` beside; where it is then. An empty directory goes."""
    if not os.path.lexists(path):
        return None
    if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
        path.rmdir()
        return None
    aside = _free(path.with_name(f"{path.name}.bak-{stamp}"))
    path.rename(aside)
    done.aside.append(aside)
    return aside


def _keep(path: Path, beside: Path) -> None:
    """Let what is at `path` be `beside`, too, until it is replaced, so that there is one at each moment; a directory is
    moved there."""
    files.make_directory(beside.parent, 0o700)
    with files.explained(path, "move away"):
        if path.is_dir() and not path.is_symlink():
            path.rename(beside)
        else:
            os.link(path, beside, follow_symlinks=False)
        files.sync_directory(beside.parent)


def _free(wanted: Path) -> Path:
    found, number = wanted, 1
    while os.path.lexists(found):
        number += 1
        found = wanted.with_name(f"{wanted.name}-{number}")
    return found


def _write(path: Path, item: Item, items: Mapping[str, Item], done: Put) -> None:
    """Make one file, link or directory of the staged configuration."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if item.kind == tarfile.DIRTYPE:
        path.mkdir(exist_ok=True)
        _own(path, item)
        return
    if item.kind == tarfile.SYMTYPE:
        if _leads_somewhere(done.root, item):
            path.symlink_to(item.target)
            return
        behind = [one for one in below(items, f"{LINKED}/{item.name}") if one.kind == tarfile.REGTYPE]
        linked = items.get(f"{LINKED}/{item.name}")
        what = f"led to {item.target}, which is not on this host"
        if linked is None and not behind:
            path.symlink_to(item.target)
            done.notes.append(
                Problem(item.name, f"it {what}, nor in the backup", "bring that back, or remove the link")
            )
            return
        done.notes.append(
            Note(item.name, f"it {what}: what that held is in its place", "make the link again when that is there")
        )
        for one in behind:
            _write(path / one.name.removeprefix(f"{LINKED}/{item.name}/"), one, items, done)
        if linked is None:
            return
        item = linked
    files.create(path, item.data, item.mode & 0o777, _owner(item))
    done.count += 1


def _leads_somewhere(root: Path, item: Item) -> bool:
    """Whether the link `item` leads to something: beside it, where all comes back, or on this host."""
    target = PurePosixPath(item.target)
    if not target.is_absolute() and ".." not in target.parts:
        return True
    return reading.status((root / item.name).parent / target) is not None


def _own(folder: Path, item: Item) -> None:
    """Give `folder` to whom it belonged, with its mode."""
    if os.geteuid() == 0:
        os.chown(folder, *_owner(item))
    folder.chmod(item.mode)


def _owner(item: Item) -> tuple[int, int]:
    """The owner and the group of that name here; where there are none, root."""
    uid = gid = 0
    with contextlib.suppress(KeyError):
        uid = pwd.getpwnam(item.owner[0]).pw_uid
    with contextlib.suppress(KeyError):
        gid = grp.getgrnam(item.owner[1]).gr_gid
    return uid, gid
