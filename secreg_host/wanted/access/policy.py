"""What access.yml says, once it is read. The words are zot's (its documentation, "Authorization")."""

from __future__ import annotations

from dataclasses import dataclass, field

READ, CREATE, UPDATE, DELETE = ACTIONS = ("read", "create", "update", "delete")
"""What one may do in a repository: read what is in it; push what is not there; have a tag name another one; delete."""

ALL = frozenset(ACTIONS)


@dataclass(frozen=True)
class Rule:
    """That `users`, and who is in `groups`, may do `actions`; line: where it begins in the file, from 1."""

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    actions: frozenset[str] = frozenset()
    line: int = 0


@dataclass(frozen=True)
class Group:
    """A group, the users in it, and its line."""

    name: str
    users: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True)
class Repository:
    """What holds in the repositories of a pattern: its policies, what whoever is logged in may do (default) and what
    whoever asks (anonymous); and the lines of the pattern and of these two (0: it does not stand there)."""

    pattern: str
    policies: tuple[Rule, ...] = ()
    default: frozenset[str] = frozenset()
    anonymous: frozenset[str] = frozenset()
    line: int = 0
    default_line: int = 0
    anonymous_line: int = 0


@dataclass(frozen=True)
class Policy:
    """A whole access.yml. admin: what its users may do everywhere; metrics: users that are named for /metrics."""

    repositories: tuple[Repository, ...] = ()
    admin: Rule = field(default_factory=Rule)
    groups: tuple[Group, ...] = ()
    metrics: tuple[str, ...] = ()

    def groups_of(self, user: str) -> frozenset[str]:
        """The groups that `user` is in."""
        return frozenset(group.name for group in self.groups if user in group.users)

    @property
    def anonymous(self) -> bool:
        """Whether there is something that whoever asks may do."""
        return any(one.anonymous for one in self.repositories)
