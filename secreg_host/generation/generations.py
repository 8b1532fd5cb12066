"""Generations: immutable directories of proven configuration, and the link `current` to the one that serves.

The name of a generation is the digest of its content: the same bytes are the same generation. Nothing here knows
nginx or systemd.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secreg_host.base import files, reading, records
from secreg_host.base.errors import SecregError
from secreg_host.formats.listening import Listen
from secreg_host.host.host import Host
from secreg_host.wanted import parts
from secreg_host.wanted.parts import Part

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
    """A generation: its parts, the registry's slot, and the files rendered for it; label: its name, if a version of
    this program made it that named them otherwise."""

    parts: dict[str, Part]
    slot: str
    rendered: dict[str, bytes]
    label: str = ""

    @property
    def files(self) -> dict[str, bytes]:
        """Every file: path below the generation's directory -> bytes."""
        found = dict(self.rendered)
        for part in self.parts.values():
            found |= part.files
        return found

    @property
    def manifest(self) -> bytes:
        """What is kept of it besides its files. Its version is no part of its name."""
        whole = self._listing | {"version": records.VERSION}
        return json.dumps(whole, indent=1, sort_keys=True).encode() + b"\n"

    @property
    def _listing(self) -> dict[str, Any]:
        listing = {
            name: {"files": sorted(part.files), "facts": part.facts, "sources": part.sources}
            for name, part in self.parts.items()
        }
        return {"parts": listing, "registry_slot": self.slot}

    @property
    def name(self) -> str:
        if self.label:
            return self.label
        summary = hashlib.sha256()
        manifest = json.dumps(self._listing, indent=1, sort_keys=True).encode() + b"\n"
        for path, data in sorted((self.files | {MANIFEST: manifest}).items()):
            summary.update(f"{path}\0{len(data)}\0".encode() + data)
        return summary.hexdigest()[:IDENTITY]

    @property
    def front(self) -> str:
        """The digest of what its nginx reads: equal for two generations between which nginx need not reload."""
        summary = hashlib.sha256()
        for path, data in sorted(self.files.items()):
            if path.startswith("front/"):
                summary.update(f"{path}\0{len(data)}\0".encode() + data)
        summary.update(json.dumps(self.parts[parts.NGINX].facts["outside"], sort_keys=True).encode())
        return summary.hexdigest()[:IDENTITY]

    @property
    def listens(self) -> tuple[Listen, ...]:
        """Where its nginx.conf listens."""
        return parts.listens_of(self.parts[parts.NGINX])

    @property
    def taken(self) -> tuple[Listen, ...]:
        """Every address that its nginx takes: that of the registry's metrics, too."""
        debug = parts.debug_of(self.parts[parts.REGISTRY])
        return (*self.listens, *([debug] if debug else []))

    def differs(self, other: Generation | None, prefix: str) -> bool:
        """Whether the files below `prefix` (such as `front/`) are others than in `other`."""
        if other is None:
            return True
        mine, its = self.files, other.files
        return {path: mine[path] for path in mine if path.startswith(prefix)} != {
            path: its[path] for path in its if path.startswith(prefix)
        }


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
    files.make_directory(host.paths.generations, 0o711)
    with files.explained(host.paths.generations):
        temporary = Path(tempfile.mkdtemp(prefix=".stage-", dir=host.paths.generations))
    try:
        for name, data in sorted({**generation.files, **extra, MANIFEST: generation.manifest}.items()):
            owner = owners(host).get(name.split("/")[0])
            _make_parents(temporary, Path(name).parent, owner)
            files.create(temporary / name, data, 0o400, owner)
        with files.explained(target):
            temporary.chmod(0o711)
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
            files.make_directory(base / parent, *((0o750, (0, owner[1])) if owner else (0o700, None)))


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
    if proven_name(host) != name:
        files.flip(host.paths.proven, f"generations/{name}")


def load(host: Host, name: str | None) -> Generation | None:
    """The generation `name` as it was staged; None if there is none, or it is damaged."""
    if name is None:
        return None
    directory = host.paths.generations / name
    try:
        manifest = records.load(directory / MANIFEST, SHAPE)
        found = {}
        for name_of_part, entry in manifest["parts"].items():
            data = {path: _bytes(directory / path) for path in entry["files"]}
            if name_of_part in parts.ALL:
                found[name_of_part] = Part(data, entry["facts"], tuple(entry["sources"]))
        taken = {path for part in found.values() for path in part.files} | {MANIFEST, *EXTRA}
        paths = {str(path.relative_to(directory)): path for path in directory.rglob("*") if path.is_file()}
        own = {path: _bytes(paths[path]) for path in set(paths) - taken}
        if OLD_SLOT in manifest:
            generation = Generation(found, manifest[OLD_SLOT], own, label=name)
        else:
            generation = Generation(found, manifest["registry_slot"], own)
    except (OSError, KeyError, SecregError):
        return None
    return generation if generation.name == name and set(found) == set(parts.ALL) else None


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


EXTRA = ("front/generation.conf",)
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
