"""Who may do what, by what access.yml says, and which of its lines decide.

Of the patterns that are about a repository the longest decides alone, as in zot; of two that are as long, the one that
stands first. There hold what its policies give the user or his groups, what they give whoever is logged in, and
whoever asks; and what the admin policy gives, everywhere. A robot has, besides, rights of its own, and nothing of what
is given to whoever is logged in.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from secreg_host.wanted.access import globs
from secreg_host.wanted.access.policy import ALL, Policy, Repository, Rule

Own = tuple[tuple[str, frozenset[str]], ...]
"""A robot's own rights: a pattern, and what it may do in the repositories that it is about."""


@dataclass(frozen=True)
class Grant:
    """actions: what is given; line: by which line of access.yml (0: by none); why: to whom, in words."""

    actions: frozenset[str]
    line: int
    why: str


def rights(policy: Policy | None, user: str | None, repository: str, own: Own | None = None) -> frozenset[str]:
    """What `user` (None: who does not say who he is) may do in `repository`.

    policy: None where there never was an access.yml: each user may do everything, nobody else anything. own: the rights
    of a robot (None: it is none), which hold with and without access.yml.
    """
    return frozenset().union(*(grant.actions for grant in grants(policy, user, repository, own)))


def grants(policy: Policy | None, user: str | None, repository: str, own: Own | None = None) -> tuple[Grant, ...]:
    """What gives `user` his rights in `repository`, each that gives any; parameters as of `rights`."""
    if policy is None:
        every = Grant(ALL, 0, "there is no access.yml: each user may do everything")
        given = [every] if user is not None and own is None else _of_robot(repository, own or ())
        return tuple(grant for grant in given if grant.actions)
    return tuple(_grants(policy, decider(policy, repository), user, repository, own))


def _grants(
    policy: Policy, deciding: Repository | None, user: str | None, repository: str, own: Own | None
) -> Iterator[Grant]:
    """The same where `deciding` is what decides about `repository`."""
    found = [*_of_robot(repository, own or ())]
    if deciding is not None:
        found += _of_repository(policy, deciding, user, robot=own is not None)
    if user is not None and _named(policy, policy.admin, user):
        found.append(Grant(policy.admin.actions, policy.admin.line, "adminPolicy"))
    yield from (grant for grant in found if grant.actions)


class Decider:
    """The same of one policy, for who asks for many repositories: patterns are tried together, those with a first
    segment of their own for names that begin so."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        first = sorted(policy.repositories, key=lambda one: -globs.specific(one.pattern))  # it is stable
        self._rank = {one.pattern: rank for rank, one in enumerate(first)}
        begins = {one.pattern: globs.first_segments(one.pattern) for one in first}
        self._any = _Together([one for one in first if begins[one.pattern] is None])
        tops = {top for begin in begins.values() for top in begin or ()}
        self._tops = {top: _Together([one for one in first if top in (begins[one.pattern] or ())]) for top in tops}

    def decider(self, repository: str) -> Repository | None:
        """As `decider`."""
        own = self._tops.get(repository.partition("/")[0])
        found = [one for some in (own, self._any) if some and (one := some.first(repository)) is not None]
        return min(found, key=lambda one: self._rank[one.pattern]) if found else None

    def rights(self, user: str | None, repository: str, own: Own | None = None) -> frozenset[str]:
        """As `rights`."""
        given = _grants(self.policy, self.decider(repository), user, repository, own)
        return frozenset().union(*(grant.actions for grant in given))


class _Together:
    """Some patterns, tried at once."""

    def __init__(self, some: Sequence[Repository]) -> None:
        self.some = some

    @functools.cached_property
    def _expression(self) -> re.Pattern[str]:
        return re.compile("|".join(f"({globs.expression(one.pattern)})" for one in self.some) or globs.NEVER)

    def first(self, repository: str) -> Repository | None:
        """The first that is about `repository`."""
        found = self._expression.fullmatch(repository)
        return self.some[found.lastindex - 1] if found is not None and found.lastindex else None


def decider(policy: Policy, repository: str) -> Repository | None:
    """Which of the patterns of `policy` decides about `repository`; None: none is about it."""
    found = [one for one in policy.repositories if globs.matches(one.pattern, repository)]
    return max(found, key=lambda one: globs.specific(one.pattern)) if found else None


def _named(policy: Policy, rule: Rule, user: str) -> bool:
    """Whether `rule` is about `user`."""
    return user in rule.users or not policy.groups_of(user).isdisjoint(rule.groups)


def _of_robot(repository: str, own: Own) -> Iterator[Grant]:
    for pattern, actions in own:
        if globs.matches(pattern, repository):
            yield Grant(actions, 0, f"a right of the robot's own: {pattern}")


def _of_repository(policy: Policy, one: Repository, user: str | None, *, robot: bool) -> Iterator[Grant]:
    """What the pattern that decides gives `user`."""
    if user is not None:
        for rule in one.policies:
            if user in rule.users:
                yield Grant(rule.actions, rule.line, f"user {user}")
            elif _named(policy, rule, user):
                named = ", ".join(sorted(policy.groups_of(user).intersection(rule.groups)))
                yield Grant(rule.actions, rule.line, f"group {named}")
        if not robot:
            yield Grant(one.default, one.default_line, "defaultPolicy: whoever is logged in")
    yield Grant(one.anonymous, one.anonymous_line, "anonymousPolicy: whoever asks")
