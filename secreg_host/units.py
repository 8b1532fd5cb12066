"""The rendered units of a host: templates/units/*.j2 -> /etc/systemd/system/secure-registry-*.service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from secreg_host import files, processes, quoting, templating
from secreg_host import parts as kinds
from secreg_host.host import Host
from secreg_host.parts import Part

MAIN = "secure-registry.service"

INSTANCE = "\0"
"""Stands for the slot in what is to become a template unit: nothing else that a unit holds can have it."""


def unit_of(name: str) -> str:
    """The unit of process `name` (processes.py)."""
    return f"secure-registry-{name}.service"


def render(host: Host, parts: Mapping[str, Part]) -> dict[Path, bytes]:
    """Unit files by path, for the settings and the storage directory of `parts`. Pure but for finding programs."""
    settings = kinds.settings_of(parts[kinds.SETTINGS])
    storage = parts[kinds.REGISTRY].facts["root"]
    found = [("nginx", processes.front(host, settings)), ("auth", processes.auth(host, settings))]
    if settings.own_registry:
        found.append(("registry@", processes.registry(host, settings, INSTANCE)))
    return {
        host.paths.units / unit_of(name): templating.render(
            host.paths.templates,
            f"units/{name}.service.j2",
            unit=unit_of(name),
            paths=host.paths,
            process=one,
            exec_start=_words(one.argv),
            environment=[_words([f"{name}={value}"]) for name, value in one.environment.items()],
            storage=storage,
            drain_seconds=processes.DRAIN_SECONDS,
        )
        for name, one in found
    }


def _words(argv: Iterable[str]) -> quoting.Quoted:
    return quoting.Quoted(" ".join(quoting.unit_word(word, INSTANCE) for word in argv))


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
