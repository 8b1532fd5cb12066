"""What robots may do, as maps of nginx's: by the expressions of the template, read as nginx reads them, and by a
model."""

from __future__ import annotations

import random
import re

import pytest

from secreg_host.base import quoting, templating
from secreg_host.base.paths import TEMPLATES
from secreg_host.formats import robots
from secreg_host.formats.robots import Own
from secreg_host.generation import assemble, ownrights, rights
from secreg_host.wanted.access import deciding
from secreg_host.wanted.access.policy import Policy, Repository, Rule
from tests.unit.generation.test_rights import name

LINE = re.compile(r'^\s*(?P<key>"(?:[^"\\]|\\.)*"|\S+) (?P<value>"[^"]*"|\S+);$')
LEVEL = {"": frozenset(), "r": robots.ACTIONS["read"], "rc": robots.ACTIONS["create"], "rcu": robots.ACTIONS["push"]}


def unquoted(word: str) -> str:
    """A word of nginx.conf as nginx takes it (ngx_conf_read_token)."""
    return re.sub(r'\\(["\'\\])', r"\1", word[1:-1]) if word.startswith('"') else word


def looked_up(lines: list[str], text: str) -> str:
    """What a map of these lines makes of `text`: exact keys first, without regard to capitals, then expressions."""
    found = {"default": ""}
    expressions = []
    for match in filter(None, map(LINE.match, lines)):
        key, value = unquoted(match["key"]), unquoted(match["value"])
        if key.startswith("~"):
            expressions.append((key[1:], value))
        else:
            assert key not in found or key == "default", "nginx takes no key twice"
            found[key] = value
    if text.lower() in found and text.lower() != "default":
        return found[text.lower()]
    return next((value for expression, value in expressions if re.search(expression, text)), found["default"])


def template(policy: Policy | None = None, access: str | None = None) -> str:
    return templating.render(
        TEMPLATES,
        "front/access.conf.j2",
        bits=quoting.Quoted("0" * 32),
        maps=rights.of(policy),
        access=access,
        users="/run/users",
        tree=None,
        allowing=tuple(rights.allowing()),
        words=tuple(rights.words()),
        sums=tuple(rights.sums()),
        levels=tuple(ownrights.LEVELS.items()),
        segment=quoting.Quoted(assemble._WORD),
        guests=False,
    ).decode()


def lines_of(conf: str, variable: str) -> list[str]:
    """The lines of the map that makes `variable`."""
    found = re.search(rf"^map \S+(?: \S+)* \${variable} {{\n(.*?)^}}$", conf, re.MULTILINE | re.DOTALL)
    assert found is not None, variable
    return found[1].splitlines()


CONF = template()
PLAIN, ABOVE = lines_of(CONF, "secreg_own_plain"), lines_of(CONF, "secreg_own_rights")


def given(own: dict[str, Own], login: str, repository: str) -> str:
    """The letters of `login`'s own rights, as nginx finds them."""
    tokens = looked_up(ownrights.conf(own, ()).decode().splitlines(), f"={login}=")
    text = f"/{repository}/|{tokens}"
    others = looked_up(ownrights.globs_conf(own).decode().splitlines(), text) if "#" in tokens else ""
    return looked_up(ABOVE, f"{looked_up(PLAIN, text)}+{others}")


def drawn(draw: random.Random) -> Own:
    words = list(robots.ACTIONS)
    shapes = ("{}", "{}/**", "**", "{}/*", "*/{}", "{{{},b}}/**", "[a-c]*/**", "**/{}", "{}*", "?/{}/**")
    return tuple(
        (draw.choice(shapes).format(name(draw)), robots.ACTIONS[draw.choice(words)]) for _ in range(draw.randint(0, 4))
    )


@pytest.mark.promise("robots-own-rights")
def test_what_nginx_finds_is_what_is_decided() -> None:
    draw, allowed = random.Random(3), 0
    for _ in range(60):
        own = {f"robot-r{number}": drawn(draw) for number in range(8)}
        for login in own:
            for _ in range(12):
                repository = name(draw)
                wanted = deciding.rights(None, login, repository, own[login])
                found = given(own, login, repository)
                assert LEVEL[found] == wanted, (own[login], repository)
                allowed += bool(found)
    assert 500 < allowed < 5000


@pytest.mark.promise("robots-own-rights")
@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("team-a/**", ["team-a", "team-a/x", "team-a/x/y"], ["team-ab/x", "team", "x/team-a", "x/team-a/y"]),
        ("team-a", ["team-a"], ["team-a/x", "team-ab"]),
        ("a.c/**", ["a.c/x"], ["abc/x"]),
        ("**", ["a", "a/b"], []),
        ("a/*", ["a/b"], ["a/b/c", "a", "b/a"]),
    ],
)
def test_patterns_are_about_whole_segments(pattern: str, inside: list[str], outside: list[str]) -> None:
    own: dict[str, Own] = {
        "robot-a": ((pattern, robots.ACTIONS["create"]),),
        "robot-b": (("z/*", robots.ACTIONS["push"]),),
    }
    assert {given(own, "robot-a", one) for one in inside} == {"rc"}
    assert {given(own, "robot-a", one) for one in outside} <= {""}
    assert {given(own, "robot-b", one) for one in inside + outside} == {""}, "rights are of one robot"


@pytest.mark.promise("robots-own-rights")
def test_who_is_called_like_a_robot_and_not_known_has_no_rights_and_a_user_has_his() -> None:
    """nginx may not have heard of a robot yet whose secret is right already."""
    own = {"robot-ci": (("a/**", robots.ACTIONS["read"]),), "robot-none": ()}
    people = ["alice", "robot-old", "robot-Old", "Robot-ci", f"robot-{'x' * 60}", 'robot-"$x']
    lines = [*ownrights.conf(own, people).decode().splitlines(), '    "~^=robot-" " ";']
    whole = lines_of(CONF, "secreg_own")
    assert whole[-1] == lines[-1] and "include" in whole[-2]

    def robot(user: str) -> bool:
        return looked_up(lines, f"{'A' if re.search('[A-Z]', user) else ''}={user}=") != ""

    assert [robot(user) for user in people] == [False] * len(people)
    assert robot("robot-ci") and robot("robot-none") and robot("robot-of-a-moment-ago")
    assert given(own, "robot-none", "a/x") == ""


def test_keys_are_short_enough_for_each_nginx() -> None:
    longest = f"robot-{'x' * 32}"
    assert robots.NAME.fullmatch("x" * 32) and not robots.NAME.fullmatch("x" * 33)
    assert ownrights.conf({longest: ()}, ()).startswith(b'"=robot-x')


@pytest.mark.parametrize("pattern", ["a|b", "a b", 'a"b', "a\\b", "a$b", "a;b", "a%b", "{a,b}|", "[|]", "ü"])
def test_what_is_odd_in_a_pattern_gets_nowhere(pattern: str) -> None:
    own: dict[str, Own] = {"robot-a": ((pattern, robots.ACTIONS["push"]),)}
    conf = ownrights.conf(own, ()).decode()
    assert LINE.match(conf.strip()) and "$" not in conf and ownrights.globs_conf(own).isascii()
    assert given(own, "robot-a", "a") == given(own, "robot-a", "b") == ""


@pytest.mark.parametrize("seed", range(5))
def test_what_the_front_tells_the_manifest_service_is_read_again(seed: int) -> None:
    draw = random.Random(seed)
    own = drawn(draw)
    tokens = unquoted(ownrights.conf({"robot-a": own}, ()).decode().partition(" ")[2].strip().rstrip(";"))
    assert ownrights.read(tokens) == own
    assert ownrights.read("x u v/ nonsense") == () and ownrights.read("") == ()


@pytest.mark.promise("robots-own-rights")
def test_of_access_yml_a_robot_has_what_names_it_and_what_guests_have() -> None:
    """Not what is given to whoever is logged in."""
    read, delete = frozenset({"read"}), frozenset({"delete"})
    rule = Rule(("robot-ci", "alice"), (), delete)
    policy = Policy(
        (Repository("a/**", (rule,), default=frozenset({"read", "create"})), Repository("b/**", anonymous=read))
    )
    maps = rights.of(policy)
    number = next(keyed.value for keyed in maps.users if keyed.key == '"=robot-ci="')
    assert maps.given[f"1 {number}"] == "rcd" and maps.programs[f"1 {number}"] == "d"
    assert maps.guests["2"] == "r" and f"2 {number}" not in maps.programs
    together = dict(rights.sums())
    assert together["rc+d"] == "rcd" and together["+r"] == "r" and "+" not in together
    for user, own in (("robot-ci", (("a/**", read),)), ("robot-x", ())):
        for line, repository in (("1", "a/x"), ("2", "b/x")):
            named = maps.programs.get(f"{line} {number if user == 'robot-ci' else 0}", maps.guests[line])
            letters = rights.letters(deciding.rights(None, user, repository, own))
            assert together.get(f"{letters}+{named}", "") == rights.letters(
                deciding.rights(policy, user, repository, own)
            )


@pytest.mark.promise("robots-own-rights")
@pytest.mark.parametrize("access", [None, "/run/access/x"])
def test_all_others_go_their_way_where_there_is_no_access_yml(access: str | None) -> None:
    conf = template(access=access)
    bits = "0" * 32
    has = {match["key"]: match["value"] for match in filter(None, map(LINE.match, lines_of(conf, "secreg_has")))}
    assert has["1"] == "$secreg_robots" and has["default"] == ("$secreg_rights" if access else "rcud")
    to = {match["key"]: match["value"] for match in filter(None, map(LINE.match, lines_of(conf, f"secreg_{bits}_to")))}
    gives = {one["key"]: one["value"] for one in filter(None, map(LINE.match, lines_of(conf, f"secreg_{bits}_gives")))}
    if access is None:
        assert to == {"default": "$secreg_way", "1": "$secreg_to"} and gives == {"default": "1", "1": "$secreg_given"}
    else:
        assert to["default"] == "$secreg_permitted" and gives["default"] == "$secreg_gives"
    made = re.findall(r"^map .* \$(\w+) {$", conf, re.MULTILINE)
    assert len(made) == len(set(made)), "each variable is made once"
    assert max(map(len, made)) <= 46, "each nginx has room for it (ngx_hash_init)"
