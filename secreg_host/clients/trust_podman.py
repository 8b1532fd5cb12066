"""Podman, CRI-O, Skopeo and Buildah: certs.d, and a drop-in of registries.conf. Pure but for looking.

Source: containers-certs.d(5), containers-registries.conf.d(5).
"""

from __future__ import annotations

from pathlib import Path

from secreg_host.base import quoting
from secreg_host.base.errors import Note, Problem
from secreg_host.base.paths import Paths
from secreg_host.base.process import find_program
from secreg_host.clients.served import Served

NAME = "podman"
PROGRAMS = ("podman", "skopeo", "buildah", "crio")


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
    if served.ca is None:
        return {}
    return {paths.containers / "certs.d" / quoting.component(word) / "ca.crt": served.ca for word in served.spellings}


def notes(paths: Paths) -> tuple[Problem, ...]:
    """A running CRI-O reads its registries when it is told to."""
    if find_program("crio"):
        return (Note("crio", "takes registries.conf.d over when it is reloaded", "systemctl reload crio"),)
    return ()
