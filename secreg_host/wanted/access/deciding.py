"""Who may do what, by what access.yml says, and which of its lines decide.

Of the patterns that are about a repository the longest decides alone, as in zot; of two that are as long, the one that
stands first. There hold what its policies give the user or his groups, what they give whoever is logged in, and
whoever asks; and what the admin policy gives, everywhere. A robot has, besides, rights of its own, and nothing of what
is given to whoever is logged in.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    """The same of one policy, for who asks for many repositories: by their first segments few patterns are left."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._first = sorted(policy.repositories, key=lambda one: -globs.specific(one.pattern))  # it is stable
        self._begins = {one.pattern: globs.first_segments(one.pattern) for one in self._first}
        self._tops: dict[str, list[Repository]] = {}

    def rights(self, user: str | None, repository: str, own: Own | None = None) -> frozenset[str]:
        """As `rights`."""
        top = repository.partition("/")[0]
        if top not in self._tops:
            left = [one for one in self._first if _may_begin(self._begins[one.pattern], top)]
            self._tops[top] = left
        found = next((one for one in self._tops[top] if globs.matches(one.pattern, repository)), None)
        given = _grants(self.policy, found, user, repository, own)
        return frozenset().union(*(grant.actions for grant in given))


def _may_begin(begins: frozenset[str] | None, top: str) -> bool:
    return begins is None or top in begins


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
