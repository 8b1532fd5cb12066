"""Reading docker-registry.yml: could distribution's registry start with it, and where are the images?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from secreg_host.errors import BadInput, Problem

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
NOT_DRIVERS = {"cache", "delete", "redirect", "maintenance", "tag"}
"""Keys of `storage` that are no storage drivers (distribution, docs/configuration: storage)."""

DEFAULT_ROOT = "/var/lib/registry"
"""Where the filesystem driver stores without `rootdirectory`."""


@dataclass(frozen=True)
class RegistryConf:
    """What we need to know of the registry's configuration.

    root: directory of images, None when they are not on a file system; auth: whether the registry asks for
    credentials of its own.
    """

    root: Path | None
    auth: bool


def parse(data: bytes, where: str) -> RegistryConf:
    """The configuration in `data`. Raises BadInput with `file:line` for what is not YAML or of the wrong shape."""
    try:
        document = yaml.load(data, Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        last = max(1, len(data.splitlines()))
        line = min(error.problem_mark.line + 1, last) if error.problem_mark else 1
        raise BadInput([Problem(f"{where}:{line}", f"not YAML: {error.problem}", "mind the indentation")]) from None
    except yaml.YAMLError as error:
        raise BadInput(
            [Problem(where, f"not YAML: {str(error).splitlines()[0]}", "save the file as UTF-8 text")]
        ) from None
    problems: list[Problem] = []
    if not isinstance(document, dict):
        hint = "it begins with: version: 0.1 (secure-registry setup writes a new one when the file is removed)"
        raise BadInput([Problem(where, "the registry's configuration is a mapping; this is not", hint)])
    if str(document.get("version")) != "0.1":
        problems.append(Problem(where, f"version is {document.get('version')!r}", "write: version: 0.1"))
    storage = document.get("storage")
    drivers = [name for name in storage if name not in NOT_DRIVERS] if isinstance(storage, dict) else []
    if isinstance(storage, str):
        drivers = [storage]
    if len(drivers) != 1:
        said = f"storage names {len(drivers)} drivers" if drivers else "storage names no driver"
        problems.append(Problem(where, said, "one is needed, such as filesystem: with rootdirectory:"))
    for section in ("log", "http", "auth", "health", "middleware", "notifications", "proxy"):
        value = document.get(section)
        if value is not None and not isinstance(value, dict):
            problems.append(
                Problem(where, f"{section} must be a mapping, not {type(value).__name__}", "indent its keys")
            )
    root = _root(storage, where, problems) if drivers == ["filesystem"] else None
    if problems:
        raise BadInput(problems)
    return RegistryConf(root, bool(document.get("auth")))


def _root(storage: object, where: str, problems: list[Problem]) -> Path:
    options = storage.get("filesystem") if isinstance(storage, dict) else None
    given = (options or {}).get("rootdirectory", DEFAULT_ROOT) if isinstance(options, dict | None) else options
    if not isinstance(given, str) or not given.startswith("/"):
        what = f"storage.filesystem.rootdirectory is {given!r}"
        problems.append(Problem(where, what, "an absolute path is needed"))
        return Path(DEFAULT_ROOT)
    return Path(given)
