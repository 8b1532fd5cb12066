"""What is in the archive of a configuration: read as a whole, or refused as a whole.

Its digest says that it is as somebody wrote it, and not who: whoever can write in a directory of backups may have. It
is unpacked by root, so nothing in it leads out of where it belongs, whatever names, links and modes it has.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from secreg_host.base import reading
from secreg_host.base.errors import SecregError

LARGEST = 1 << 30
"""Bytes of one at the most: it is held in memory."""

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


def items(data: bytes) -> dict[str, Item]:
    """What is in the archive `data`, by name. Raises SecregError for one that secure-registry does not write."""
    found: dict[str, Item] = {}
    try:
        with tarfile.TarFile(fileobj=io.BytesIO(data)) as tar:
            for info in tar:
                if why := fault(info) or ("it is there twice" if info.name in found else ""):
                    raise _refused(info.name, why)
                found[info.name] = _item(tar, info)
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise _refused("archive", f"it is none: {error}") from None
    for name in found:
        if above := _not_a_directory(name, found):
            raise _refused(name, f"it is below {above!r}, which is no directory")
    return found


def _refused(name: str, why: str) -> SecregError:
    what = f"the configuration of the backup is none that secure-registry writes: {name!r}: {why}"
    return SecregError(what, "take another one with --at NAME, and see who can write there")


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
    path = PurePosixPath(name)
    parts = path.parts
    return bool(parts) and str(path) == name and not path.is_absolute() and ".." not in parts and "\0" not in name


def _not_a_directory(name: str, found: Mapping[str, Item]) -> str:
    """What `name` is below, and which is another thing than a directory; "": nothing is."""
    above = (found.get(str(path)) for path in PurePosixPath(name).parents)
    return next((one.name for one in above if one is not None and one.kind != tarfile.DIRTYPE), "")


def _item(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Item:
    file = tar.extractfile(info) if info.isreg() else None
    data = file.read() if file is not None else b""
    return Item(info.name, info.type, info.mode & MODE, (info.uname, info.gname), data, info.linkname)


def below(items: Mapping[str, Item], folder: str) -> Iterator[Item]:
    """The items below `folder`."""
    return (item for name, item in items.items() if name.startswith(f"{folder}/"))
