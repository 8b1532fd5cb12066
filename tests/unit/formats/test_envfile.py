"""KEY=value files mean to us what they mean to systemd."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secreg_host.formats import envfile


def values(text: str) -> dict[str, str]:
    found, problems = envfile.parse(text, "f")
    assert problems == ()
    return {item.key: item.value for item in found}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=plain", "plain"),
        ("A=", ""),
        ("A =  x  ", "x"),
        ("A=two words", "two words"),
        ("A='single \\n \"kept\"'", 'single \\n "kept"'),
        ('A="double \\"escaped\\" \\$x \\n"', 'double "escaped" $x \\n'),
        ('A="one" "two"', "onetwo"),
        ("A=it's", "it's"),
        ("A=x # no comment here", "x # no comment here"),
        ("A=back\\slash", "backslash"),
        ("A=one\\\n  two", "one  two"),
        ('A="one\\\ntwo"', "onetwo"),
        ('A="line\nbreak"', "line\nbreak"),
        ("A=dos\r", "dos"),
    ],
)
def test_value_as_systemd_reads_it(line: str, value: str) -> None:
    assert values(line + "\n") == {"A": value}


def test_comments_and_blank_lines() -> None:
    assert values("# one\n\n; two \\\n still\nA=1\n   # three\nB=2") == {"A": "1", "B": "2"}


def test_every_problem_has_its_line() -> None:
    found, problems = envfile.parse("A=1\nnonsense\nB=2\nC='open\n", "x.conf")
    assert [item.line for item in found] == [1, 3]
    assert [problem.where for problem in problems] == ["x.conf:2", "x.conf:4"]


@given(st.text(st.characters(exclude_characters="\x00\r", exclude_categories=["Cs"])))
def test_assignment_reads_back(value: str) -> None:
    assert values(envfile.assignment("KEY", value) + "\n") == {"KEY": value}


@given(st.text())
def test_parse_never_fails(text: str) -> None:
    envfile.parse(text, "f")
