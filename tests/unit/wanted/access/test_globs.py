"""Patterns of repositories: what they are about, that expressions and a model agree, and that none takes long."""

from __future__ import annotations

import random
import re
import time

import pytest

from secreg_host.wanted.access import globs

ABOUT = [
    ("**", "a", "a/b/c"),
    ("a/**", "a", "a/b", "a/b/c"),
    ("a/*", "a/b", "a/b-c"),
    ("*", "a", "a.b_c"),
    ("**/b", "b", "a/b", "a/c/b"),
    ("a/**/b", "a/b", "a/x/b", "a/x/y/b"),
    ("a/**/m/**", "a/m", "a/x/m/y/z"),
    ("a/**/*", "a/b", "a/b/c"),
    ("team-?/app", "team-a/app", "team-1/app"),
    ("{a,b/c}/**", "a", "b/c", "b/c/d"),
    ("a{,-b}", "a", "a-b"),
    ("[a-c]x", "ax", "cx"),
    ("[!a-c]x", "dx", "1x"),
    ("[^a-c]x", "dx"),
    ("[]a]", "a"),
    ("[a-]", "a", "-"),
    ("a.b", "a.b"),
    ("a**b", "ab", "axb"),
    ("a*b*c", "abc", "abbc", "axbybzc"),
    ("\\a\\.b", "a.b"),
    ("{a,{b,c}x}", "a", "bx", "cx"),
]
NOT = [
    ("a/**", "ab", "b/a", "b"),
    ("a/*", "a", "a/b/c"),
    ("*", "a/b"),
    ("**/b", "ab", "b/a"),
    ("a/**/*", "a"),
    ("team-?/app", "team-/app", "team-ab/app", "team-//app"),
    ("[!a-c]x", "ax", "x", "/x"),
    ("a.b", "axb"),
    ("a**b", "a/b"),
    ("A", "a", "A"),
    ("a//b", "a/b", "a//b"),
    ("/a", "a"),
    ("a/", "a"),
    ("a*b*c", "ac", "abxcx", "a/b/c"),
]


@pytest.mark.parametrize(("pattern", "name"), [(pattern, name) for pattern, *names in ABOUT for name in names])
def test_is_about(pattern: str, name: str) -> None:
    assert globs.matches(pattern, name)


@pytest.mark.parametrize(("pattern", "name"), [(pattern, name) for pattern, *names in NOT for name in names])
def test_is_not_about(pattern: str, name: str) -> None:
    assert not globs.matches(pattern, name)


@pytest.mark.parametrize(
    "pattern", ["", "a[", "a[b", "[", "{a", "{a,{b}", "a}", "a\\", "[b-a]", "{a,b}" * 7, "{" * 9 + "}" * 9, "a" * 501]
)
def test_what_is_no_pattern_is_told(pattern: str) -> None:
    assert globs.problem(pattern)
    with pytest.raises(globs.Wrong):
        globs.expression(pattern)


def test_what_a_pattern_begins_with() -> None:
    assert globs.first_segments("team-a/**") == frozenset({"team-a"})
    assert globs.first_segments("{a,b/c}/**") == frozenset({"a", "b"})
    assert globs.first_segments("a*/b") is None
    assert globs.first_segments("**/b") is None
    assert globs.first_segments("A/b") == frozenset()
    assert globs.literal("a.b/c") == "a.b/c"
    assert globs.literal("a/*") is None
    assert globs.literal("{a,b}") is None


def test_an_expression_has_nothing_that_nginx_or_python_reads_in_another_way() -> None:
    for pattern in [pattern for pattern, *_ in ABOUT + NOT]:
        assert not re.search(r"[\\\"'\s;$]|\((?!\?)|\[[^\]]*\[", globs.expression(pattern)), pattern


def _model(pattern: tuple[str, ...], name: tuple[str, ...]) -> bool:
    """Whether the segments `pattern` are about `name`, by trying all: another way than an expression."""
    if not pattern:
        return not name
    if pattern[0] == "**":
        return any(_model(pattern[1:], name[n:]) for n in range(len(name) + 1))
    return bool(name) and _segment(pattern[0], name[0]) and _model(pattern[1:], name[1:])


def _segment(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_segment(pattern[1:], text[n:]) for n in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and _segment(pattern[1:], text[1:])


def test_generated_patterns_mean_what_a_model_says() -> None:
    draw = random.Random(17)
    segments = ["**", "*", "a", "b", "a*", "*a", "*a*", "a*b", "?", "a?", "a*b*a", "**a", "*?"]
    texts = ["a", "b", "ab", "ba", "aab", "abab", "aba"]
    hits = 0
    for _ in range(20_000):
        pattern = [draw.choice(segments) for _ in range(draw.randint(1, 5))]
        name = [draw.choice(texts) for _ in range(draw.randint(1, 5))]
        meant = _model(tuple(pattern), tuple(name))
        hits += meant
        assert globs.matches("/".join(pattern), "/".join(name)) == meant, (pattern, name)
    assert hits > 1000


def test_what_stands_before_a_star_is_looked_for_once() -> None:
    """Of many stars all but the last would else be tried in all places together: that takes for ever."""
    assert globs.expression("*a*b*c/*d").count("(?>") == 2
    assert globs.expression("**/a/**/b/**/c").count("(?>") == 2


def test_no_pattern_takes_long() -> None:
    for pattern in ("*a" * 60 + "b", "**/a/" * 30 + "b", "**/*a*a*a*a*b/" * 20 + "c", "{a,*a*}" * 5 + "*a" * 20 + "b"):
        for name in ("a" * 255, "a/" * 127 + "a", "aaaa/" * 50 + "aaaaa"):
            begun = time.process_time()
            assert not globs.matches(pattern, name)
            assert time.process_time() - begun < 20  # else it is hours
