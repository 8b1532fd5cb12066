"""What the documents promise, and the tests that see it: `make promises` prints a table of both.

A promise has its name where it is made, in an anchor that renders as nothing: `<!-- promise: NAME -->`. A test that
sees it broken says so: `@pytest.mark.promise("NAME")`. Both are read as text: nothing is imported, and nothing runs.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PAGES = (
    *(CHECKOUT / f"{name}.md" for name in ("README", "SECURITY", "ARCHITECTURE")),
    *sorted(CHECKOUT.glob("docs/*.md")),
)
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
COMMENT = re.compile(r"<!--(.*?)-->", re.DOTALL)
CODE = re.compile(r"^```.*?^```|(?<!`)`[^`]+`(?!`)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Promise:
    """An anchor of a page. where: `PAGE:LINE`."""

    name: str
    where: str


@dataclass(frozen=True)
class Mark:
    """A mark of a test file. test: `FILE::TEST` ("": it is on no test); names: of promises, as they stand there."""

    test: str
    names: tuple[str | None, ...]


def anchors(page: str, text: str) -> Iterator[Promise]:
    """Every anchor of a page, in order."""
    for found in COMMENT.finditer(text):
        key, colon, name = found[1].partition(":")
        if colon and key.strip() == "promise":
            yield Promise(name.strip(), f"{page}:{text[: found.start()].count(chr(10)) + 1}")


def seen(text: str) -> list[str]:
    """The lines of a page whose anchors a reader would see, or that change what he sees: in code, or before other words
    of their line, where a comment turns off Markdown until the line ends (CommonMark 4.6)."""
    lines = CODE.sub(lambda code: code[0].replace("<!--", "<code"), text).splitlines()
    wrong = [line for line in lines if "<code promise" in line]
    for before, line, after in zip(["", *lines], lines, [*lines[1:], ""], strict=False):
        if line.lstrip().startswith("<!-- promise"):
            alone = COMMENT.sub("", line).strip() == "" and before.strip() in ("", "```") and after.strip() == ""
            wrong += [] if alone else [line]
    return wrong


def marks(path: str, text: str) -> Iterator[Mark]:
    """Every mark of a test file, wherever it stands."""
    owners: dict[int, str] = {}
    for node in ast.walk(tree := ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            owners |= {id(one): f"{path}::{node.name}" for mark in node.decorator_list for one in ast.walk(mark)}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="mark"), attr="promise"), args=args):
                names = tuple(str(one.value) if isinstance(one, ast.Constant) else None for one in args)
                yield Mark(owners.get(id(node), ""), names)


def promises() -> list[Promise]:
    """Those of all pages."""
    return [one for page in PAGES for one in anchors(str(page.relative_to(CHECKOUT)), page.read_text())]


def marked() -> list[Mark]:
    """The marks of all tests."""
    paths = sorted((CHECKOUT / "tests").rglob("*.py"))
    return [one for path in paths for one in marks(str(path.relative_to(CHECKOUT)), path.read_text())]


def mutants(folder: Path = CHECKOUT / "tests/mutants") -> dict[str, Counter[str]]:
    """By what is named to see them, a file or a test: in which modules mutants are, and how many."""
    found: dict[str, Counter[str]] = {}
    for listing in sorted(folder.glob("*.toml")):
        for file in tomllib.loads(listing.read_text())["file"]:
            for one in file["mutant"]:
                for test in one.get("tests", file["tests"]):
                    found.setdefault(test, Counter())[file["path"]] += 1
    return found


def table() -> str:
    """Each promise; below it the tests that see it, and the mutants that these, or others of their files, see."""
    tests: dict[str | None, list[str]] = {}
    for mark in marked():
        for name in mark.names:
            tests.setdefault(name, []).append(mark.test)
    killed = mutants()

    def row(test: str) -> str:
        classes = killed.get(test, Counter()) + killed.get(test.partition("::")[0], Counter())
        return f"  {test}" + "".join(f"\n    mutants of {path}: {count}" for path, count in classes.items())

    return "\n".join("\n".join((f"{one.name} ({one.where})", *map(row, tests.get(one.name, [])))) for one in promises())


if __name__ == "__main__":
    print(table())
