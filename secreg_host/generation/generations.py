"""Generations: immutable directories of proven configuration, and the link `current` to the one that serves.

The name of a generation is the digest of its content: the same bytes are the same generation. Nothing here knows
nginx or systemd.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secreg_host.base import bugs, files, reading, records
from secreg_host.base.errors import SecregError
from secreg_host.base.marks import digest
from secreg_host.formats.listening import Listen
from secreg_host.formats.nginxconf import GENERATION
from secreg_host.host.host import Host
from secreg_host.wanted.parts import kinds
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.parts.settings import SettingsPart
from secreg_host.wanted.settings import Settings

MANIFEST = "generation.json"
OLD_SLOT = "slot"
"""Where a manifest of 0.1, which has users as a part, tells the slot. What it does not find in one of ours, it makes a
generation of its own without: after a downgrade."""

KEPT = 5
"""Generations kept for a look back; `current` and `proven` are always among them."""

IDENTITY = 32
"""Hexadecimal digits of a digest. 128 bits: the probe's address holds that of the front, which nobody may guess."""


@dataclass(frozen=True)
class Generation:
    """A generation: its parts, the registry's slot, and the files rendered for it.

    Of one that was loaded, whichever version of this program made it: label, its name, and said, its manifest as it
    stands.
    """

    parts: Parts
    slot: str
    rendered: dict[str, bytes]
    label: str = ""
    said: Mapping[str, Any] | None = None

    @property
    def files(self) -> dict[str, bytes]:
        """Every file: path below the generation's directory -> bytes."""
        return together(self.rendered, *(part.files for part in self.parts))

    @property
    def manifest(self) -> bytes:
        """What is kept of it besides its files. Its version is no part of its name."""
        whole = {**self._listing, "version": records.VERSION}
        return json.dumps(whole, indent=1, sort_keys=True).encode() + b"\n"

    @property
    def with_users(self) -> bool:
        """Whether users are in it: version 0.1 made it."""
        return self.said is not None and OLD_SLOT in self.said

    @property
    def _listing(self) -> Mapping[str, Any]:
        if self.said is not None:
            return self.said
        listing = {
            part.NAME: {"files": sorted(part.files), "facts": part.facts, "sources": part.sources}
            for part in self.parts
        }
        return {"parts": listing, "registry_slot": self.slot}

    @property
    def name(self) -> str:
        """Its name: the digest of what it is."""
        return self.label or _name(self._listing, self.files)

    @property
    def settings(self) -> Settings:
        """What it was made with, but the password."""
        return self.parts[SettingsPart].settings

    @property
    def front(self) -> str:
        """The digest of what its nginx reads: equal for two generations between which nginx need not reload."""
        read = {path: data for path, data in self.files.items() if path.startswith("front/")}
        outside = json.dumps(self.parts[NginxPart].outside, sort_keys=True).encode()
        return digest(*_pieces(read), outside)[:IDENTITY]

    @property
    def listens(self) -> tuple[Listen, ...]:
        """Where its nginx.conf listens."""
        return self.parts[NginxPart].listens

    @property
    def taken(self) -> tuple[Listen, ...]:
        """Every address that its nginx takes: that of the registry's metrics, too."""
        debug = self.parts[RegistryPart].debug
        return (*self.listens, *([debug] if debug else []))

    def differs(self, other: Generation | None, prefix: str) -> bool:
        """Whether the files below `prefix` (such as `front/`) are others than in `other`."""
        if other is None:
            return True
        mine, its = self.files, other.files
        return {path: mine[path] for path in mine if path.startswith(prefix)} != {
            path: its[path] for path in its if path.startswith(prefix)
        }


def together(*claims: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of all `claims`: path below a generation -> bytes. Raises SecregError when two have one path, even
    with the same bytes: each file is of one part, which it stands and falls with."""
    found: dict[str, bytes] = {}
    for claim in claims:
        if twice := ", ".join(sorted(found.keys() & claim.keys())):
            raise SecregError(f"two parts of a generation have a file {twice}", bugs.HINT)
        found |= claim
    return found


def _name(listing: Mapping[str, Any], files: Mapping[str, bytes]) -> str:
    """The digest by which a generation of these `files` is called, of whose parts a manifest says `listing`."""
    manifest = json.dumps(listing, indent=1, sort_keys=True).encode() + b"\n"
    return digest(*_pieces({**files, MANIFEST: manifest}))[:IDENTITY]


def owners(host: Host) -> dict[str, tuple[int, int]]:
    """Who may read which directory of a generation: the account of the process that needs it, and root."""
    accounts = host.accounts
    return {
        "front": accounts.front.owner,
        "auth": accounts.auth.owner,
        "registry": accounts.registry.owner,
    }


def stage(host: Host, generation: Generation, extra: Mapping[str, bytes]) -> Path:
    """Write `generation` and `extra` files (made from its digest) to its directory, durably. Returns the directory.

    It is built under a temporary name and renamed when complete, so that a directory with a generation's name is
    always whole. One that exists already is left as it is, unless it is damaged.
    """
    target = host.paths.generations / generation.name
    if target.is_dir() and load(host, generation.name) is not None:
        return target
    whole = together(generation.files, extra, {MANIFEST: generation.manifest})
    files.make_directory(host.paths.generations, 0o711)
    with files.explained(host.paths.generations):
        temporary = Path(tempfile.mkdtemp(prefix=".stage-", dir=host.paths.generations))
    try:
        for name, data in sorted(whole.items()):
            owner = owners(host).get(name.split("/")[0])
            _make_parents(temporary, Path(name).parent, owner)
            files.create(temporary / name, data, 0o400, owner, durable=False)
        with files.explained(target):
            temporary.chmod(0o711)
            files.sync_tree(temporary)
            if target.is_dir():
                target.rename(Path(tempfile.mkdtemp(prefix=".stage-", dir=host.paths.generations)) / "damaged")
            temporary.rename(target)
            files.sync_directory(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return target


def _make_parents(base: Path, relative: Path, owner: tuple[int, int] | None) -> None:
    for parent in [*reversed(relative.parents), relative]:
        if parent != Path():
            mode, given = (0o750, (0, owner[1])) if owner else (0o700, None)
            files.make_directory(base / parent, mode, given, durable=False)


def current_name(host: Host) -> str | None:
    """The name of the generation that serves, or None."""
    try:
        return host.paths.current.readlink().name
    except OSError:
        return None


def proven_name(host: Host) -> str | None:
    """The name of the generation that was proven last, or None."""
    try:
        return host.paths.proven.readlink().name
    except OSError:
        return None


def mark_proven(host: Host, name: str) -> None:
    """Remember that generation `name` was proven to serve."""
    files.flip(host.paths.proven, f"generations/{name}")


def load(host: Host, name: str | None) -> Generation | None:
    """The generation `name` as it was staged; None if there is none, or it is damaged."""
    if name is None:
        return None
    directory = host.paths.generations / name
    try:
        manifest = records.load(directory / MANIFEST, SHAPE)
        paths = (path for path in directory.rglob("*") if path.is_file())
        names = {str(path.relative_to(directory)) for path in paths} - {MANIFEST, *EXTRA}
        left = {name: _bytes(directory / name) for name in names}
        old = OLD_SLOT in manifest
        whole = old or _name(manifest, left) == name
        found = []
        for kind in kinds.ALL:
            entry = manifest["parts"].get(kind.NAME, ABSENT)
            data = {path: left.pop(path) for path in entry["files"]}
            found.append(kind.restored(data, tuple(entry["sources"]), entry["facts"]))
        slot = manifest[OLD_SLOT if old else "registry_slot"]
    except (OSError, AttributeError, LookupError, TypeError, ValueError, SecregError):
        return None
    return Generation(Parts(*found), slot, left, name, manifest) if whole else None


def _pieces(files: Mapping[str, bytes]) -> Iterator[bytes]:
    """What a digest of `files` is one of: their paths, sizes and bytes."""
    for path, data in sorted(files.items()):
        yield f"{path}\0{len(data)}\0".encode() + data


def _bytes(path: Path) -> bytes:
    data = reading.read(path, reading.RECORD)
    if data is None:
        raise SecregError(f"{path} does not exist", "have it made anew: secure-registry reload")
    return data


SHAPE: dict[Any, records.Shape] = {
    "parts": {str: {"files": [str], "facts": dict, "sources": [str]}},
    "registry_slot": str,
    OLD_SLOT: str,
}


ABSENT: dict[str, Any] = {"files": [], "facts": {}, "sources": []}
"""What a manifest of a version before a part says of it."""

EXTRA = (f"front/{GENERATION}",)
"""Files that are made from a digest of the generation, and so are not part of it."""


def flip(host: Host, name: str | None) -> None:
    """Make `name` the current generation, atomically; None: none is."""
    if name is None:
        host.paths.current.unlink(missing_ok=True)
        return
    if not (host.paths.generations / name / MANIFEST).is_file():
        raise SecregError(f"generation {name} is not complete", "run: secure-registry reload")
    files.flip(host.paths.current, f"generations/{name}")


def prune(host: Host) -> None:
    """Remove what crashes left, and all but the newest generations."""
    if not host.paths.generations.is_dir():
        return
    keep = (current_name(host), proven_name(host))
    whole = []
    for entry in host.paths.generations.iterdir():
        if entry.name.startswith(".stage-"):
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name not in keep:
            whole.append(entry)
    whole.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
    for entry in whole[KEPT - 1 :]:
        shutil.rmtree(entry, ignore_errors=True)
