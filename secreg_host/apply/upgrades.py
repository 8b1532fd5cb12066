"""nginx or the registry replaced on disk under our feet: which processes are outdated, and may they be renewed?

A package puts a new file where the program was; what runs goes on with the old one, and with its holes. The watchdog
notices (the programs are among what it compares), and apply renews what it finds outdated.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence

from secreg_host.apply import rehearsal
from secreg_host.apply.report import Finding, Report, findings
from secreg_host.base.errors import Problem, SecregError
from secreg_host.generation.assemble import NO_SLOT
from secreg_host.generation.generations import Generation
from secreg_host.host import host as hosts
from secreg_host.host.host import Host
from secreg_host.services.services import Services
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.settings import Settings

NGINX = ("nginx", "auth")
KEY = "upgrade"
PATIENCE = 10.0
"""Seconds in which a new program may not start: its libraries come a little later in the same upgrade."""


def programs(host: Host, settings: Settings) -> tuple[str, ...]:
    """The programs that run, as files to watch."""
    found = []
    given = ((hosts.nginx, settings.nginx_binary), (hosts.registry, settings.registry_binary))
    for find, program in given if host.is_system else ():
        with contextlib.suppress(SecregError):
            found.append(str(find(program)))
    return tuple(found)


def outdated(services: Services, current: Generation | None, *, renew: bool = False) -> tuple[str, ...]:
    """The processes of `current`, which serves, whose program was replaced since they were started; renew: its registry
    is one in any case."""
    if current is None:
        return ()
    registry = () if current.slot == NO_SLOT else (f"registry@{current.slot}",)
    return tuple(name for name in (*NGINX, *registry) if services.outdated(name) or (renew and name in registry))


def nginx_problems(host: Host, generation: Generation) -> tuple[Problem, ...]:
    """Why nginx as it is on disk now can't serve `generation`, which is served by the one before."""
    return rehearsal.check(host, generation, host.paths.generations / generation.name)


def waiting(held: Mapping[str, object], before: Report) -> dict[str, float]:
    """Since when a new program is waited for, for the next report."""
    return {KEY: before.waiting.get(KEY, time.time())} if held else {}


def all_held(found: Mapping[str, Sequence[Problem]], before: Report) -> tuple[Finding, ...]:
    """`held` of each part in `found`."""
    return tuple(item for part, problems in found.items() for item in held(part, problems, before))


def held(part: str, problems: Sequence[Problem], before: Report) -> tuple[Finding, ...]:
    """Findings on a program that was not renewed: waited for at first (the watchdog tries again), then rejected."""
    program = "nginx" if part == NginxPart.NAME else "the registry"
    hint = f"{program} goes on as it was started; mend the package, then: secure-registry reload"
    waited = time.time() - before.waiting.get(KEY, time.time())
    told = [Problem(item.where, f"{program} was upgraded, but: {item.what}", hint) for item in problems]
    return findings("waiting" if waited < PATIENCE else "rejected", part, told)
