"""The list of a backup: what was in the store, and what was copied; written and read line by line.

    secure-registry-backup 1
    about {"host": "...", ...}          JSON, see `about` of create
    config SIZE DIGEST                  config/NAME.tar
    repository NAME ...                 entries of a survey (images/survey), but that WHY is a JSON string
    end LINES DIGEST                    how many lines are before, and the digest of them

Each link has a line `blob` somewhere in the list, and each of those is a file of the pool: nothing else is restored.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from secreg_host.base import files, marks, utf8
from secreg_host.base.errors import SecregError
from secreg_host.base.quoting import plain
from secreg_host.images.closure import Flaw
from secreg_host.images.layout import DIGEST, LONGEST, NAME, TAG
from secreg_host.images.survey import NONE, Entry
from secreg_host.upkeep import hashing, inside
from secreg_host.upkeep.place import Place
from secreg_host.upkeep.pool import Blob

FIRST = "secure-registry-backup 1"
END = re.compile(r"end ([0-9]{1,18}) (sha256:[0-9a-f]{64})")
SIZE, NUMBER = re.compile("[0-9]{1,18}"), re.compile("-?[0-9]{1,18}")
"""Numbers that the kernel takes."""

LINE_BYTES = 1 << 20


class Damaged(SecregError):
    """A list that is not as it was written, and why. Who knows which one it is says so."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "see which one: secure-registry backup verify DIR")


def _is_name(text: str) -> bool:
    return len(text) <= LONGEST and bool(NAME.fullmatch(text))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _or_none(check: Callable[[str], object]) -> Callable[[str], object]:
    return lambda text: text == NONE or check(text)


CHECKS: dict[str, tuple[Callable[[str], object], ...]] = {
    "about": (_is_json,),
    "config": (SIZE.fullmatch, DIGEST.fullmatch),
    "repository": (_is_name,),
    "tag": (TAG.fullmatch, DIGEST.fullmatch, NUMBER.fullmatch),
    "was": (TAG.fullmatch, DIGEST.fullmatch, NUMBER.fullmatch),
    "revision": (DIGEST.fullmatch, NUMBER.fullmatch),
    "layer": (DIGEST.fullmatch,),
    "broken": (_or_none(TAG.fullmatch), _or_none(DIGEST.fullmatch), _is_json),
    "gone": (TAG.fullmatch,),
    "blob": (DIGEST.fullmatch, SIZE.fullmatch),
}
"""What the values after each word are."""


def line_of(entry: Entry) -> str:
    """The line that says `entry`."""
    if entry[0] == "broken":
        entry = (*entry[:3], json.dumps(entry[3]))
    return " ".join(entry)


def entry_of(line: str) -> Entry:
    """The entry that `line` says. Raises Damaged."""
    word, *values = line.split(" ", 1)
    checks = CHECKS.get(word, ())
    values = values[0].split(" ", len(checks) - 1) if values and checks else values
    if (
        len(values) != len(checks)
        or not checks
        or not all(check(one) for check, one in zip(checks, values, strict=True))
    ):
        raise Damaged(f"a line of it is none: {word[:20]}")
    if word == "broken":
        values[2] = str(json.loads(values[2]))
    return (word, *values)


class Writer:
    """A list that is being written to the new file `path`, by a name that is nobody's yet; below `top` no link on the
    way there is followed."""

    def __init__(self, path: Path, top: Path | None = None) -> None:
        self.path = path
        self._digest, self._lines = marks.hashing(), 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        self._file = os.fdopen(inside.opened(top or path.parent, path, flags, files.PRIVATE), "wb")
        self._write(FIRST)

    def add(self, entry: Entry) -> None:
        """One more line."""
        self._write(line_of(entry))

    def _write(self, line: str) -> None:
        data = f"{line}\n".encode()
        self._file.write(data)
        self._digest.update(data)
        self._lines += 1

    def finish(self) -> None:
        """The last line; what was written is on disk then."""
        self._file.write(f"end {self._lines} sha256:{self._digest.hexdigest()}\n".encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def close(self) -> None:
        """Give it up, if it is not finished."""
        self._file.close()


def lines(path: Path, opened: Callable[[str], int] = hashing.opened) -> Iterator[str]:
    """The lines of the list `path`, which is `opened`, but the first and the last one. Raises Damaged where one is no
    such line, or, after the others, the last one is not as it was written; and OSError."""
    digest, count, held = marks.hashing(), 0, b""
    with os.fdopen(opened(str(path)), "rb") as file:
        while data := file.readline(LINE_BYTES):
            if held:
                digest.update(held)
                if count:
                    yield utf8.shown(held[:-1])
                elif utf8.shown(held[:-1]) != FIRST:
                    raise Damaged("it is no list of a version that is known here")
                count += 1
            held = data
            if not data.endswith(b"\n"):
                break
    end = END.fullmatch(utf8.shown(held.removesuffix(b"\n")))
    if not end or not held.endswith(b"\n"):
        raise Damaged(f"it is cut short, after {count} lines")
    if (int(end[1]), end[2]) != (count, f"sha256:{digest.hexdigest()}"):
        raise Damaged("it is not as it was written: its digest is another one")


def entries(path: Path, opened: Callable[[str], int] = hashing.opened) -> Iterator[Entry]:
    """The entries of the list `path`. Raises as `lines`."""
    return map(entry_of, lines(path, opened))


def blobs(path: Path) -> Iterator[Blob]:
    """The blobs that the list `path` names. Raises as `lines`."""
    return (Blob(entry[1], int(entry[2])) for entry in entries(path) if entry[0] == "blob")


def about(path: Path) -> dict[str, Any]:
    """What the list `path` says of itself. Raises Damaged, and OSError."""
    for entry in entries(path):
        found = json.loads(entry[1]) if entry[0] == "about" else None
        if isinstance(found, dict):
            return {plain(key): plain(said) if isinstance(said, str) else said for key, said in found.items()}
        break
    raise Damaged("it does not say what it is of")


class Held(NamedTuple):
    """What a backup is good for: whether there are images in it, and whether each was whole when it was made."""

    images: bool
    whole: bool


def held(path: Path) -> Held:
    """What is in the backup of the list `path`. Raises as `lines`."""
    words = {entry[0] for entry in entries(path)}
    return Held("blob" in words, "broken" not in words)


def newest(place: Place, *, whole: bool = False) -> str:
    """The newest backup of `place` with images; whole: of which none was broken. "": there is none. One whose list is
    damaged is none."""
    for name in reversed(place.names()):
        with contextlib.suppress(Damaged, OSError):
            found = held(place.lists / name)
            if found.images and (found.whole or not whole):
                return name
    return ""


@dataclass
class Section:
    """One repository of a list."""

    name: str
    tags: dict[str, str] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=dict)
    layers: list[str] = field(default_factory=list)
    broken: list[Flaw] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    """All of it, as it stands there."""

    def add(self, entry: Entry) -> None:
        """One more entry of it."""
        self.entries.append(entry)
        if entry[0] == "tag":
            self.tags[entry[1]] = entry[2]
        elif entry[0] == "revision":
            self.revisions[entry[1]] = entry[2]
        elif entry[0] == "layer":
            self.layers.append(entry[1])
        elif entry[0] == "broken":
            self.broken.append(Flaw(*("" if one == NONE else one for one in entry[1:])))


def sections(found: Iterable[Entry]) -> Iterator[Section]:
    """The repositories among the entries `found`; before them one without a name, of what is in none."""
    section = Section("")
    for entry in found:
        if entry[0] == "repository":
            yield section
            section = Section(entry[1])
        section.add(entry)
    yield section
