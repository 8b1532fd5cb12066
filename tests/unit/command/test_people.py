"""Who there is: rights pattern by pattern, as they are decided, and when somebody was let in last."""

from __future__ import annotations

import itertools

from secreg_host.command import people
from secreg_host.wanted.access import deciding, parsing
from secreg_host.wanted.access.policy import ALL
from secreg_host.wanted.parts.users import UsersReading
from secreg_host.wanted.robots import Beside

OWN = (("ci/**", frozenset({"read", "create"})),)
YML = b"""
adminPolicy: {users: [boss], actions: [read, create, update, delete]}
groups: {team: {users: [alice]}}
repositories:
  "team-a/**":
    policies: [{groups: [team], actions: [read, create]}, {users: [robot-ci], actions: [read]}]
    defaultPolicy: [read]
  "public/**":
    anonymousPolicy: [read]
"""
POLICY = parsing.parse(YML, "access.yml")[0]


def test_without_a_policy_each_user_may_do_everything_and_a_robot_what_is_its_own() -> None:
    assert people.rights(None, "alice", None) == (("**", ALL),)
    assert people.rights(None, "robot-ci", OWN) == OWN and people.rights(None, "robot-x", ()) == ()


def test_with_a_policy_each_has_what_its_patterns_give() -> None:
    said = {
        user: {pattern: "".join(sorted(one[0] for one in actions)) for pattern, actions in people.rights(POLICY, *who)}
        for user, who in (("alice", ("alice", None)), ("bob", ("bob", None)), ("boss", ("boss", None)))
    }
    assert said["alice"] == {"team-a/**": "cr", "public/**": "r"}
    assert said["bob"] == {"team-a/**": "r", "public/**": "r"}
    assert said["boss"] == {"**": "cdru", "team-a/**": "r", "public/**": "r"}
    assert dict(people.rights(POLICY, "robot-x", OWN)) == {"public/**": {"read"}, **dict(OWN)}
    assert dict(people.rights(POLICY, "robot-ci", ())) == {"team-a/**": {"read"}, "public/**": {"read"}}


def test_nothing_is_listed_that_is_not_decided_so() -> None:
    for user, own in itertools.product(("alice", "bob", "boss", "robot-ci"), (None, OWN)):
        for pattern, actions in people.rights(POLICY, user, own):
            name = pattern.replace("**", "x")
            assert actions <= deciding.rights(POLICY, user, name, own)


def test_a_line_for_everybody() -> None:
    rights = b'{"robot-ci":[["read","ci/**"]]}'
    found = UsersReading(b"alice:{SHA}x\nrobot-ci:{SSHA}y\n", beside=Beside(rights=rights))
    alice, ci = people.everybody(found, None, {"alice": 1_796_094_000.0})
    assert alice.row == ("alice", "2026-12-01T03:00:00Z", "read,create,update,delete **")
    assert ci.row == ("robot-ci", "-", "read ci/**")
    assert ci.record == {
        "user": "robot-ci",
        "robot": True,
        "last_login": None,
        "rights": [{"pattern": "ci/**", "actions": ["read"]}],
    }
