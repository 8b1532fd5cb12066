"""The registry behind the front: its slot, and does it answer? Ours, or one that runs elsewhere (REGISTRY_HOST)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from pathlib import Path

from secreg_host.apply import asking, probe
from secreg_host.base import names
from secreg_host.base.errors import Later, Problem, SecregError
from secreg_host.formats.listening import Listen
from secreg_host.generation.assemble import NO_SLOT
from secreg_host.generation.generations import Generation
from secreg_host.host import processes
from secreg_host.host.host import Host
from secreg_host.wanted import settings as settings_module
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.parts.settings import SettingsPart
from secreg_host.wanted.settings import Settings

HINT = "start it, or correct REGISTRY_HOST and REGISTRY_PORT"
OURS = (
    "users and the front serve; it is tried again by itself. What it says: journalctl -u 'secure-registry-registry@*'"
)


def slot_for(parts: Parts, current: Generation | None, busy: Collection[str], *, renew: bool = False) -> str:
    """The slot of the registry for `parts`: the present one while nothing changes for it, else one that is not `busy`.

    renew: its program changed. Raises SecregError when every other slot still finishes what it had begun.
    """
    settings, registry = parts[SettingsPart].settings, parts[RegistryPart]
    if not settings.own_registry:
        return NO_SLOT
    if current is not None and current.slot != NO_SLOT:
        same = registry.runs_as(current.parts[RegistryPart])
        if same and not renew and current.settings.registry_binary == settings.registry_binary:
            return current.slot
    taken = current.slot if current is not None else NO_SLOT
    for slot in processes.SLOTS:
        if slot != taken and slot not in busy:
            return slot
    raise SecregError(
        "every slot of the registry still finishes uploads that began before earlier changes",
        "wait for them, or end them: systemctl stop 'secure-registry-registry@*'",
    )


def wrong(host: Host, generation: Generation) -> str:
    """Why the registry of `generation` does not answer; "": it does."""
    if generation.slot == NO_SLOT:
        return probe.registry_wrong(_elsewhere(generation.settings))
    path = processes.socket_of(host, generation.slot)
    return probe.registry_wrong(lambda: asking.connect_unix(path)(Listen("", 0, tls=False)))


def same(new: Generation, current: Generation | None) -> bool:
    """Whether the registry of `new` is the one that serves for `current`."""
    if current is None or new.slot != current.slot:
        return False
    one, other = new.settings, current.settings
    return (one.registry_host, one.registry_port) == (other.registry_host, other.registry_port)


def problem(host: Host, generation: Generation, said: str) -> Problem:
    """That the registry of `generation` does not answer, as it `said`."""
    settings = generation.settings
    if generation.slot == NO_SLOT:
        return _away(settings, host.paths.conf, said)
    where = generation.parts[RegistryPart].place
    return Problem(where, f"the registry does not answer: {said}", OURS)


def problems(settings: Settings, known: Settings | None, conf: Path) -> tuple[Problem, ...]:
    """Why a registry that runs elsewhere can't be used as `settings` say; one that served before (`known`) may be away
    for a while."""
    if settings.own_registry:
        return ()
    place = (settings.registry_host, settings.registry_port)
    if known is not None and place == (known.registry_host, known.registry_port):
        return ()
    said = probe.registry_wrong(_elsewhere(settings))
    return (_away(settings, conf, said),) if said else ()


def _away(settings: Settings, conf: Path, said: str) -> Later:
    place = names.place(settings.registry_host, settings.registry_port)
    where = settings_module.place_of(conf, "REGISTRY_HOST")
    return Later(where, f"no registry answers at {place} (REGISTRY_HOST, REGISTRY_PORT): {said}", HINT)


def _elsewhere(settings: Settings) -> Callable[[], socket.socket]:
    place = (settings.registry_host, settings.registry_port)
    return lambda: socket.create_connection(place, asking.TIMEOUT)
