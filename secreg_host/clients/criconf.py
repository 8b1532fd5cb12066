"""config.toml of containerd, as far as it says how Kubernetes' plugin (CRI) finds registries. Pure but for looking.

Source: containerd-config.toml(5); containerd, docs/cri/registry.md; ValidatePluginConfig of its CRI plugin, which does
not start where `mirrors`, or `tls` in `configs`, stand beside `config_path`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secreg_host.base import patterns, reading, records, utf8
from secreg_host.base.errors import BadInput, bad_input

PLUGINS = {1: "cri", 2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.images"}
"""The plugin that has the table `registry`, by the version of the file."""

NEWEST, DEPTH = 2, 8
"""The version of a file that all containerds since 1.3 take; how deep files may import files."""

TLS: dict[Any, records.Shape] = {"ca_file": str, "insecure_skip_verify": bool}
REGISTRY: dict[Any, records.Shape] = {"config_path": str, "mirrors": {str: object}, "configs": {str: {"tls": TLS}}}
SHAPE: dict[Any, records.Shape] = {
    "version": int,
    "imports": [str],
    "disabled_plugins": [str],
    "plugins": {str: {"registry": REGISTRY}},
}


@dataclass(frozen=True)
class Cri:
    """What config.toml and the files that it imports say. version: that of config.toml, 0 without one; config_path: the
    directories with hosts.toml, and where they are named; older: where mirrors or tls of registries stand, if they do;
    trusted: the registries, as in images, of which tls says whom to trust; off: whether the plugin is disabled."""

    version: int = 0
    config_path: tuple[str, ...] = ()
    named: str = ""
    older: str = ""
    trusted: frozenset[str] = field(default_factory=frozenset)
    off: bool = False

    @property
    def table(self) -> str:
        """The name of the table in which registries stand."""
        plugin = PLUGINS.get(self.version or NEWEST, PLUGINS[NEWEST])
        return f'plugins."{plugin}".registry'


def read(path: Path) -> Cri:
    """What stands in the config.toml at `path`; nothing where there is none. Raises BadInput for a file of those that
    containerd can't read."""
    cri = Cri()
    for where, found in _files(path, 0):
        version = found.get("version", 1)
        plugin = PLUGINS.get(version, PLUGINS[NEWEST])
        off = cri.off or bool({"cri", plugin} & set(found.get("disabled_plugins", ())))
        registry = found.get("plugins", {}).get(plugin, {}).get("registry", {})
        tls = {name for name, config in registry.get("configs", {}).items() if config.get("tls")}
        given = tuple(one for one in registry.get("config_path", "").split(":") if one)
        cri = Cri(
            cri.version or version,
            given or cri.config_path,
            where if given else cri.named,
            where if registry.get("mirrors") or tls else cri.older,
            cri.trusted | tls,
            off,
        )
    return cri


def _files(path: Path, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The file at `path`, then those that it imports, which count more."""
    data = reading.read(path, reading.JSON)
    if data is None:
        return
    found = parsed(data, str(path))
    yield str(path), found
    for name in found.get("imports", ()) if depth < DEPTH else ():
        for imported in sorted(patterns.expand(str(path.parent / name))):
            yield from _files(Path(imported), depth + 1)


def parsed(data: bytes, where: str) -> dict[str, Any]:
    """What `data`, the bytes of the file `where`, says, of the shape that is read of it. Raises BadInput."""
    try:
        found = tomllib.loads(utf8.text(data, where))
    except (ValueError, RecursionError) as error:
        at = re.search(r"\(at [^()]*\)$", str(error))  # the rest may quote
        said = f"can't be read as TOML{f' {at[0]}' if at else ''}"
        hint = "correct that; what containerd makes of it: containerd config dump"
        raise bad_input(where, said, hint) from error
    if not records.fits(found, SHAPE):
        said = "is not written as containerd takes it, or by a program that knows more"
        raise bad_input(where, said, "see what containerd makes of it: containerd config dump")
    return found


def of(path: Path) -> Cri:
    """`read`, for who does not tell: nothing where that can't be read."""
    try:
        return read(path)
    except BadInput:
        return Cri()
