"""The file of robots: what a line says, and that nothing that is not understood lets anybody in."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest

from secreg_host.formats import robots, users
from secreg_host.formats.robots import Robot
from secreg_host.wanted.access import globs

HASH = robots.hash_of("secret")
OLD = robots.hash_of("before")
NOW = 1_796_000_000
CI = Robot("ci", HASH, NOW, NOW + 1000, OLD, NOW + 10, (("read", "base/**"), ("push", "team-a/{x,y}")), 1)


def parse(data: bytes) -> tuple[tuple[Robot, ...], list[str]]:
    found, problems = robots.parse(data, "/etc/robots", globs.problem)
    return found, [str(problem) for problem in problems]


@pytest.mark.parametrize(
    "robot",
    [CI, replace(CI, old="", until=0), replace(CI, expires=None), replace(CI, rights=()), replace(CI, name="a")],
)
def test_what_is_written_is_read(robot: Robot) -> None:
    assert parse(b"# mine\r\n\n" + robots.render(robot) + b"\r\n") == ((replace(robot, line=3),), [])


def test_rights_are_actions() -> None:
    assert dict(CI.own) == {"base/**": {"read"}, "team-a/{x,y}": {"read", "create", "update"}}
    assert dict(replace(CI, rights=(("create", "r/*"),)).own) == {"r/*": {"read", "create"}}


def test_it_counts_until_its_end_and_not_at_it() -> None:
    assert CI.counts(NOW + 999.9) and not CI.counts(NOW + 1000) and replace(CI, expires=None).counts(1e12)
    assert CI.has_old(NOW + 9.9) and not CI.has_old(NOW + 10)
    assert not replace(CI, until=NOW + 5000).has_old(NOW + 1000), "what is over has no secret at all"


GOOD = f"ci:{HASH} made=2026-12-01T12:00:00Z expires=2026-12-02T12:00:00Z read=a/**"
BROKEN = {
    "no hash of a robot's": GOOD.replace(HASH, users.make_hash("x", users.Scheme.SHA)),
    "a password in plain text": GOOD.replace(HASH, "{PLAIN}secret"),
    "no hash": GOOD.replace(HASH, ""),
    "no end": GOOD.replace("expires=2026-12-02T12:00:00Z ", ""),
    "an end that is none": GOOD.replace("expires=2026-12-02T12:00:00Z", "expires=tomorrow"),
    "an end that no calendar has": GOOD.replace("expires=2026-12-02", "expires=2026-02-30"),
    "an end in another zone": GOOD.replace("T12:00:00Z read", "T12:00:00+01:00 read"),
    "an empty end": GOOD.replace("expires=2026-12-02T12:00:00Z", "expires="),
    "two ends": f"{GOOD} expires=never",
    "no beginning": GOOD.replace("made=2026-12-01T12:00:00Z ", ""),
    "an unknown word": f"{GOOD} delete=a/**",
    "a word in other letters": GOOD.replace("expires", "Expires"),
    "a pattern that is none": GOOD.replace("a/**", "a/["),
    "no pattern": GOOD.replace("a/**", ""),
    "a secret before without its end": f"{GOOD} old={OLD}",
    "an end of a secret that is not there": f"{GOOD} until=2026-12-01T13:00:00Z",
    "a secret before that is none": f"{GOOD} old=x until=2026-12-01T13:00:00Z",
    "an end of it that is none": f"{GOOD} old={OLD} until=never",
    "a tab": GOOD.replace(" read", "\tread"),
    "a name in capitals": GOOD.replace("ci:", "CI:"),
    "a name with a blank before it": f" {GOOD}",
    "a name that is too long": "c" * 33 + GOOD[2:],
    "a name of dots": GOOD.replace("ci:", "..:"),
    "no colon": GOOD.replace(":{", "{").replace(":", ""),
    "another letter": f"{GOOD} read=b\xe9/**",
    "a NUL": f"{GOOD}\0",
}


@pytest.mark.promise("robots-fail-closed")
@pytest.mark.parametrize("wrong", BROKEN)
def test_a_line_that_is_not_understood_is_no_robot(wrong: str) -> None:
    data = f"{BROKEN[wrong]}\n{GOOD.replace('ci:', 'other:')}\n".encode()
    found, said = parse(data)
    assert [robot.name for robot in found] == ["other"]
    assert len(said) == 1 and said[0].startswith("/etc/robots:1: ") and "->" in said[0]
    assert HASH[8:30] not in said[0] and OLD[8:30] not in said[0]


@pytest.mark.promise("robots-fail-closed")
def test_of_two_lines_the_first_decides_whatever_it_says() -> None:
    """One that was cut is not made good by another one below it."""
    for first in (GOOD, f"{GOOD} x=y"):
        found, said = parse(f"{first}\n{GOOD.replace('2026-12-02', '2036-12-02')}\n".encode())
        assert [robot.expires for robot in found] == [1796212800][: len(found)] and len(found) == (first == GOOD)
        assert "stands again (first in line 1)" in said[-1] and said[-1].startswith("/etc/robots:2: ")


@pytest.mark.promise("robots-fail-closed")
def test_what_a_line_was_cut_to_gives_no_more() -> None:
    """Wherever a crash or an editor cut it: no later end, no other action; a pattern can only be shorter text."""
    whole = robots.render(replace(CI, rights=(("read", "base"), ("push", "team"))))
    for length in range(len(whole)):
        found, _ = parse(whole[:length])
        for robot in found:
            assert robot.expires == CI.expires and (robot.old, robot.until) in ((OLD, CI.until), ("", 0))
            assert [word for word, _ in robot.rights] == ["read", "push"][: len(robot.rights)]


@pytest.mark.promise("robots-fail-closed")
def test_noise_lets_nobody_in_and_breaks_nothing() -> None:
    lots = random.Random(7)
    whole = robots.render(CI)
    for _ in range(2000):
        place, byte = lots.randrange(len(whole)), lots.randrange(256)
        found, said = parse(whole[:place] + bytes([byte]) + whole[place + 1 :])
        assert len(found) + len(said) >= 1 or byte in b"#", "each line is a robot, or told"


def test_utf_16_is_told_once() -> None:
    found, said = parse(f"{GOOD}\n".encode("utf-16"))
    assert (found, len(said)) == ((), 1) and "UTF-16" in said[0]


def test_many_bad_lines_are_told_as_one() -> None:
    found, said = parse(b"nonsense\n" * 5000)
    assert (found, len(said)) == ((), users.TOLD + 1) and "4900 more lines" in said[-1]


def test_a_secret_is_of_256_bits_that_no_shell_reads() -> None:
    made = {robots.new_secret() for _ in range(50)}
    assert len(made) == 50 and all(re.fullmatch(r"srt_[0-9a-f]{64}", secret) for secret in made)


def test_a_hash_is_salted_and_one_that_nginx_knows() -> None:
    one, other = robots.hash_of("secret"), robots.hash_of("secret")
    assert one != other and robots.HASH.fullmatch(one) and users.scheme_of(one) == "ldap_salted_sha1"
    assert users.verify("secret", one) and not users.verify("Secret", one)


@pytest.mark.parametrize(("name", "reserved"), [("robot-ci", True), ("Robot-CI", True), ("robot", False), ("a", False)])
def test_names_of_robots_are_nobody_elses(name: str, reserved: bool) -> None:
    assert robots.is_reserved(name) is reserved


def test_what_is_printed_of_a_robot_has_no_hash() -> None:
    assert "SSHA" not in repr(CI)
