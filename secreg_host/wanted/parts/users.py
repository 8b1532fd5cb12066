"""The part of .htpasswd and robots: who may log in. It is in no generation, for it never goes back to an earlier
version.

Each of the two files stands and falls by itself, but that without a .htpasswd that can be read nobody is let in at all:
to take it away is how everybody is kept out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from secreg_host.base import bugs, quoting, reading
from secreg_host.base.errors import Problem
from secreg_host.base.paths import Paths
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import robots, users
from secreg_host.formats.users import User
from secreg_host.wanted import robots as robots_now
from secreg_host.wanted.access import globs
from secreg_host.wanted.parts.part import required
from secreg_host.wanted.robots import NOTHING, Beside, Counting

NAME = "users"


@dataclass(frozen=True)
class UsersReading:
    """What reading .htpasswd and robots gave: the good lines USER:HASH of both, what counts besides, and what is wrong
    with the others; when time alone has the same files read otherwise (seconds since the epoch; 0: never)."""

    htpasswd: bytes
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    beside: Beside = NOTHING
    again: float = 0.0


def read(paths: Paths, now: float | None = None) -> UsersReading:
    """.htpasswd and robots, as they are `now` (seconds since the epoch; None: the host's clock). Unreadable or missing
    they admit nobody, bad lines are dropped and named."""
    where = str(paths.htpasswd)
    try:
        found, problems = users.parse(required(Snapshot(paths), paths.htpasswd, reading.HTPASSWD), where)
    except BaseException as error:
        hint = "nobody can log in; make it: secure-registry htpasswd -c USER"
        told = tuple(Problem(problem.where or where, problem.what, hint) for problem in bugs.caught(error, where))
        return UsersReading(b"", told)
    programs = _robots(paths, found, time.time() if now is None else now)
    if not found and not problems and not programs.lines:
        problems = (Problem(where, "holds no user", "nobody can log in; add one: secure-registry htpasswd USER"),)
    warnings = (*users.weak(found, where), *users.empty(found, where), *_reserved(found, where), *programs.warnings)
    return UsersReading(
        users.render(found) + programs.lines,
        (*problems, *programs.problems),
        warnings,
        programs.beside,
        programs.again,
    )


def _robots(paths: Paths, people: Iterable[User], now: float) -> Counting:
    """The robots that count now. Whatever is wrong with their file, nobody else is kept out for it."""
    where = str(paths.robots)
    try:
        data = reading.read(paths.robots, reading.HTPASSWD) or b""
        found, bad = robots.parse(data, where, globs.problem)
        counting = robots_now.counting(found, where, frozenset(user.name for user in people), now)
        return counting._replace(problems=(*bad, *counting.problems))
    except BaseException as error:
        hint = "no robot can log in; see what is there, or remove it: secure-registry token list"
        told = tuple(Problem(problem.where or where, problem.what, hint) for problem in bugs.caught(error, where))
        return Counting(b"", NOTHING, told, (), 0.0)


def _reserved(found: Iterable[User], where: str) -> Iterator[Problem]:
    """A warning for each user who is called as robots are."""
    for user in found:
        if robots.is_reserved(user.name):
            what = f"user {user.name!r} is called as robots are ({robots.PREFIX}NAME), and is none"
            hint = f"give the user another name, then: secure-registry htpasswd -D {quoting.shell(user.name)}"
            yield Problem(f"{where}:{user.line}", what, hint)
