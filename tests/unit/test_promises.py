"""Each promise of the documents has a test that says that it sees it, and no test sees one that nobody makes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests import promises
from tests.promises import Mark, Promise

NAMES = [one.name for one in promises.promises()]


def test_each_promise_has_a_name_of_its_own() -> None:
    assert len(NAMES) > 60
    assert [name for name, times in Counter(NAMES).items() if times > 1 or not promises.NAME.fullmatch(name)] == []


def test_each_comment_is_an_anchor_or_one_that_is_known() -> None:
    known = {"begin: written by make bench", "end: written by make bench"}
    for page in promises.PAGES:
        text = page.read_text()
        said = {found[1].strip() for found in promises.COMMENT.finditer(text)}
        made = {f"promise: {one.name}" for one in promises.anchors(page.name, text)}
        assert said - known == made, page.name
        numbers = text.partition("<!-- begin: written by make bench -->")[2].partition("<!-- end: ")[0]
        assert list(promises.anchors(page.name, numbers)) == [], "they are written anew"


def test_no_reader_sees_an_anchor() -> None:
    assert {page.name: wrong for page in promises.PAGES if (wrong := promises.seen(page.read_text()))} == {}


def test_each_promise_is_seen_by_a_test() -> None:
    seen = {name for mark in promises.marked() for name in mark.names}
    assert [name for name in NAMES if name not in seen] == []


def test_each_mark_is_on_a_test_and_names_a_promise() -> None:
    marked = promises.marked()
    assert [mark for mark in marked if not mark.test or not mark.names or set(mark.names) - set(NAMES)] == []
    assert [mark for mark in marked if len(set(mark.names)) < len(mark.names)] == []


def test_each_promise_is_in_the_table() -> None:
    rows = promises.table().splitlines()
    assert [row.partition(" (")[0] for row in rows if not row.startswith(" ")] == NAMES
    assert len(rows) >= 2 * len(NAMES)


LISTING = """
[[file]]
path = "secreg_host/a.py"
tests = ["tests/unit/test_a.py"]
mutant = [{fault = "x"}, {fault = "y", tests = ["tests/unit/test_a.py", "tests/unit/test_b.py::test_c"]}]
"""


def test_the_mutants_that_a_test_sees_are_in_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some.toml").write_text(LISTING)
    found = promises.mutants(tmp_path)
    assert found == {
        "tests/unit/test_a.py": {"secreg_host/a.py": 2},
        "tests/unit/test_b.py::test_c": {"secreg_host/a.py": 1},
    }
    monkeypatch.setattr(promises, "mutants", lambda: found)
    monkeypatch.setattr(promises, "promises", lambda: [Promise("one", "p:1")])
    named = ("test_a.py::test_x", "test_b.py::test_c", "test_b.py::test_d")
    monkeypatch.setattr(promises, "marked", lambda: [Mark(f"tests/unit/{test}", ("one",)) for test in named])
    assert promises.table().splitlines() == [
        "one (p:1)",
        "  tests/unit/test_a.py::test_x",
        "    mutants of secreg_host/a.py: 2",
        "  tests/unit/test_b.py::test_c",
        "    mutants of secreg_host/a.py: 1",
        "  tests/unit/test_b.py::test_d",
    ]


PAGE = """\
It holds.<!-- promise: one -->
| a | b <!-- promise: two --> |

<!-- promise: three --> <!-- promise: four -->

    and so on
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("It holds.<!-- promise: one -->", "<!-- promise: one --> It holds."),
        ("It holds.", ""),
        ("<!-- promise: one -->", "`<!-- promise: one -->`"),
        ("<!-- promise: one -->", "`a\nb <!-- promise: one --> c`"),
        ("It holds.", "```sh\n"),
        ("| b <!-- promise: two --> |\n", "| b |"),
        ("-->\n\n ", "-->\nSo\n"),
    ],
)
def test_the_rule_sees_anchors_that_are_seen(old: str, new: str) -> None:
    assert [one.name for one in promises.anchors("p", PAGE)] == ["one", "two", "three", "four"]
    assert promises.seen(PAGE) == []
    closed = "\n```\n" if "```" in new else ""
    assert promises.seen(PAGE.replace(old, new) + closed) != []


MARKS = """
@pytest.mark.promise("one", "two")
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.promise("three"))])
def test_a():
    pass

@pytest.mark.promise("four")
def helper():
    pass

pytestmark = [pytest.mark.promise(FIVE)]
"""


def test_the_rule_sees_marks() -> None:
    assert sorted(promises.marks("f", MARKS), key=str) == [
        Mark("", ("four",)),
        Mark("", (None,)),
        Mark("f::test_a", ("one", "two")),
        Mark("f::test_a", ("three",)),
    ]
    assert list(promises.anchors("p", "a\n<!-- promise: x -->")) == [Promise("x", "p:2")]
