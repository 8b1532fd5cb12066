"""How many lines of code the program has, room by room: `python -m tests.size [REVISION]` (default: the last commit).

Blank lines, comments, docstrings and what is only logged do not count: what is written for a reader costs nothing.
"""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator

SPACE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def code(text: str) -> int:
    """The lines of the module `text` on which there is code."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    lines = {line for one in tokens if one.type not in SPACE for line in range(one.start[0], one.end[0] + 1)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.stmt) and _is_said(node):
            lines -= set(range(node.lineno, (node.end_lineno or 0) + 1))
    return len(lines)


def _is_said(node: ast.stmt) -> bool:
    """Whether the statement is a docstring, or is about logging alone."""
    if isinstance(node, ast.Import):
        return [one.name for one in node.names] == ["logging"]
    if isinstance(node, ast.Assign):
        return ast.unparse(node.value).startswith("logging.getLogger(")
    if not isinstance(node, ast.Expr):
        return False
    if isinstance(node.value, ast.Call):
        return ast.unparse(node.value.func).partition(".")[0] in ("log", "logging")
    return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _git(*args: str) -> str:
    return subprocess.run(["git", *args], check=True, capture_output=True, text=True).stdout


def modules(revision: str) -> Iterator[tuple[str, str]]:
    """The modules of the program at `revision`: the room of each, and its text."""
    for path in _git("ls-tree", "-r", "--name-only", revision, "secreg_host").splitlines():
        if path.endswith(".py"):
            yield path.split("/")[1] if path.count("/") > 1 else ".", _git("show", f"{revision}:{path}")


def main(revision: str = "HEAD") -> None:
    """Print it."""
    found: Counter[str] = Counter()
    for room, text in modules(revision):
        found[room] += code(text)
    for room, lines in sorted(found.items()):
        print(f"{lines:7,} {room}")
    print(f"{found.total():7,} in all, at {revision}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
