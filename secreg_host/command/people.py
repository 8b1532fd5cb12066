"""Everybody who can log in: what each may do where, and when he was let in last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from secreg_host.base import utf8
from secreg_host.formats.robots import Own, time_text
from secreg_host.wanted import robots
from secreg_host.wanted.access import deciding
from secreg_host.wanted.access.policy import ACTIONS, ALL, Policy, Repository, Rule
from secreg_host.wanted.parts.users import UsersReading

EVERYWHERE = "**"
SOME = "x"
"""A repository that `EVERYWHERE` is about, as each."""

Rights = tuple[tuple[str, frozenset[str]], ...]


@dataclass(frozen=True)
class Person:
    """Who can log in; rights: patterns of repositories, and what he may do there; seen: when he was let in last
    (seconds since the epoch; None: not as far as is known)."""

    name: str
    robot: bool
    rights: Rights
    seen: float | None

    @property
    def record(self) -> dict[str, object]:
        """The same as JSON values."""
        return {
            "user": self.name,
            "robot": self.robot,
            "last_login": None if self.seen is None else time_text(self.seen),
            "rights": [{"pattern": pattern, "actions": _sorted(actions)} for pattern, actions in self.rights],
        }

    @property
    def row(self) -> tuple[str, str, str]:
        """The same as words, in columns."""
        said = [f"{','.join(_sorted(actions))} {pattern}" for pattern, actions in self.rights]
        return self.name, "-" if self.seen is None else time_text(self.seen), "; ".join(said) or "none"


def _sorted(actions: Iterable[str]) -> list[str]:
    return sorted(actions, key=ACTIONS.index)


def everybody(found: UsersReading, policy: Policy | None, seen: Mapping[str, float]) -> Iterator[Person]:
    """Who can log in by the files of users that were `found`, with rights by `policy` (None: there is none); seen: when
    users were let in last."""
    own = robots.rights_of(found.beside.rights)
    for line in found.htpasswd.splitlines():
        name = utf8.shown(line.partition(b":")[0])
        yield Person(name, name in own, rights(policy, name, own.get(name)), seen.get(name))


def rights(policy: Policy | None, user: str, own: Own | None) -> Rights:
    """What `user` may do, pattern by pattern: of those that are about one repository the longest decides, but for what
    is given everywhere, and for the rights that a robot has of its own (`own`; None: it is none). Pure."""
    if policy is None:
        return own if own is not None else ((EVERYWHERE, ALL),)
    everywhere = replace(policy, repositories=())
    found = [(EVERYWHERE, everywhere), *((one.pattern, _alone(policy, one)) for one in policy.repositories)]
    robot = None if own is None else ()
    given = [(pattern, deciding.rights(one, user, SOME, robot)) for pattern, one in found]
    return (*(right for right in given if right[1]), *(own or ()))


def _alone(policy: Policy, one: Repository) -> Policy:
    """`policy` as if the pattern of `one` were about each repository, and there were nothing else."""
    return replace(policy, repositories=(replace(one, pattern=EVERYWHERE),), admin=Rule())
