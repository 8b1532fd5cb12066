"""NGINX_BINARY and REGISTRY_BINARY: each stands and falls alone, and so a generation remembers the programs that it was
proven with. One that can't be used is the fault of its line in secure-registry.conf, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from secreg_host import host as hosts
from secreg_host import parts as kinds
from secreg_host import settings as settings_module
from secreg_host.errors import Problem
from secreg_host.parts import Part
from secreg_host.process import find_program
from secreg_host.settings import Settings

NGINX, REGISTRY = "NGINX_BINARY", "REGISTRY_BINARY"
FIELDS = {NGINX: "nginx_binary", REGISTRY: "registry_binary"}
"""The settings that name programs, by the fields that hold them."""

HINT = "correct the path, or leave the setting out: it is looked for in PATH"
GOES_ON = "name another program, or leave the setting out; until then the one that served before goes on"


def given(settings: Settings, name: str) -> str:
    """The program that setting `name` names; "" where it is found in PATH."""
    return str(getattr(settings, FIELDS[name]))


def taking(part: Part, other: Part, names: Iterable[str]) -> Part:
    """`part`, settings, with the programs `names` of `other`."""
    return replace(part, facts=part.facts | {FIELDS[name]: other.facts.get(FIELDS[name], "") for name in names})


def differs(part: Part, other: Part | None, name: str) -> bool:
    """Whether the settings `part` name another program than `other` do; without others, whether they name one."""
    before = given(kinds.settings_of(other), name) if other is not None else ""
    return given(kinds.settings_of(part), name) != before


def missing(settings: Settings, conf: Path) -> dict[str, Problem]:
    """By setting: programs that are named in the file `conf`, and are none."""
    found = {}
    for name in (NGINX, REGISTRY) if settings.own_registry else (NGINX,):
        path = given(settings, name)
        if path and not find_program(path):
            what = "is a directory" if Path(path).is_dir() else "program not found"
            found[name] = Problem(settings_module.place_of(conf, name), f"{name}: {what}: {path}", HINT)
    return found


def blamed(conf: Path, name: str, part: Part, problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """`problems` of the program that `name` names in the settings `part`, of file `conf`, as those of that line."""
    path = given(kinds.settings_of(part), name)
    said = f"{name}={path}" if path else f"without {name}"
    where = settings_module.place_of(conf, name)
    return tuple(Problem(where, f"{said}: {problem.what}", GOES_ON) for problem in problems)


def where(conf: Path, name: str, settings: Settings) -> str:
    """The line that names the program of setting `name`; the program itself, where it was found in PATH."""
    if given(settings, name):
        return settings_module.place_of(conf, name)
    return str(hosts.nginx(settings) if name == NGINX else hosts.registry(settings))
