"""The rendered units of a host: templates/units/*.j2 -> /etc/systemd/system/secure-registry-*.service."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from secreg_host import files, memory, processes, templating, views
from secreg_host import parts as kinds
from secreg_host.errors import SecregError
from secreg_host.host import Host
from secreg_host.parts import Part

MAIN = "secure-registry.service"


def unit_of(name: str) -> str:
    """The unit of process `name` (processes.py)."""
    return f"secure-registry-{name}.service"


def render(host: Host, parts: Mapping[str, Part]) -> dict[Path, bytes]:
    """Unit files by path, for the settings and the storage directory of `parts`. Pure but for finding programs."""
    settings = kinds.settings_of(parts[kinds.SETTINGS])
    storage = parts[kinds.REGISTRY].facts["root"]
    wanted = {"nginx": partial(processes.front, host, settings), "auth": partial(processes.auth, host, settings)}
    if settings.own_registry:
        wanted["registry@"] = partial(processes.registry, host, settings, "%i")
    found = []
    for name, make in wanted.items():
        with contextlib.suppress(SecregError):  # its program is away, which was told; its unit stays as it is
            found.append((name, make()))
    rendered = {}
    if settings.own_registry and storage:
        rendered[host.paths.units / unit_of("images@")] = templating.render(
            host.paths.templates,
            "units/images@.service.j2",
            unit=unit_of("images@"),
            paths=host.paths,
            storage=storage,
            mounting=[_words(argv) for argv in views.mounting(host.paths, storage, "%i")],
            unmounting=_words(views.unmounting(host.paths, "%i")),
            tidying=_words(views.tidying(host.paths, "%i")),
        )
    return rendered | {
        host.paths.units / unit_of(name): templating.render(
            host.paths.templates,
            f"units/{name}.service.j2",
            unit=unit_of(name),
            paths=host.paths,
            process=one,
            exec_start=_words(one.argv),
            storage=storage,
            drain_seconds=processes.DRAIN_SECONDS,
            memory=host.paths.front_run / memory.RUN_DIRECTORY,
        )
        for name, one in found
    }


def _words(argv: Iterable[str]) -> str:
    return shlex.join(argv).replace("'", '"')


def write(host: Host, units: Mapping[Path, bytes]) -> bool:
    """Write the units that differ from what stands there; whether systemd must read them again."""
    changed = False
    for path, data in units.items():
        if files.read_or_none(path) != data:
            files.write(path, data, files.PUBLIC)
            changed = True
    return changed


def remove(host: Host) -> tuple[Path, ...]:
    """Remove every unit that `write` ever wrote; returns which."""
    found = tuple(sorted(host.paths.units.glob("secure-registry-*.service")))
    for path in found:
        if not path.is_symlink():
            path.unlink()
    return found
