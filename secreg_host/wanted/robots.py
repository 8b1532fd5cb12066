"""Which robots count at a moment, and when that is another time: pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from secreg_host.base.errors import Problem
from secreg_host.formats import robots
from secreg_host.formats.robots import Own, Robot

SOON_SECONDS = 14 * 24 * 3600
"""How long before a robot's end that is told."""

TOLD = 20
"""Robots that are told one by one, of those that come to their end, and of those that did."""


class Beside(NamedTuple):
    """What counts besides the lines USER:HASH: lines with the secrets before, which count for a while; the rights of
    each robot, as `rights_of` reads them; and the moment from which on fewer of all that count, as digits (seconds
    since the epoch). Each may be nothing."""

    second: bytes = b""
    rights: bytes = b""
    until: bytes = b""


NOTHING = Beside()


class Counting(NamedTuple):
    """The lines LOGIN:HASH of robots that count, and what counts besides; what is wrong, and what is to be known; when
    another look finds something else (seconds since the epoch; 0: never)."""

    lines: bytes
    beside: Beside
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    again: float


def counting(found: Sequence[Robot], where: str, people: Collection[str], now: float) -> Counting:
    """What of the robots `found` in the file `where` counts at the moment `now` (seconds since the epoch), where
    `people` have these names: whoever is called like a robot stays, and the robot is none."""
    taken = [robot for robot in found if robot.login in people]
    free = [robot for robot in found if robot.login not in people]
    there = [robot for robot in free if robot.counts(now)]
    olds = [robot for robot in there if robot.has_old(now)]
    ends = [*(robot.expires for robot in there if robot.expires is not None), *(robot.until for robot in olds)]
    until = min(ends, default=0)
    soon = [robot.expires - SOON_SECONDS for robot in there if robot.expires is not None]
    beside = Beside(
        "".join(f"{robot.login}:{robot.old}\n" for robot in olds).encode(),
        _rights(there),
        str(until).encode() if ends else b"",
    )
    again = min((at for at in (*ends, *soon) if at > now), default=0)
    return Counting(
        robots.password_lines(there), beside, tuple(_taken(taken, where)), tuple(_ending(free, where, now)), again
    )


def _rights(there: Iterable[Robot]) -> bytes:
    own = {robot.login: robot.rights for robot in there}
    return json.dumps(own, separators=(",", ":"), sort_keys=True).encode() if own else b""


def rights_of(data: bytes) -> dict[str, Own]:
    """The rights of each robot that counts, by its login, of `Beside.rights`."""
    found = json.loads(data or b"{}")
    return {login: tuple((glob, robots.ACTIONS[word]) for word, glob in rights) for login, rights in found.items()}


def changed(before: bytes, after: bytes) -> list[bytes]:
    """The logins of robots that counted `before` and do `after` (`Beside.rights`), with other rights."""
    if before == after:
        return []
    old, new = rights_of(before), rights_of(after)
    return [login.encode() for login, own in new.items() if old.get(login, own) != own]


def _taken(taken: Iterable[Robot], where: str) -> Iterator[Problem]:
    for robot in taken:
        what = f"robot {robot.name!r} can't log in: .htpasswd has a user {robot.login!r}"
        hint = f"remove one of them: secure-registry htpasswd -D {robot.login}; or token revoke {robot.name}"
        yield Problem(f"{where}:{robot.line}", what, hint)


def _ending(found: Sequence[Robot], where: str, now: float) -> Iterator[Problem]:
    """Of robots that came to their end, and of those that do soon. What is said is the same until something changes."""
    over = [robot for robot in found if not robot.counts(now)]
    soon = [robot for robot in found if robot.counts(now) and robot.expires and robot.expires - SOON_SECONDS <= now]
    for some, said in ((soon, "comes to its end at"), (over, "came to its end at")):
        for robot in some[:TOLD]:
            what = f"robot {robot.name!r} {said} {robots.time_text(robot.expires or 0)}"
            hint = f"secure-registry token renew {robot.name}; or, where nobody needs it: token revoke {robot.name}"
            yield Problem(f"{where}:{robot.line}", what, hint)
        if len(some) > TOLD:
            what = f"{len(some) - TOLD} more robots, as {some[TOLD].name!r}: each {said} a time of its own"
            yield Problem(where, what, "see them: secure-registry token list")
