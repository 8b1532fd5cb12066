"""NGINX_BINARY and REGISTRY_BINARY: each stands and falls alone, and so a generation remembers the programs that it was
proven with. One that can't be used is the fault of its line in secure-registry.conf, and of nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from secreg_host.base import distant, process
from secreg_host.base.errors import Later, Problem, SecregError
from secreg_host.base.process import find_program
from secreg_host.host import host as hosts
from secreg_host.host import registryprogram
from secreg_host.host.host import Host
from secreg_host.wanted import settings as settings_module
from secreg_host.wanted.settings import Settings

NGINX, REGISTRY = "NGINX_BINARY", "REGISTRY_BINARY"
FIELDS = {NGINX: "nginx_binary", REGISTRY: "registry_binary"}
"""The settings that name programs, by the fields that hold them."""

HINT = "correct the path, or leave the setting out: it is looked for in PATH"
GOES_ON = "name another program, or leave the setting out; until then the one that served before goes on"


def given(settings: Settings, name: str) -> str:
    """The program that setting `name` names; "" where it is found in PATH."""
    return str(getattr(settings, FIELDS[name]))


def taking(settings: Settings, other: Settings, names: Iterable[str]) -> Settings:
    """`settings` with the programs `names` of `other`."""
    programs: dict[str, Any] = {FIELDS[name]: given(other, name) for name in names}
    return replace(settings, **programs)


def differs(settings: Settings, other: Settings | None, name: str) -> bool:
    """Whether `settings` name another program than `other` do; without others, whether they name one."""
    return given(settings, name) != (given(other, name) if other is not None else "")


def unusable(
    conf: Path, settings: Settings, known: Settings | None, refuses: Callable[[Sequence[str]], Problem | None]
) -> dict[str, Problem]:
    """By setting: programs that `settings`, of the file `conf`, name and that can't be run at all.

    known: settings that serve; refuses: why a program can't be run where nginx is (services.py), of which another one
    is asked for its version there. Another registry is tried in a slot, which tells more. One that is missing is
    tried again, for where it is to be is not watched; not one that can't be run, which may take its time each time.
    """
    found: dict[str, Problem] = {}
    for name in (NGINX, REGISTRY) if settings.own_registry else (NGINX,):
        if not (path := given(settings, name)):
            continue
        where = settings_module.place_of(conf, name)
        if not find_program(path):
            found[name] = Later(where, f"{name}: {_missing(path)}: {path}", HINT)
        elif name == NGINX and differs(settings, known, name) and (problem := refuses([path, "-v"])):
            found[name] = Problem(where, f"{name}: {problem.what}", problem.hint or HINT)
    return found


def strangers(host: Host, settings: Settings, known: Settings | None) -> dict[str, Problem]:
    """By setting: programs of `settings`, others than in `known`, which serve, that call themselves something else."""
    found = {}
    if settings.nginx_binary and differs(settings, known, NGINX) and not _is_nginx(host, settings.nginx_binary):
        found[NGINX] = f"{settings.nginx_binary} is not nginx: with -v it does not say so"
    registry = settings.registry_binary if settings.own_registry and differs(settings, known, REGISTRY) else ""
    if registry and not registryprogram.version(Path(registry), host.accounts.registry):
        found[REGISTRY] = f"{registry} is not distribution's registry: it says no version"
    conf = host.paths.conf
    return {
        name: Problem(settings_module.place_of(conf, name), f"{name}: {said}", HINT) for name, said in found.items()
    }


def _is_nginx(host: Host, path: str) -> bool:
    with contextlib.suppress(SecregError):
        return "nginx" in process.run(process.as_account([path, "-v"], host.accounts.front), 5).stderr
    return True  # not to be told


def _missing(path: str) -> str:
    """Why `path` is no program."""

    def looked_at() -> str:
        there = "is a directory" if Path(path).is_dir() else "is not executable"
        return there if Path(path).exists() else "program not found"

    try:
        return distant.ask(path, looked_at)
    except SecregError as error:
        return error.problems[0].what


def blamed(conf: Path, name: str, settings: Settings, problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """`problems` of the program that `name` names in `settings`, of file `conf`, as those of that line."""
    path = given(settings, name)
    said = f"{name}={path}" if path else f"without {name}"
    where = settings_module.place_of(conf, name)
    hints = [problem.hint if problem.where == where else GOES_ON for problem in problems]
    told = zip(problems, hints, strict=True)
    return tuple(replace(one, where=where, what=f"{said}: {one.what}", hint=hint) for one, hint in told)


def where(conf: Path, name: str, settings: Settings) -> str:
    """The line that names the program of setting `name`; the program itself, where it was found in PATH."""
    if given(settings, name):
        return settings_module.place_of(conf, name)
    return str(hosts.nginx(settings.nginx_binary) if name == NGINX else hosts.registry(settings.registry_binary))
