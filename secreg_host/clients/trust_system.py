"""The trust store of the whole system, the ways of Debian and of Fedora."""

from __future__ import annotations

from pathlib import Path

from secreg_host.base import process, reading
from secreg_host.base.errors import Note, Problem, SecregError
from secreg_host.base.paths import Paths
from secreg_host.base.proxies import Proxies
from secreg_host.clients.rules import Rules
from secreg_host.clients.served import Served
from secreg_host.pki.handshake import Rule

NAME = "system"
FILE = "secure-registry.crt"
SECONDS = 120.0


def anchors(paths: Paths) -> tuple[tuple[Path, tuple[str, ...]], ...]:
    """Directories of certificates that the whole system trusts, each with the command that takes them over."""
    return (
        (paths.root / "etc/pki/ca-trust/source/anchors", ("update-ca-trust", "extract")),
        (paths.root / "usr/local/share/ca-certificates", ("update-ca-certificates",)),
    )


def found(paths: Paths) -> bool:
    """Whether a tool that keeps such a store is on this host."""
    return any(process.find_program(command[0]) for _, command in anchors(paths))


def used(paths: Paths) -> bool:
    """Whether it has been told to trust us."""
    return any((directory / FILE).exists() for directory, _ in anchors(paths))


def wants(paths: Paths, served: Served, *, insecure: bool) -> dict[Path, bytes]:
    """The CA certificate as an anchor, where this system's tool looks for it."""
    if served.ca is None or insecure:
        return {}
    for directory, command in anchors(paths):
        if process.find_program(command[0]):
            return {directory / FILE: served.ca}
    return {}


def after(paths: Paths) -> None:
    """Let the system take its anchors over. Raises SecregError."""
    for directory, command in anchors(paths):
        if process.find_program(command[0]):
            if command[0] == "update-ca-certificates" and not reading.is_there(directory / FILE):
                command = (*command, "--fresh")  # else the link to what was removed stays in /etc/ssl/certs
            done = process.run(process.outside(command, SECONDS), SECONDS)
            if done.returncode != 0:
                said = f"{' '.join(command)} failed: {done.stderr.strip()[-200:]}"
                raise SecregError(said, f"run it by hand, to see why: {' '.join(command)}")
            return


def notes(paths: Paths, served: Served) -> tuple[Problem, ...]:
    """What the administrator should know once that is done."""
    hint = "programs that run read it when they start; Docker: systemctl restart docker, when it suits"
    return (Note(NAME, "the system trusts the registry's CA for its names", hint),)


def rules(paths: Paths, proxies: Proxies) -> Rules:
    """What goes by the system's store: curl, oras, crane, cosign, helm ..."""
    return lambda endpoint, _: Rule(proxy=proxies.towards(endpoint.host, endpoint.port))
