"""Podman, CRI-O, Skopeo and Buildah: certs.d, and a drop-in of registries.conf. Pure but for looking.

Source: containers-certs.d(5), containers-registries.conf.d(5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secreg_host.base import quoting, records
from secreg_host.base.errors import Note, Problem
from secreg_host.base.paths import Paths
from secreg_host.base.process import find_program
from secreg_host.base.proxies import Proxies
from secreg_host.clients import certsd
from secreg_host.clients.rules import Rules, toml
from secreg_host.clients.served import Endpoint, Served
from secreg_host.pki.handshake import Rule

NAME = "podman"
PROGRAMS = ("podman", "skopeo", "buildah", "crio")
REGISTRY: dict[Any, records.Shape] = {"prefix": str, "location": str, "insecure": bool, "blocked": bool}
SHAPE: dict[Any, records.Shape] = {"registry": [REGISTRY], "registries": {str: {"registries": [str]}}}
"""What is read of registries.conf, in its second version and in its first."""


@dataclass(frozen=True)
class Table:
    """What registries.conf says of a registry; where: the file."""

    where: Path
    insecure: bool
    blocked: bool


def found(paths: Paths) -> bool:
    """Whether podman, or another program of its family, is on this host."""
    return any(find_program(name) for name in PROGRAMS)


def wants(paths: Paths, served: Served, *, insecure: bool) -> dict[Path, bytes]:
    """ca.crt for each spelling of an endpoint; or, if `insecure`, a drop-in that turns the check off for them."""
    if insecure:
        words = map(quoting.basic_string, served.spellings)
        tables = [f"[[registry]]\nlocation = {word}\ninsecure = true\n" for word in words]
        text = "# Written by secure-registry: secure-registry trust remove podman\n" + "\n".join(tables)
        return {paths.containers / "registries.conf.d/50-secure-registry.conf": text.encode()}
    return certsd.wants(paths.containers / "certs.d", served)


def notes(paths: Paths, served: Served) -> tuple[Problem, ...]:
    """What keeps them from the registry, as others set it; and that a running CRI-O is to be told of a change."""
    below = paths.containers / "certs.d"
    found = [*blocked(paths, served), *certsd.faults(certsd.directories(below, served))]
    if find_program("crio"):
        found.append(Note("crio", "takes registries.conf.d over when it is reloaded", "systemctl reload crio"))
    return tuple(found)


def rules(paths: Paths, proxies: Proxies) -> Rules:
    """Podman and its relatives: registries.conf and its drop-ins, certs.d of their own or of Docker."""
    known = tables(paths)

    def rule(endpoint: Endpoint, word: str) -> Rule:
        said = table(known, endpoint.host, word)
        closed = f"it is blocked in {said.where}" if said is not None and said.blocked else ""
        places = [paths.containers / "certs.d" / word, paths.docker / "certs.d" / word]
        directory = next((place for place in places if place.is_dir()), places[0])
        through = proxies.towards(endpoint.host, endpoint.port)
        refuses = closed or certsd.refused(directory)
        return Rule(said is not None and said.insecure, certsd.cas(directory), through, refuses)

    return rule


def tables(paths: Paths) -> dict[str, Table]:
    """What registries.conf and its drop-ins say of registries, by prefix: the last that names one counts. Nothing of a
    file that Podman does not take either."""
    drop_ins = sorted((paths.containers / "registries.conf.d").glob("*.conf"))
    found: dict[str, Table] = {}
    for path in (paths.containers / "registries.conf", *drop_ins):
        given = toml(path, SHAPE)
        for one in given.get("registry", ()):
            prefix = str(one.get("prefix") or one.get("location"))
            found[prefix] = Table(path, bool(one.get("insecure")), bool(one.get("blocked")))
        first = given.get("registries", {})  # of the first version
        loose, closed = (set(first.get(kind, {}).get("registries", ())) for kind in ("insecure", "block"))
        found |= {name: Table(path, name in loose, name in closed) for name in loose | closed}
    return found


def table(tables: Mapping[str, Table], host: str, word: str) -> Table | None:
    """Which of `tables` counts for the registry on `host` that clients call `word`. A name without a port is one with
    any (refMatchingPrefix of containers/image)."""
    whole = [prefix for prefix in tables if word == prefix or word.startswith(f"{prefix}:")]
    above = [prefix for prefix in tables if prefix[:2] == "*." and host.endswith(prefix[1:])]
    return tables[max(whole or above, key=len)] if whole or above else None


def blocked(paths: Paths, served: Served) -> tuple[Problem, ...]:
    """That registries.conf keeps Podman from something that is `served`."""
    known = tables(paths)
    ends = [(end, word) for end in served.endpoints for word in end.spellings]
    found = {one.where: word for end, word in reversed(ends) if (one := table(known, end.host, word)) and one.blocked}
    said, hint = "blocks {}: no image comes from there", "take that out of it"
    return tuple(Problem(str(where), said.format(word), hint) for where, word in found.items())
