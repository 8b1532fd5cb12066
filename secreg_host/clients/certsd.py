"""certs.d of Docker, and of Podman and its relatives: a directory for each spelling of a registry, in which `.crt` are
CAs, and `.cert` with `.key` certificates of the client's own.

Source: docs.docker.com, "Verify repository client with certificates"; containers-certs.d(5).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from secreg_host.base import files, quoting
from secreg_host.base.errors import Problem
from secreg_host.clients.served import Served


def wants(below: Path, served: Served) -> dict[Path, bytes]:
    """The CA as ca.crt for each spelling of what is `served`, in the certs.d `below`."""
    return {directory / "ca.crt": served.ca for directory in directories(below, served) if served.ca is not None}


def directories(below: Path, served: Served) -> tuple[Path, ...]:
    """Where clients look for what is `served`, in the certs.d `below`."""
    return tuple(below / quoting.component(word) for word in served.spellings)


def cas(directory: Path) -> tuple[bytes, ...]:
    """The CA certificates in `directory`."""
    found = map(files.read_or_none, sorted(directory.glob("*.crt")))
    return tuple(data for data in found if data)


def faults(directories: Iterable[Path]) -> tuple[Problem, ...]:
    """What of these `directories` keeps Docker and Podman from using any of it: half a pair of the client's own."""
    found = []
    for directory in directories:
        names = {path.name for path in (*directory.glob("*.cert"), *directory.glob("*.key"))}
        for path in (directory / name for name in sorted(names)):
            certificate = path.suffix == ".cert"
            if path.with_suffix(".key" if certificate else ".cert").name not in names:
                what = f"is a client's own {'certificate' if certificate else 'key'} without its other half"
                hint = f"if it is a CA's, it must end in .crt: mv {path} {path.with_suffix('.crt')}"
                other = f"put {path.stem}.cert beside it, or remove it"
                found.append(Problem(str(path), f"{what}; no client goes there", hint if certificate else other))
    return tuple(found)


def refused(directory: Path) -> str:
    """Why nobody goes where `directory` is looked at; "": nothing in it is in the way."""
    return "; ".join(f"{problem.where} {problem.what}" for problem in faults([directory]))
