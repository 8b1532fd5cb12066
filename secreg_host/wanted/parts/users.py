"""The part of .htpasswd: who may log in. It is in no generation, for it never goes back to an earlier version."""

from __future__ import annotations

from dataclasses import dataclass

from secreg_host.base import bugs, reading
from secreg_host.base.errors import Problem
from secreg_host.base.paths import Paths
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import users
from secreg_host.wanted.parts.part import required

NAME = "users"


@dataclass(frozen=True)
class UsersReading:
    """What reading .htpasswd gave: its good lines, USER:HASH, and what is wrong with the others."""

    htpasswd: bytes
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def read(paths: Paths) -> UsersReading:
    """.htpasswd, as it is now. Unreadable or missing admits nobody, bad lines are dropped and named."""
    where = str(paths.htpasswd)
    try:
        found, problems = users.parse(required(Snapshot(paths), paths.htpasswd, reading.HTPASSWD), where)
    except BaseException as error:
        hint = "nobody can log in; make it: secure-registry htpasswd -c USER"
        told = tuple(Problem(problem.where or where, problem.what, hint) for problem in bugs.caught(error, where))
        return UsersReading(b"", told)
    if not found and not problems:
        problems = (Problem(where, "holds no user", "nobody can log in; add one: secure-registry htpasswd USER"),)
    return UsersReading(users.render(found), problems, (*users.weak(found, where), *users.empty(found, where)))
