"""Clients that trust the registry follow what serves: the end of an apply."""

from __future__ import annotations

from collections.abc import Callable

from secreg_host.apply.report import Finding
from secreg_host.base import bugs
from secreg_host.base.errors import Later, Problem
from secreg_host.clients import trust
from secreg_host.clients.docker.dockerd import Manager, Patience
from secreg_host.clients.kept import PART
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host


def follow(host: Host, manager: Manager, generation: Generation, meanwhile: Callable[[], None]) -> tuple[Finding, ...]:
    """Let the clients of `host` that trust us follow `generation`, which serves; what goes wrong there is a warning,
    never a failure, and what can't be done without waiting is pending. For whoever holds the lock. manager: systemd, by
    the connection that the apply has; meanwhile: called while a client takes a change over."""
    try:
        problems = trust.Trust(host, generation, manager).follow(Patience(endless=False, meanwhile=meanwhile))
    except BaseException as error:
        problems = bugs.caught(error, host.paths.trust)
    return tuple(map(_finding, problems))


def _finding(problem: Problem) -> Finding:
    kind = "pending" if isinstance(problem, Later) else "warning"
    return Finding(kind, PART, Problem(problem.where, problem.what, problem.hint))  # as it is when it was kept
