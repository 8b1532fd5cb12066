"""access.yml as maps of nginx's: looked up as nginx does it, they say what deciding says."""

from __future__ import annotations

import random
import re

from secreg_host.generation import rights
from secreg_host.generation.rights import Keyed, Maps
from secreg_host.wanted.access import deciding
from secreg_host.wanted.access.policy import ACTIONS, Group, Policy, Repository, Rule

USERS = (
    "alice",
    "Alice",
    "ALICE",
    "bob",
    "ci-main",
    "a b",
    "q.r+s$t",
    "eve",
    "z" * 60,
    "Z" * 60,
    "müller",
    "M\u00fcller",
)
LONG_TEAM = "a-team-with-a-name-of-more-characters-than-a-small-hash-takes.x"
SEGMENTS = (LONG_TEAM, "team-a", "team-b", "team", "a", "b", "app", "x.y", "lib_c")
PATTERNS = (
    "**", "team-a/**", "team-*/**", "team-a/app", "team-a/{app,lib_c}", "*/app", "**/app", "a", "a/b", "a/*",
    "{a,b}/**", "team-[ab]/**", "team-a/x.y/**", "x.y", "**/b/**", "A/b", "team?a/app", "team-a/app{,/**}",
    f"{LONG_TEAM}/**", f"{LONG_TEAM}/app",
    "lib_c/a-name-that-is-longer-than-any-key-of-a-small-hash",
)  # fmt: skip


def generated(draw: random.Random) -> Policy:
    def actions() -> frozenset[str]:
        return frozenset(draw.sample(ACTIONS, draw.randint(0, 4)))

    def rule() -> Rule:
        users = tuple(draw.sample(USERS, draw.choice((0, 0, 1, 2))))
        return Rule(users, tuple(draw.sample(("g", "h", "none"), draw.choice((0, 1, 1)))), actions())

    patterns = draw.sample(PATTERNS, draw.randint(0, 8))
    return Policy(
        tuple(
            Repository(
                one,
                tuple(rule() for _ in range(draw.randint(0, 3))),
                actions() if draw.random() < 0.5 else frozenset(),
                frozenset({"read"}) if draw.random() < 0.3 else frozenset(),
            )
            for one in patterns
        ),
        rule() if draw.random() < 0.5 else Rule(),
        tuple(Group(name, tuple(draw.sample(USERS, draw.randint(0, 4)))) for name in ("g", "h")),
    )


def name(draw: random.Random) -> str:
    return "/".join(draw.choice(SEGMENTS) for _ in range(draw.choice((1, 2, 2, 3))))


def key(one: Keyed) -> str:
    """The key as nginx reads the word."""
    return re.sub(r"\\(.)", r"\1", str(one.key)[1:-1]) if str(one.key).startswith('"') else str(one.key)


def looked_up(keys: tuple[Keyed, ...], text: str) -> Keyed | None:
    """As a map does it: whole keys first, without regard to capitals, then expressions in their order."""
    for one in keys:
        if not key(one).startswith("~") and rights._lower(key(one)) == rights._lower(text):
            return one
    for one in keys:
        if key(one).startswith("~") and re.search(key(one)[1:].encode(), text.encode()):
            return one
    return next((one for one in keys if one.key == "default"), None)


def line(maps: Maps, repository: str) -> str:
    top = looked_up(maps.tops, f"/{repository.partition('/')[0]}")
    assert top is not None
    if not top.more:
        return top.value
    found = looked_up(maps.names[top.more - 1], f"/{repository}")
    return found.value if found else rights.NONE


def may(maps: Maps, user: str | None, repository: str) -> str:
    where = line(maps, repository)
    if user is None:
        return maps.guests.get(where, "")
    text = f"{rights.CAPITALS if re.search('[A-Z]', user) else ''}={user}="
    found = looked_up(maps.users, text)
    if found and found.more:
        found = looked_up(maps.cased[found.more - 1], text)
    return maps.given.get(f"{where} {found.value if found else rights.NONE}", maps.everyone.get(where, ""))


def test_maps_say_what_deciding_says() -> None:
    draw = random.Random(17)
    given: set[str] = set()
    for _ in range(400):
        policy = generated(draw)
        maps, decider = rights.of(policy), deciding.Decider(policy)
        for _ in range(40):
            user, repository = draw.choice((*USERS, None)), name(draw)
            wanted = rights.letters(deciding.rights(policy, user, repository))
            assert may(maps, user, repository) == wanted, (policy, user, repository)
            assert rights.letters(decider.rights(user, repository)) == wanted
            given.add(wanted)
    assert len(given) == 16


def test_users_with_the_same_rules_are_one_class() -> None:
    users = tuple(f"user-{number}" for number in range(100))
    policy = Policy((Repository("a/**", (Rule((), ("g",), frozenset({"read"})),)),), groups=(Group("g", users),))
    maps = rights.of(policy)
    assert {one.value for one in maps.users} == {"1"} and maps.given == {"1 1": "r"}


def test_few_patterns_are_left_for_a_first_segment() -> None:
    patterns = [Repository(f"team-{number}/**", default=frozenset({"read"})) for number in range(200)]
    maps = rights.of(Policy(tuple(patterns)))
    assert maps.names == () and len(maps.tops) == 201, "no expression at all"


def test_what_is_given_for_what_is_asked() -> None:
    found = set(rights.allowing())
    assert ("head", "c") in found and ("read", "c") not in found and ("push", "u") in found
    assert ("delete", "rcu") not in found and ("delete", "d") in found and len(found) == len([*rights.allowing()])
    assert dict(rights.words())["rc"] == "read and push to" and len(dict(rights.words())) == 15
