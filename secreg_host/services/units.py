"""The rendered units of a host: templates/units/*.j2 -> /etc/systemd/system/secure-registry-*.service."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from secreg_host.base import beside, files, logs, quoting, reading, templating, utf8
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.paths import MASK
from secreg_host.base.rendered import Rendered
from secreg_host.host import authcache, processes, views
from secreg_host.host.host import Host
from secreg_host.images import imagesplace
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.parts.settings import SettingsPart

MAIN, MANIFESTS = "secure-registry.service", "secure-registry-manifests.socket"
TRIAL = "trial"
"""A process that is none: its unit runs a program to see whether it can be run."""

INSTANCE = "\0"
"""Stands for the slot in what is to become a template unit: nothing else that a unit holds can have it."""


def unit_of(name: str) -> str:
    """The unit of process `name` (processes.py)."""
    return f"secure-registry-{name}.service"


def companions(wanted: Iterable[str]) -> list[str]:
    """Of the units that the main one wants, ours that are no process: they watch, look at what runs, renew in time."""
    names = {unit_of(name) for name in processes.NAMES}
    return [unit for unit in wanted if unit.startswith("secure-registry-") and unit not in names]


def render(host: Host, parts: Parts) -> dict[Path, bytes]:
    """Unit files by path, for the settings and the storage directory of `parts`. Pure but for finding programs."""
    settings = parts[SettingsPart].settings
    registry = parts[RegistryPart]
    storage = registry.storage
    program = settings.nginx_binary
    wanted = {"nginx": partial(processes.front, host, program), "auth": partial(processes.auth, host, program)}
    if settings.own_registry:
        moved = None if storage == registry.root else storage
        wanted["registry@"] = partial(processes.registry, host, INSTANCE, settings.registry_binary, moved)
    rendered = {}
    for name, make in wanted.items():
        with contextlib.suppress(SecregError):  # its program is away, which was told; its unit stays as it is
            rendered[host.paths.units / unit_of(name)] = _service(host, name, make(), registry)
    rendered |= _manifests(host, registry, own=settings.own_registry)
    if settings.own_registry and storage:
        rendered[host.paths.units / unit_of("images@")] = templating.render(
            host.paths.templates,
            "units/images@.service.j2",
            unit=unit_of("images@"),
            paths=host.paths,
            storage=storage,
            places=registry.places,
            mounting=[_words(argv) for argv in views.mounting(host.paths, storage, INSTANCE)],
            unmounting=[_words(argv) for argv in views.unmounting(host.paths, INSTANCE)],
        )
    return rendered


def _manifests(host: Host, registry: RegistryPart, *, own: bool) -> dict[Path, bytes]:
    """The units of the manifest service: where it listens, and what it may write (push/)."""
    storage = registry.storage if own else None
    known = {
        "paths": host.paths,
        "socket": processes.manifests_socket(host),
        "front": host.accounts.front.name,
        "account": host.accounts.registry,
        "own": own,
        "storage": storage,
        "at_home": imagesplace.at_home(storage),
    }
    found = {}
    for unit in (unit_of("manifests"), MANIFESTS):
        template = f"units/{unit.removeprefix('secure-registry-')}.j2"
        found[host.paths.units / unit] = templating.render(host.paths.templates, template, unit=unit, **known)
    return found


def _service(host: Host, name: str, one: processes.Process, registry: RegistryPart) -> bytes:
    """The unit of process `one`, by the template of `name`; `registry` says where images are."""
    storage = registry.storage
    return templating.render(
        host.paths.templates,
        f"units/{name}.service.j2",
        unit=unit_of(name),
        paths=host.paths,
        process=one,
        exec_start=_words(one.argv),
        environment=[_words([f"{name}={value}"]) for name, value in one.environment.items()],
        storage=storage,
        places=registry.places,
        marker=f"{storage}/{registry.store.name}" if storage and registry.store.name else None,
        at_home=name == "registry@" and imagesplace.at_home(storage),
        drain_seconds=processes.DRAIN_SECONDS,
        memory=host.paths.front_run / authcache.RUN_DIRECTORY,
        audit_log=logs.audit(host.paths),
    )


def _words(argv: Iterable[str]) -> quoting.Quoted:
    return quoting.Quoted(" ".join(quoting.unit_word(word, INSTANCE) for word in argv))


def write(host: Host, units: Mapping[Path, bytes]) -> bool:
    """Write the units that differ from what stands there; whether systemd must read them again.

    A link is the administrator's will (systemctl mask, a unit of his own) and stays; one that he edited or put there is
    kept beside (.bak-DATE), for what serves needs ours: changes belong into a drop-in. Raises SecregError.
    """
    rendered = Rendered(host.paths)
    due = {path: data for path, data in units.items() if not path.is_symlink()}
    changed = {path: data for path, data in due.items() if reading.content(path) != data}
    edited = [path for path in changed if not rendered.has(path)]
    with contextlib.suppress(SecregError) if not changed else contextlib.nullcontext():
        rendered.record(due)  # of what stands there already it is no more than a wish
    for path in edited:
        beside.keep(path, datetime.now(UTC))
    for path, data in changed.items():
        files.write(path, data, files.PUBLIC)
    return bool(changed)


def prepare_slot(host: Host, parts: Parts, slot: str) -> bool:
    """Give `slot` units of its own, which fit `parts`, where those of all slots do not: by these, what is proven is
    started again. Whether systemd must read units again. Raises SecregError."""
    changed = False
    for path, data in render(host, parts).items():
        if "@." not in path.name:
            continue
        own = host.paths.trial_units / path.name.replace("@.", f"@{slot}.")
        if path.is_symlink() or reading.content(path) == data:
            changed |= _drop(own)
        elif reading.content(own) != data:
            files.make_directory(own.parent, 0o755)
            files.write(own, data, files.PUBLIC)
            changed = True
    return changed


def drop_slot(host: Host, slot: str) -> bool:
    """Remove the units of `slot` alone, which is to serve: those of all slots fit that. Whether there were any. Another
    slot keeps its own: who is tried there by them must not be started again by those of all."""
    return any([_drop(host.paths.trial_units / unit_of(f"{name}@{slot}")) for name in ("registry", "images")])


def _drop(path: Path) -> bool:
    there = os.path.lexists(path)
    with files.explained(path, "remove"):
        path.unlink(missing_ok=True)
    return there


WALLS_ONLY = re.compile(
    r"Type|Exec\w+|PIDFile|KillMode|Restart\w*|Timeout\w+|RuntimeDirectory\w*|TemporaryFileSystem|StandardOutput"
)
"""Keys of a service that are about what it does, rather than about where."""


def trial(host: Host, argv: Iterable[str], seconds: float) -> bytes:
    """A unit that runs `argv` once, for `seconds` at the most, within the walls of nginx."""
    text = utf8.shown(_service(host, "nginx", processes.front(host), RegistryPart(root=None)))
    walls = [line for line in text.partition("[Service]\n")[2].splitlines() if not WALLS_ONLY.match(line)]
    run = ["[Service]", "Type=oneshot", f"ExecStart=:{_words(argv)}", f"TimeoutStartSec={seconds:.0f}s"]
    return "\n".join([*run, *walls, ""]).encode()


def links(host: Host) -> tuple[Problem, ...]:
    """What stands in the place of our units and is left as it is: links."""
    found = []
    for path in (host.paths.units / unit_of(name) for name in ("nginx", "auth", "manifests", "registry@")):
        if path.is_symlink():
            target = path.readlink()
            masked = target == MASK
            said = "is masked, so it does not start" if masked else f"is a link to {target}, and left as it is"
            hint = (
                f"systemctl unmask {path.name}" if masked else f"remove the link; changes: systemctl edit {path.name}"
            )
            found.append(Problem(str(path), said, f"{hint}; then: secure-registry reload"))
    return tuple(found)


def remove(host: Host) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Remove every unit that is as `write` wrote it: which, and which are not and therefore stay."""
    rendered = Rendered(host.paths)
    there = [path for path in rendered.places if os.path.lexists(path)]
    gone = tuple(path for path in there if rendered.has(path))
    for path in gone:
        files.remove(path)
    rendered.forget([Path(path) for path in rendered.digests])
    return gone, tuple(path for path in there if path not in gone)
