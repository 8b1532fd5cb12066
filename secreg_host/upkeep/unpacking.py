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
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from secreg_host.base import files, leftovers, marks, quoting, records
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.paths import Paths
from secreg_host.upkeep import archived, hashing, listing, owning, present, sealing, staging
from secreg_host.upkeep.archived import Item
from secreg_host.upkeep.configuration import ABOUT, ANEW
from secreg_host.upkeep.place import PLAIN, SEALED, Place

OF_THE_MACHINE = ("trust.json", "backups")
"""Of the program's state, what is about other programs' files, which only the same machine has."""


@dataclass
class Put:
    """What was put back: how many files; aside: where what was there before is now; back: the commands that go back to
    that; notes: what is not as it was."""

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
        data = sealing.opened(data, passphrase(), str(place.config(name)))
    elif sealed:
        hint = "take one with --at NAME that is; see who can write there, for somebody may have put this one there"
        raise SecregError(f"the configuration of backup {name} is not sealed", hint)
    items = archived.items(data, place.config(name))
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
            data = file.read(min(os.fstat(file.fileno()).st_size, archived.LARGEST) + 1)  # for so much memory is taken
        if said is not None and (len(data), f"sha256:{marks.digest(data)}") == (int(said[1]), said[2]):
            return data
    hint = f"see: secure-registry backup verify {place.path}; take another one with --at NAME"
    raise SecregError(f"{there[0]} is not as it was written", hint)


@dataclass
class Staged:
    """A configuration that is written beside, with all that takes room or may be refused. etc: whether there is an /etc
    to be put in its place; state: what is to be at which path of the program's state, but what is left_out; done: what
    became of it."""

    paths: Paths
    items: Mapping[str, Item]
    left_out: list[str]
    etc: bool
    state: dict[Path, Path] = field(default_factory=dict)
    done: Put = field(default_factory=Put)

    def put(self, stamp: str) -> Put:
        """Put it in the place of what is there, which is moved beside, as NAME.bak-`stamp`. Raises SecregError."""
        if self.etc:
            _swap(self.paths, stamp, self.done)
        beside = _free(self.paths.state.with_name(f"{self.paths.state.name}.bak-{stamp}"))
        _replace(self.paths, self.state, beside, self.done)
        self.done.notes += owning.mend(self.paths, self.items, self.left_out, etc=not self.etc)
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
    left_out = [*ANEW, *(() if same_machine else OF_THE_MACHINE)]
    found = Staged(paths, items, left_out, not present.is_there(paths, items))
    found.drop()
    try:
        with staging.writing(paths, items) as beside:
            if found.etc:
                beside.etc()
            found.state = beside.state(left_out)
        found.done.count, found.done.notes = beside.count, beside.notes
        yield found
    finally:
        found.drop()


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


def _replace(paths: Paths, state: Mapping[Path, Path], beside: Path, done: Put) -> None:
    """Put what is new in its place in the state; what is there is kept `beside`, all of it before any of that."""
    kept = [path for path in state if os.path.lexists(path)]
    if kept:
        done.aside.append(beside)
        done.back.append(f"cp -a {quoting.shell(beside)}/. {quoting.shell(paths.state)}/")
    _sync(_keep(path, beside / path.relative_to(paths.state)) for path in kept)
    for folder in {path.parent: None for path in state}:
        files.make_directory(folder, 0o700)
    for path, new in state.items():
        with files.explained(path, "replace"):
            new.rename(path)
        done.count += 1
    _sync(path.parent for path in state)


def _sync(folders: Iterable[Path]) -> None:
    """Make the names in `folders` durable, each once."""
    for folder in dict.fromkeys(folders):
        with files.explained(folder):
            files.sync_directory(folder)


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


def _keep(path: Path, beside: Path) -> Path:
    """Let what is at `path` be `beside`, too, until it is replaced, so that there is one at each moment; a directory is
    moved there. Where that is."""
    files.make_directory(beside.parent, 0o700)
    with files.explained(path, "move away"):
        if path.is_dir() and not path.is_symlink():
            path.rename(beside)
        else:
            os.link(path, beside, follow_symlinks=False)
    return beside.parent


def _free(wanted: Path) -> Path:
    found, number = wanted, 1
    while os.path.lexists(found):
        number += 1
        found = wanted.with_name(f"{wanted.name}-{number}")
    return found
