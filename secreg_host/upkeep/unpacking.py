"""The configuration of a backup back on a host: read and proven as a whole, then put in the place of what is there at
once. What was there is renamed, never removed."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import stat
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from secreg_host.base import files, reading
from secreg_host.base.errors import BadInput, Note, Problem, SecregError
from secreg_host.base.paths import Paths
from secreg_host.upkeep import archived, hashing, listing, sealing
from secreg_host.upkeep.archived import Item, below
from secreg_host.upkeep.configuration import ANEW, LINKED
from secreg_host.upkeep.place import Place
from secreg_host.upkeep.pool import room

OF_THE_MACHINE = ("trust.json", "backups")
"""Of the program's state, what is about other programs' files, which only the same machine has."""

STAGED = ".secure-registry.restore"


@dataclass
class Put:
    """What was put back below `root`: how many files; aside: where what was there before is now; notes: what is not as
    it was."""

    root: Path
    count: int = 0
    aside: list[Path] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)


def read(place: Place, name: str, passphrase: Callable[[], str]) -> dict[str, Item]:
    """What is in the configuration of backup `name`; passphrase: asks for that by which it may be sealed. Raises
    SecregError if it is not as it was written, or sealed by another one."""
    path = place.config(name)
    said = next((entry for entry in listing.entries(place.lists / name) if entry[0] == "config"), None)
    with files.explained(path, "read"):
        seen = hashing.hashed(hashing.opened(str(path)), "sha256", room())
        if said is None or seen != (int(said[1]), said[2]):
            hint = f"see: secure-registry backup verify {place.path}; take another one with --at NAME"
            raise SecregError(f"{path} is not as it was written", hint)
        with os.fdopen(hashing.opened(str(path)), "rb") as file:
            data = file.read(archived.LARGEST + 1)
    if len(data) > archived.LARGEST:
        raise SecregError(f"{path} has more than {archived.LARGEST} bytes", "take another one with --at NAME")
    if sealing.is_sealed(data):
        data = sealing.opened(data, passphrase())
    return archived.items(data)


def in_the_way(paths: Paths, items: Mapping[str, Item]) -> list[Path]:
    """What stands on this host already and is other than in the archive: somebody's configuration, and keys."""
    state = _names(paths)[1]
    found = []
    for path in sorted(paths.etc.rglob("*")) if paths.etc.is_dir() else ():
        if not _is_same(path, _item_of(paths, path, items), items):
            found.append(path)
    kept = [item for item in below(items, state) if item.kind != tarfile.DIRTYPE]
    found += [path for item in kept if os.path.lexists(path := paths.root / item.name) and _matters(path, item)]
    return found


def _item_of(paths: Paths, path: Path, items: Mapping[str, Item]) -> Item | None:
    """What is at `path` of /etc in the archive: itself, or, where a link came back as a directory, what that held."""
    name = str(path.relative_to(paths.root))
    return items.get(name) or items.get(f"{LINKED}/{name}")


def _content(path: Path) -> bytes | None:
    """The bytes of the file at `path`; None: there is none, or one that is too large for a backup."""
    try:
        return reading.read(path, reading.OTHER)
    except BadInput:
        return None


def _matters(path: Path, item: Item) -> bool:
    """Whether what is at `path` in the program's state is a secret, or what a secret belongs to, and another one."""
    return path.name.startswith(("ca.", "http.secret")) and _content(path) != item.data


def _is_same(path: Path, item: Item | None, items: Mapping[str, Item]) -> bool:
    if stat.S_ISDIR(path.lstat().st_mode):
        return True
    if item is None:
        return False
    if path.is_symlink():
        return item.kind == tarfile.SYMTYPE and str(path.readlink()) == item.target
    linked = items.get(f"{LINKED}/{item.name}")
    wanted = linked.data if linked is not None else item.data
    return reading.is_file(path) and _content(path) == wanted


def put(paths: Paths, items: Mapping[str, Item], stamp: str, *, same_machine: bool) -> Put:
    """Put what is in the archive on this host; what stands there is moved beside, as NAME.bak-`stamp`. Raises
    SecregError where that can't be done; /etc is then as it was, or as it is to be."""
    done = Put(paths.root)
    try:
        if not is_there(paths, items):
            _swap(paths, _staged(paths, items, done), stamp, done)
        _state(paths, list(below(items, _names(paths)[1])), stamp, done, same_machine=same_machine)
    except SecregError as error:
        shutil.rmtree(paths.etc.with_name(STAGED), ignore_errors=True)  # there are keys in it
        if not done.aside:
            raise
        raise SecregError(error.message, f"{error.hint}; what was there is in {_all(done.aside)}") from error
    return done


def _all(found: list[Path]) -> str:
    return ", ".join(map(str, found))


def _staged(paths: Paths, items: Mapping[str, Item], done: Put) -> Path:
    """All of /etc, beside its place."""
    staged, etc = paths.etc.with_name(STAGED), _names(paths)[0]
    files.make_directory(paths.etc.parent, 0o755)
    with files.explained(staged):
        shutil.rmtree(staged, ignore_errors=True)
        files.make_directory(staged, 0o755)
        for item in sorted(below(items, etc), key=lambda item: item.name):
            _write(staged / item.name.removeprefix(f"{etc}/"), item, items, done)
        if (top := items.get(etc)) is not None:
            staged.chmod(top.mode)
        for folder, _, _ in os.walk(staged):
            files.sync_directory(Path(folder))
    return staged


def _swap(paths: Paths, staged: Path, stamp: str, done: Put) -> None:
    """Put what is `staged` in the place of /etc."""
    with files.explained(paths.etc, "replace"):
        if os.path.lexists(paths.etc):
            _make_way(paths.etc, stamp, done)
        staged.rename(paths.etc)
        files.sync_directory(paths.etc.parent)


def is_there(paths: Paths, items: Mapping[str, Item]) -> bool:
    """Whether all of /etc is as in the archive already: a restore that was cut is gone on with."""
    found = {item: paths.root / item.name for item in below(items, _names(paths)[0])}
    if any(not os.path.lexists(path) or (one.kind == tarfile.REGTYPE and path.is_dir()) for one, path in found.items()):
        return False
    return all(_is_same(path, _item_of(paths, path, items), items) for path in paths.etc.rglob("*"))


def _make_way(path: Path, stamp: str, done: Put) -> None:
    """Move `path` beside; an empty directory goes."""
    if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
        path.rmdir()
        return
    aside = _free(path.with_name(f"{path.name}.bak-{stamp}"))
    path.rename(aside)
    done.aside.append(aside)


def _state(paths: Paths, items: list[Item], stamp: str, done: Put, *, same_machine: bool) -> None:
    """Put what the program remembered into its state; what is other there goes beside."""
    files.make_directory(paths.state, 0o700)
    beside = _free(paths.state.with_name(f"{paths.state.name}.bak-{stamp}"))
    left_out = [*ANEW, *(() if same_machine else OF_THE_MACHINE)]
    for item in sorted(items, key=lambda item: item.name):
        path = paths.root / item.name
        if path.relative_to(paths.state).parts[0] in left_out:
            continue
        if item.kind == tarfile.DIRTYPE:
            files.make_directory(path, 0o700)
        elif item.kind == tarfile.REGTYPE and _content(path) != item.data:
            if os.path.lexists(path):
                _keep(path, beside / path.relative_to(paths.state))
                done.aside += [beside] if beside not in done.aside else []
            files.write(path, item.data, item.mode & 0o700)
            done.count += 1


def _keep(path: Path, beside: Path) -> None:
    """Let what is at `path` be `beside`, too, until it is replaced, so that there is one at each moment; a directory is
    moved there."""
    files.make_directory(beside.parent, 0o700)
    with files.explained(path, "move away"):
        if path.is_dir() and not path.is_symlink():
            path.rename(beside)
        else:
            os.link(path, beside, follow_symlinks=False)


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
        path.chmod(item.mode)
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


def _owner(item: Item) -> tuple[int, int]:
    """The owner and the group of that name here; where there are none, root."""
    uid = gid = 0
    with contextlib.suppress(KeyError):
        uid = pwd.getpwnam(item.owner[0]).pw_uid
    with contextlib.suppress(KeyError):
        gid = grp.getgrnam(item.owner[1]).gr_gid
    return uid, gid


def _names(paths: Paths) -> tuple[str, str]:
    """How paths below /etc and of the program's state begin in an archive."""
    return str(paths.etc.relative_to(paths.root)), str(paths.state.relative_to(paths.root))


def refuse(place: Place, found: list[Path]) -> BadInput:
    """That there is somebody's configuration on this host."""
    shown = ", ".join(map(str, found[:3])) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
    what = f"this host has a configuration of its own: {shown}"
    return BadInput([Problem(str(place.path), what, "to move that aside (NAME.bak-DATE) and go on: --force")])
