"""Robots, made, renewed and taken away: what becomes of their file, under a lock, and of the secret, which is told
once.

A secret goes to a terminal, to a new file that only its owner reads, or where it was asked for in so many words; never
into an argument or a log. A file of it is whole on disk before the robot counts.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from secreg_host.base import files, reading, reserve, shorter, utf8
from secreg_host.base.errors import BadInput, Problem, SecregError, bad_input
from secreg_host.base.paths import Paths
from secreg_host.command import ages
from secreg_host.formats import robots, userlines
from secreg_host.formats.robots import Robot
from secreg_host.wanted.access import globs

HERE = "-"
"""What `--output` says for standard output, whatever that is."""

LONGEST = 20 * 366 * 86400
"""Seconds that a secret counts at the most, but for one that never ends."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for of a robot. seconds: how long its secret counts (None: for ever)."""

    name: str
    rights: tuple[tuple[str, str], ...]
    seconds: int | None


@dataclass(frozen=True)
class Outlet:
    """Where a secret is told: to `stream`, or in the new file `path`. Raises BadInput where that would be seen by more
    than who asks for it."""

    path: Path | None
    stream: TextIO
    asked: bool

    def check(self) -> None:
        """Before anything is done."""
        if self.path is None and not self.asked and not self.stream.isatty():
            what = "the secret is shown on a terminal, and standard output is none"
            raise bad_input("--output", what, f"name a new file: --output FILE; or have it here: --output {HERE}")
        if self.path is not None and os.path.lexists(self.path):
            raise bad_input(str(self.path), "is there already", "name a new file: --output FILE")

    @contextlib.contextmanager
    def kept(self, secret: str) -> Iterator[None]:
        """Have `secret` on disk, if that is where it goes, before the block runs; if that fails, it goes again."""
        if self.path is not None:
            files.create(self.path, f"{secret}\n".encode(), files.PRIVATE)
            with files.explained(self.path):
                files.sync_directory(self.path.absolute().parent)
        try:
            yield
        except BaseException:
            if self.path is not None:
                self.path.unlink(missing_ok=True)
            raise


def outlet(said: str | None, stream: TextIO) -> Outlet:
    """Where `--output`, if it was given, has a secret told."""
    path = Path(said) if said is not None and said != HERE else None
    return Outlet(path, stream, asked=said == HERE)


def wanted(name: str, given: dict[str, list[str]], expires: str) -> Wanted:
    """What a call asks for; given: patterns by the words of rights. Raises BadInput."""
    check_name(name)
    rights = tuple((word, glob) for word, patterns in given.items() for glob in patterns)
    for word, glob in rights:
        wrong = globs.problem(glob) or _unwritable(glob)
        if wrong:
            raise bad_input(f"--{word}", f"{glob!r} is no pattern: {wrong}", "write one such as 'team-a/**'")
        if not globs.possible(glob):
            what = f"no repository can be called {glob!r}"
            raise bad_input(f"--{word}", what, "write small letters, digits, and . _ - / between them")
    return Wanted(name, tuple(dict.fromkeys(rights)), seconds_of(expires))


def _unwritable(glob: str) -> str:
    return "" if glob.isascii() and glob.isprintable() and " " not in glob else "it has a blank, or no ASCII"


def check_name(name: str) -> None:
    """Raise BadInput for what is no robot's name."""
    if name.startswith(robots.PREFIX) and robots.NAME.fullmatch(name):
        raise bad_input("NAME", f"robots log in as {robots.PREFIX}NAME", f"leave {robots.PREFIX} out: {_short(name)}")
    if robots.NAME.fullmatch(name) is None:
        raise bad_input("NAME", f"{robots.NAMED}, and {name!r} is none", "choose another one, such as ci-main")


def _short(name: str) -> str:
    return name.removeprefix(robots.PREFIX) or "NAME"


def seconds_of(expires: str) -> int | None:
    """How long a secret counts by `--expires`; None: for ever. Raises BadInput."""
    if expires == robots.NEVER:
        return None
    if not 0 < (found := ages.seconds("--expires", expires)) <= LONGEST:
        raise bad_input(
            "--expires", f"{expires} is more than 20 years, or nothing", f"write 90d, say, or {robots.NEVER}"
        )
    return found


def content(paths: Paths) -> bytes:
    """What the file of robots holds. Raises BadInput for UTF-16, in which no line of ours would be one."""
    data = reading.read(paths.robots, reading.HTPASSWD) or b""
    if utf8.is_utf16(data):
        raise bad_input(str(paths.robots), utf8.UTF_16, f"{utf8.HINT}; or remove it")
    return data


def known(paths: Paths) -> tuple[tuple[Robot, ...], tuple[Problem, ...]]:
    """The robots in the file, whether they count or not, and what is wrong with its other lines."""
    return robots.parse(content(paths), str(paths.robots), globs.problem)


@contextlib.contextmanager
def alone(paths: Paths) -> Iterator[None]:
    """Hold the lock that everybody takes who changes users."""
    files.make_directory(paths.state, 0o700)
    with files.exclusively(paths.state):
        yield


def create(paths: Paths, want: Wanted, where: Outlet) -> tuple[Robot, str]:
    """Make a robot; itself and its secret. Raises SecregError, and nothing was changed."""
    with alone(paths):
        data = content(paths)
        robot, secret = created(data, _people(paths), want, int(time.time()))
        with where.kept(secret):
            files.rewrite(paths.robots, userlines.with_line(data, robot.name, robots.render(robot)))
    return robot, secret


def created(data: bytes, people: bytes, want: Wanted, now: int) -> tuple[Robot, str]:
    """A new robot beside those in `data`, and its secret; `people`: the bytes of .htpasswd. Raises SecregError where
    there is one of that name. Pure, but for what is random."""
    if userlines.has_line(data, want.name):
        hint = f"secure-registry token renew {want.name}; or token revoke {want.name}, and create it anew"
        raise SecregError(f"there is a robot {want.name} already", hint)
    secret = robots.new_secret()
    expires = None if want.seconds is None else now + want.seconds
    robot = Robot(want.name, robots.hash_of(secret), now, expires, rights=want.rights)
    if userlines.has_line(people, robot.login):
        hint = f"choose another name; or remove the user: secure-registry htpasswd -D {robot.login}"
        raise SecregError(f"there is a user {robot.login} already", hint)
    return robot, secret


def _people(paths: Paths) -> bytes:
    return reading.peek(paths.htpasswd, reading.HTPASSWD)


def renew(paths: Paths, name: str, change: Callable[[Robot, int], Robot], where: Outlet) -> tuple[Robot, Robot, str]:
    """Give a robot another secret; itself before and after, and the secret. Raises SecregError, and nothing was
    changed."""
    with alone(paths):
        data = content(paths)
        before, secret = found(data, name, str(paths.robots)), robots.new_secret()
        after = replace(change(before, int(time.time())), hash=robots.hash_of(secret))
        with where.kept(secret):
            files.rewrite(paths.robots, userlines.with_line(data, name, robots.render(after)))
    return before, after, secret


def found(data: bytes, name: str, where: str) -> Robot:
    """The robot `name` in `data`, which the file `where` holds. Raises BadInput with what is wrong with its line,
    SecregError where there is none."""
    there, problems = robots.parse(userlines.line_of(data, name), where, globs.problem)
    if there:
        return there[0]
    if problems:
        raise BadInput([replace(problem, where=where) for problem in problems])
    raise SecregError(f"there is no robot {name}", "see which there are: secure-registry token list")


def renewed(robot: Robot, overlap: int, seconds: int | None, now: int, *, as_before: bool) -> Robot:
    """`robot` with the secret that it has as the one before, for `overlap` seconds, if it still counts: it never counts
    for longer than it did. seconds: how long the new one does (None: for ever); as_before: as long as the one before
    did from when it was made. Pure."""
    if as_before:
        seconds = None if robot.expires is None else max(1, robot.expires - robot.made)
    until = now + overlap if robot.expires is None else min(now + overlap, robot.expires)
    old = robot.hash if until > now else ""
    expires = None if seconds is None else now + seconds
    return replace(robot, made=now, expires=expires, old=old, until=until if old else 0)


def revoke(paths: Paths, name: str) -> None:
    """Take a robot away, whatever is wrong with its line, and where no room is left, too. Raises SecregError."""
    with alone(paths):
        data = content(paths)
        after = userlines.with_line(data, name, None)
        if after == data:
            raise SecregError(f"there is no robot {name}", "see which there are: secure-registry token list")
        shorter.save(paths.robots, after, userlines.blanked(data, name), reserve.of_state(paths))


def state_of(robot: Robot, now: float) -> str:
    """Whether it counts, and until when, in words."""
    if robot.expires is None:
        said = "never ends"
    elif robot.counts(now):
        said = f"until {robots.time_text(robot.expires)}"
    else:
        return f"ended {robots.time_text(robot.expires)}"
    return f"{said}, the secret before until {robots.time_text(robot.until)}" if robot.has_old(now) else said


def rights_said(robot: Robot) -> str:
    """Its rights, as `token create` takes them."""
    return " ".join(f"{word} {glob}" for word, glob in robot.rights) or "none of its own"


def as_json(robot: Robot, now: float) -> dict[str, object]:
    """What is known of it, as JSON values; no hash is part of it."""
    return {
        "name": robot.name,
        "login": robot.login,
        "counts": robot.counts(now),
        "made": robots.time_text(robot.made),
        "expires": None if robot.expires is None else robots.time_text(robot.expires),
        "old_secret_until": robots.time_text(robot.until) if robot.has_old(now) else None,
        "rights": [{"pattern": glob, "actions": sorted(actions)} for glob, actions in robot.own],
    }
