"""Who may do what: the longest pattern decides, and what is given to whom adds up there."""

from __future__ import annotations

import pytest

from secreg_host.base.errors import BadInput
from secreg_host.wanted.access import deciding, parsing
from secreg_host.wanted.access.policy import ALL, Policy

TEXT = b"""\
adminPolicy: {users: [root], groups: [ops], actions: [read, create, update, delete]}
groups:
  ci: {users: [ci-main, robot-x]}
  ops: {users: [olga]}
repositories:
  "**":
    defaultPolicy: [read]
  "team-a/**":
    policies:
      - {users: [alice], actions: [read, create, update]}
      - {groups: [ci], actions: [read, create]}
    defaultPolicy: [read]
    anonymousPolicy: [read]
  "team-a/secret":
    policies: [{users: [alice], actions: [read]}]
"""


def policy(text: bytes = TEXT) -> Policy:
    found, warnings = parsing.parse(text, "access.yml")
    assert found is not None and not warnings
    return found


@pytest.mark.parametrize(
    ("user", "repository", "may"),
    [
        ("alice", "team-a/app", "read create update"),
        ("ci-main", "team-a/app", "read create"),
        ("bob", "team-a/app", "read"),
        (None, "team-a/app", "read"),
        (None, "team-a", "read"),
        ("bob", "team-b/app", "read"),
        (None, "team-b/app", ""),
        ("alice", "team-a/secret", "read"),
        ("bob", "team-a/secret", ""),
        (None, "team-a/secret", ""),
        ("root", "team-a/secret", "read create update delete"),
        ("olga", "team-b/app", "read create update delete"),
        ("Alice", "team-a/app", "read"),
    ],
)
def test_what_one_may(user: str | None, repository: str, may: str) -> None:
    assert deciding.rights(policy(), user, repository) == frozenset(may.split())


def test_without_a_file_users_may_everything_and_guests_nothing() -> None:
    assert deciding.rights(None, "bob", "a") == ALL
    assert deciding.rights(None, None, "a") == frozenset()


def test_a_robot_has_its_own_rights_and_those_that_name_it() -> None:
    own: deciding.Own = (("team-b/**", frozenset({"read", "create"})),)
    assert deciding.rights(None, "robot-y", "team-b/app", own) == {"read", "create"}
    assert deciding.rights(None, "robot-y", "team-c/app", own) == frozenset()
    assert deciding.rights(policy(), "robot-y", "team-b/app", own) == {"read", "create"}
    assert deciding.rights(policy(), "robot-y", "team-c/app", own) == frozenset()  # no defaultPolicy
    assert deciding.rights(policy(), "robot-y", "team-a/app", own) == {"read"}  # what guests have
    assert deciding.rights(policy(), "robot-x", "team-a/app", ()) == {"read", "create"}


def test_the_line_that_decides_is_told() -> None:
    found = deciding.grants(policy(), "ci-main", "team-a/app")
    assert [(one.line, sorted(one.actions), one.why.split()[0]) for one in found] == [
        (11, ["create", "read"], "group"),
        (12, ["read"], "defaultPolicy:"),
        (13, ["read"], "anonymousPolicy:"),
    ]
    decider = deciding.decider(policy(), "team-a/secret")
    assert decider is not None and decider.line == 14


def test_of_two_patterns_of_one_length_the_first_decides() -> None:
    both = policy(b'repositories:\n  "a/*": {defaultPolicy: [read]}\n  "*/b": {defaultPolicy: [delete]}\n')
    assert deciding.rights(both, "bob", "a/b") == {"read"}


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        (b"repositorys: {}", 1, "unknown word 'repositorys'"),
        (b"repositories:\n  a:\n    defaultpolicy: [read]", 3, "'defaultpolicy'"),
        (b"repositories:\n  a:\n    defaultPolicy: [write]", 3, "'write' is no action"),
        (b"repositories:\n  a:\n    defaultPolicy: read", 3, "must be a list"),
        (b"repositories:\n  a:\n    anonymousPolicy: [read, create]", 3, "may only read"),
        (b"repositories:\n  'a[':\n    defaultPolicy: [read]", 2, "no pattern"),
        (b"repositories:\n  a: {defaultPolicy: [read]}\n  a: {}", 3, "stands again"),
        (b"repositories:\n  a:\n    policies:\n    - {user: [x], actions: [read]}", 4, "unknown word 'user'"),
        (b"repositories:\n  a:\n    policies:\n    - {users: [1], actions: [read]}", 4, "must be text"),
        (b"repositories:\n  a:\n    policies:\n    - {users: ['a:b'], actions: [read]}", 4, "nobody can be called"),
        (b"repositories: [a]", 1, "must be a mapping"),
        (b"[a]", 1, "must be a mapping"),
        (b"repositories: {}", 1, "gives nobody anything"),
        (b"accessControl:", 1, "gives nobody anything"),
        (b"groups: {a: {}}\nrepositories: {}", 1, "gives nobody anything"),
        (b"a: [", 1, "not YAML"),
    ],
)
def test_a_mistake_has_its_line(text: bytes, line: int, word: str) -> None:
    with pytest.raises(BadInput) as caught:
        parsing.parse(text, "access.yml")
    assert [one.where for one in caught.value.problems] == [f"access.yml:{line}"]
    assert word in caught.value.problems[0].what


@pytest.mark.parametrize("data", [b"", b"# adminPolicy: {}\n", b"---\n", b"{}"])
def test_of_nothing_there_is_no_policy(data: bytes) -> None:
    assert parsing.parse(data, "access.yml") == (None, ())


def test_zots_own_file_is_taken() -> None:
    text = b"""\
{"http": {"accessControl": {
  "groups": {"g": {"users": ["bob"]}},
  "repositories": {"a/**": {"policies": [{"groups": ["g"], "actions": ["read", "detectManifestCollision"]}]}},
  "metrics": {"users": ["prometheus"]}
}}}
"""
    found, warnings = parsing.parse(text, "access.yml")
    assert found is not None and found.metrics == ("prometheus",)
    assert deciding.rights(found, "bob", "a/b") == {"read"}
    assert [(one.where, one.what.split()[0]) for one in warnings] == [("access.yml:3", "detectManifestCollision")]


def test_unknown_groups_and_users_and_impossible_names_are_told() -> None:
    text = b"repositories:\n  App:\n    policies:\n    - {users: [bob, eve], groups: [x], actions: [read]}\n"
    found, warnings = parsing.parse(text, "access.yml")
    assert found is not None
    assert [one.where for one in warnings] == ["access.yml:2", "access.yml:4"]
    assert "no group 'x'" in warnings[1].what
    told = [*parsing.unknown_users(found, "access.yml", {"bob"})]
    assert [one.what for one in told] == ["there is no user 'eve'"]
