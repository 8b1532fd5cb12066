"""What is to blame when a registry does not start or can't store: its program, docker-registry.yml, and which line; and
when a login is not answered."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from secreg_host.base.errors import Later, Problem
from secreg_host.formats import lastwords, registryconf
from secreg_host.generation.generations import Generation
from secreg_host.host import host as hosts
from secreg_host.host import registryprogram
from secreg_host.host.host import Host
from secreg_host.services import notstarted, sockets
from secreg_host.wanted import programs
from secreg_host.wanted.parts.registry import RegistryPart

TELLING = re.compile(
    rf"level=(fatal|panic)|\bpanic:|\bfatal\b|\berror\b|\[emerg\]|{registryprogram.LINE.pattern}", re.IGNORECASE
)
LOGFMT_DETAIL, LOGFMT_MESSAGE = (re.compile(rf'{key}="((?:[^"\\]|\\.)*)"') for key in (r"\berr\.detail", r"\bmsg"))

PASSWORD_CHECK = "secure-registry-auth"
HANGS = "see what it does: systemctl status secure-registry-auth; if it hangs: systemctl restart secure-registry-auth"
REOPEN = f"systemctl restart {sockets.QUEUE}"

AWAY = re.compile(
    r"connection (refused|reset)|no such host|i/o timeout|no route to host|network is unreachable|deadline exceeded"
    r"|temporary failure in name resolution|server misbehaving",
    re.IGNORECASE,
)
"""What a registry says (of Go's net) when what it needs, such as S3 or Redis, is away: it is tried again."""


def of_login(late: str, unheard: str) -> Problem:
    """Why a login is `late`; unheard: "", or that nobody listens for the queue, which would keep a flood apart."""
    if unheard:
        return Problem(sockets.QUEUE, f"{late}: {unheard}", REOPEN)
    return Problem(PASSWORD_CHECK, late, HANGS)


def reason(said: list[str]) -> str:
    """The line that tells why, among the last ones of a process."""
    telling = [line for line in said if TELLING.search(line)] or said[-1:] or ["it said nothing"]
    message = LOGFMT_DETAIL.search(telling[-1]) or LOGFMT_MESSAGE.search(telling[-1])
    return message[1].replace('\\"', '"') if message else telling[-1]


def of_start(host: Host, generation: Generation, said: list[str]) -> Problem:
    """Why the registry of `generation` does not start, of which `said` are the last words."""
    settings = generation.settings
    yml, data = _yml(generation)
    named = programs.where(host.paths.conf, programs.REGISTRY, settings)
    if wrong := notstarted.explain(said):
        where = named if wrong.program else str(yml)
        return Problem(where, f"the registry does not start: {wrong.what}", wrong.hint)
    program, told = hosts.registry(settings.registry_binary), reason(said)
    if not (version := registryprogram.version(program, host.accounts.registry)):
        shown = lastwords.registry(told, data)
        what = f"{program} is not distribution's registry: it says no version, and when it is started: {shown}"
        return Problem(named, what, programs.HINT)
    found = registryprogram.explain(told, yml, data, program, version)
    return Later(found.where, found.what, found.hint) if AWAY.search(told) else found


def of_end(name: str, said: list[str], yml: bytes) -> str:
    """Why process `name`, of which `said` are the last words, ended; yml: what its docker-registry.yml holds."""
    if wrong := notstarted.explain(said):
        return f"{name} does not start: {wrong.what}; {wrong.hint}"
    shown = lastwords.nginx(reason(said)) if name in ("nginx", "auth") else lastwords.registry(reason(said), yml)
    return f"{name} ended: {shown}"


def of_storage(generation: Generation, wrong: str, said: list[str]) -> Problem:
    """What `wrong` means, which the registry of `generation` did when it was to store; `said`: its last words."""
    _, data = _yml(generation)
    root = generation.parts[RegistryPart].root
    what = f"the registry can't use rootdirectory {root}: {wrong}: {lastwords.registry(reason(said), data)}"
    hint = "see that it may write there, and that there is room (ls -la, df); or name another directory"
    return of_registry(generation, registryconf.ROOT, what, hint)


def of_registry(generation: Generation, key: Sequence[str], what: str, hint: str) -> Problem:
    """`what` is wrong with what the keys `key`, one in the other, lead to in docker-registry.yml of `generation`."""
    return Problem(generation.parts[RegistryPart].at(key), what, hint)


def _yml(generation: Generation) -> tuple[Path, bytes]:
    """docker-registry.yml of `generation`: where it stands, and its bytes."""
    part = generation.parts[RegistryPart]
    return Path(part.place), part.yml
