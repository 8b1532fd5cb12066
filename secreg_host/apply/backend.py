"""The registry behind the front: does it answer? Ours, or one that runs elsewhere (REGISTRY_HOST)."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from secreg_host.apply import probe
from secreg_host.base import names
from secreg_host.base.errors import Problem
from secreg_host.formats.listening import Listen
from secreg_host.generation.assemble import NO_SLOT
from secreg_host.generation.generations import Generation
from secreg_host.host import processes
from secreg_host.host.host import Host
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.settings import Settings

HINT = "start it, or correct REGISTRY_HOST and REGISTRY_PORT"
OURS = (
    "users and the front serve; it is tried again by itself. What it says: journalctl -u 'secure-registry-registry@*'"
)


def wrong(host: Host, generation: Generation) -> str:
    """Why the registry of `generation` does not answer; "": it does."""
    if generation.slot == NO_SLOT:
        return probe.registry_wrong(_elsewhere(generation.settings))
    path = processes.socket_of(host, generation.slot)
    return probe.registry_wrong(lambda: probe.connect_unix(path)(Listen("", 0, tls=False)))


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


def _away(settings: Settings, conf: Path, said: str) -> Problem:
    place = names.place(settings.registry_host, settings.registry_port)
    return Problem(str(conf), f"no registry answers at {place} (REGISTRY_HOST, REGISTRY_PORT): {said}", HINT)


def _elsewhere(settings: Settings) -> Callable[[], socket.socket]:
    place = (settings.registry_host, settings.registry_port)
    return lambda: socket.create_connection(place, probe.TIMEOUT)
