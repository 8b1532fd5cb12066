"""What is set of the first user without effect: a USERNAME that is nobody's, and a password beside a .htpasswd that was
edited and has another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from secreg_host.base import marks, quoting, reading, utf8
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import userlines
from secreg_host.wanted import settings as settings_module
from secreg_host.wanted.settings import Given, Settings

UNHEARD, HEARD = "unheard", "heard"


def name(disk: Snapshot, settings: Settings) -> tuple[Problem, ...]:
    """That USERNAME, where it stands in secure-registry.conf, is nobody's name, and so of no effect."""
    kept = _kept(disk)
    if "USERNAME" not in kept or not disk.peek(disk.paths.htpasswd, reading.HTPASSWD):
        return ()
    what = f"USERNAME={settings.username} has no effect: there is no such user in {disk.paths.htpasswd}"
    hint = f"add that user: secure-registry htpasswd {quoting.shell(settings.username)}; or leave the line out"
    return (Problem(kept["USERNAME"].where, what, hint),)


def password(
    disk: Snapshot, settings: Settings, known: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """What is to be remembered beside what is `known` (firstuser.RECORD), and that the password in
    secure-registry.conf, or the one that somebody put into .password, has no effect.

    Nothing is told of one that was that user's once, and was changed since. A hash is computed where one of the files
    in which it may stand, or that user's line, is another one than it was.
    """
    paths, user = disk.paths, settings.username
    data, said = disk.peek(paths.htpasswd, reading.HTPASSWD), _said(disk)
    same = {"password": known.get("password", []), "was": known.get("was", "")}
    if said is None:
        return {"password": [], "was": ""}, ()
    line = userlines.line_of(data, user)
    there = _hash(line)
    if disk.ledger.untouched(paths.htpasswd, data):
        return {"password": [], "was": there}, ()  # it follows what is said
    if not data or (line and not there):
        return same, ()  # it is told by its part, or just being saved
    now = [user, disk.mark(paths.conf), disk.mark(paths.password), marks.digest(line)]
    stamp = known.get("stamp") or [""]
    if [stamp[0], *stamp[2:]] == now[:3]:
        return same, ()  # that was taken over, and what was edited came later
    if same["password"][:-1] != now:
        right = _is(said, there)
        heard = right or _is(said, same["was"])
        same = {"password": [*now, HEARD if heard else UNHEARD], "was": there if right else same["was"]}
    return same, (_problem(disk, user, said, there=bool(there)),) if same["password"][-1] == UNHEARD else ()


def _kept(disk: Snapshot) -> dict[str, Given]:
    conf = disk.paths.conf
    return settings_module.from_file(disk.peek(conf, reading.SETTINGS), str(conf))[0]


def _said(disk: Snapshot) -> Given | None:
    """The password that somebody wrote down, and its place; None: nobody did."""
    path, kept = disk.paths.password, _kept(disk)
    if "PASSWORD" in kept and kept["PASSWORD"].value:
        return kept["PASSWORD"]
    data = disk.peek(path, reading.SETTINGS)
    lines = [(line.strip(), number) for number, line in enumerate(utf8.shown(data).split("\n"), 1) if line.strip()]
    if len(lines) != 1 or disk.ledger.untouched(path, data):
        return None
    return Given(lines[0][0], f"{path}:{lines[0][1]}")


def _hash(line: bytes) -> str:
    """The hash in a line of .htpasswd, if it is one."""
    from secreg_host.formats import users

    return next((user.hash for user in users.parse(line, "")[0]), "")


def _is(said: Given, value: str) -> bool:
    """Whether it is the password of hash `value`, as far as that can be told here (crypt(3))."""
    from secreg_host.formats import users

    try:
        return bool(value) and users.verify(said.value, value)
    except SecregError:
        return True


def _problem(disk: Snapshot, user: str, said: Given, *, there: bool) -> Problem:
    own = said.where.startswith(f"{disk.paths.password}:")
    why = f"user {user} has another password in" if there else f"there is no user {user} in"
    what = f"{'the password' if own else 'PASSWORD'} has no effect: {why} {disk.paths.htpasswd}, which was edited"
    hint = f"secure-registry htpasswd {quoting.shell(user)}; or {'remove the file' if own else 'leave the line out'}"
    return Problem(said.where, what, hint)
