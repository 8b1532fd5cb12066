"""What is in the archive of a configuration: read as a whole, or refused as a whole.

Its digest says that it is as somebody wrote it, and not who: whoever can write in a directory of backups may have. It
is unpacked by root, so nothing in it leads out of where it belongs, whatever names, links and modes it has.
"""

from __future__ import annotations

import io
import tarfile
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from secreg_host.base import quoting, reading
from secreg_host.base.errors import SecregError

LARGEST = 1 << 30
"""Bytes of one at the most: it is held in memory."""

MOST = 100_000
"""Files, links and directories of one at the most: so many are read and written in a minute or two."""

LONGEST, DEEPEST = 4096, 128
"""Characters of a name, and parts that it has: the kernel takes no more of the former (PATH_MAX), a backup walks half
as deep."""

KINDS = (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE)
MODE = 0o777
"""What of a mode comes back: no program of root's that others run by it (setuid)."""


@dataclass(frozen=True)
class Item:
    """A file, link (to `target`) or directory of the archive: mode, and names of its owner and group."""

    name: str
    kind: bytes
    mode: int
    owner: tuple[str, str]
    data: bytes = b""
    target: str = ""


def items(data: bytes, where: Path = Path("archive")) -> dict[str, Item]:
    """What is in the archive `data`, which is the file `where`, by name. Raises SecregError for one that
    secure-registry does not write."""
    found: dict[str, Item] = {}
    folders = set[str]()
    try:
        with tarfile.TarFile(fileobj=io.BytesIO(data)) as tar:
            for info in tar:
                if why := fault(info) or ("it is there twice" if info.name in found else ""):
                    raise _refused(where, f"{info.name!r}: {why}")
                found[info.name] = _item(tar, info)
                if len(found) > MOST:
                    raise _refused(where, f"more than {MOST} files are in it")
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise _refused(where, f"it is no archive: {error}") from None
    for name in found:
        if above := _not_a_directory(name, found, folders):
            raise _refused(where, f"{name!r}: it is below {above!r}, which is no directory")
    return found


def _refused(where: Path, why: str) -> SecregError:
    there = quoting.shell(where.parent.parent)
    hint = f"take another backup, with --at NAME: secure-registry backup list {there}; see who can write there: ls -ld "
    return SecregError(f"{where} is none that secure-registry writes: {why}", f"{hint}{there} {there}/config")


def fault(info: tarfile.TarInfo) -> str:
    """What is wrong with an entry of an archive; "": nothing is."""
    if not is_good(info.name):
        return "its name does not stay where it belongs"
    if info.type not in KINDS or info.issparse() or any(key.startswith("GNU.sparse") for key in info.pax_headers):
        return "it is no file, link or directory"
    if info.type == tarfile.SYMTYPE and (not info.linkname or "\0" in info.linkname):
        return "it leads nowhere"
    return "it is too large" if info.size > (reading.OTHER if info.isreg() else 0) else ""


def is_good(name: str) -> bool:
    """Whether `name` stays where it belongs: below the root, said in the one way that there is to say it."""
    if len(name) > LONGEST or name.count("/") >= DEEPEST:
        return False
    path = PurePosixPath(name)
    parts = path.parts
    return bool(parts) and str(path) == name and not path.is_absolute() and ".." not in parts and "\0" not in name


def _not_a_directory(name: str, found: Mapping[str, Item], known: set[str]) -> str:
    """What `name` is below, and which is another thing than a directory; "": nothing is. known: directories of which
    that was found out, so that each is looked at once."""
    above = name.rpartition("/")[0]
    while above and above not in known:
        one = found.get(above)
        if one is not None and one.kind != tarfile.DIRTYPE:
            return one.name
        known.add(above)
        above = above.rpartition("/")[0]
    return ""


def _item(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Item:
    file = tar.extractfile(info) if info.isreg() else None
    data = file.read() if file is not None else b""
    return Item(info.name, info.type, info.mode & MODE, (info.uname, info.gname), data, info.linkname)


def below(items: Mapping[str, Item], folder: str) -> Iterator[Item]:
    """The items below `folder`."""
    return (item for name, item in items.items() if name.startswith(f"{folder}/"))


class Sorted:
    """The items by the order of their names, for who asks of many folders what is below: each answer takes as long as
    it has items, however many there are."""

    def __init__(self, items: Mapping[str, Item]) -> None:
        self.items, self._names = items, sorted(items)

    def below(self, folder: str) -> list[Item]:
        """The items below `folder`."""
        first, after = (bisect_left(self._names, f"{folder}{end}") for end in ("/", "0"))  # 0 comes after /
        return [self.items[name] for name in self._names[first:after]]
