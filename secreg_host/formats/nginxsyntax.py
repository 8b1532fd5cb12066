"""nginx's syntax: words, quotes, escapes, comments, `;` and blocks, as nginx reads them (ngx_conf_read_token).

What nginx would take for a directive must be one here: lines that lead past the password check are found by it.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from secreg_host.base import patterns, utf8
from secreg_host.base.errors import bad_input

DIRECTIVES, BLOCKS = 300_000, 100
"""Directives of one file, and how deep its blocks are nested, at the most."""

TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)|(?P<comment>\#[^\n]*)|(?P<sign>[;{}])
      |"(?P<double>(?:\\.|[^"\\])*)"|'(?P<single>(?:\\.|[^'\\])*)'
      |(?P<word>(?:\\.|\$\{+|[^ \t\r\n;{}\\"'])(?:\\.|\$\{+|[^ \t\r\n;{\\])*)""",
    re.VERBOSE | re.DOTALL,
)

ESCAPE = re.compile(r"""\\(["'\\trn])""")
ESCAPED = {"t": "\t", "r": "\r", "n": "\n"}
"""Escapes that nginx resolves; before anything else, a backslash stays."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the file: its text without quotes, its place in the text, its line (from 1)."""

    text: str
    start: int
    end: int
    line: int


@dataclass(frozen=True, slots=True)
class Directive:
    """A directive: its words (name first), the names of the blocks around it, and whether it opens one."""

    words: tuple[Word, ...]
    context: tuple[str, ...]
    opens: bool
    end: int

    @property
    def name(self) -> str:
        """Its first word."""
        return self.words[0].text

    @property
    def args(self) -> tuple[str, ...]:
        """Its other words."""
        return tuple(word.text for word in self.words[1:])


def parse(text: str, where: str) -> tuple[Directive, ...]:
    """The directives of `text` in order. Raises BadInput at the first place that is not nginx syntax."""
    found: list[Directive] = []
    words: list[Word] = []
    blocks: list[Word] = []
    at, line = len(text) - len(text.removeprefix(utf8.BOM)), 1
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise bad_input(f"{where}:{line}", "a quote or an escape is not closed", "close it")
        kind, start, at = match.lastgroup, at, match.end()
        if kind == "sign":
            _sign(match["sign"], found, words, blocks, at, where, line)
        elif kind in ("double", "single", "word"):
            words.append(Word(_unescaped(match[kind]), start, at, line))
        line += text.count("\n", start, at)
    if words:
        raise bad_input(f"{where}:{words[0].line}", "no ';' at the end of the directive", "end it with ;")
    if blocks:
        raise bad_input(f"{where}:{blocks[-1].line}", "this { is never closed", "add a }")
    return tuple(found)


def _unescaped(text: str) -> str:
    return ESCAPE.sub(lambda match: ESCAPED.get(match[1], match[1]), text)


def nested(directives: Sequence[Directive]) -> Iterator[tuple[Directive, tuple[Directive, ...]]]:
    """Each of the directives of a file with the blocks around it there, the outermost first."""
    around: list[Directive] = []
    for directive in directives:
        del around[len(directive.context) :]
        yield directive, tuple(around)
        if directive.opens:
            around.append(directive)


def _sign(
    sign: str, found: list[Directive], words: list[Word], blocks: list[Word], end: int, where: str, line: int
) -> None:
    if sign == "}":
        if words:
            raise bad_input(f"{where}:{words[0].line}", "no ';' at the end of the directive", "end it with ;")
        if not blocks:
            raise bad_input(f"{where}:{line}", "a } too many", "remove it, or add the { that it should close")
        blocks.pop()
        return
    if not words:
        raise bad_input(f"{where}:{line}", f"unexpected {sign!r}", "remove it, or put a directive before it")
    if len(found) >= DIRECTIVES or len(blocks) > BLOCKS:
        what = f"more than {DIRECTIVES} directives, or blocks nested deeper than {BLOCKS} levels"
        raise bad_input(
            f"{where}:{line}", what, "see whether it is the right file; leave out what the registry does not need"
        )
    found.append(Directive(tuple(words), tuple(block.text for block in blocks), sign == "{", end))
    if sign == "{":
        blocks.append(words[0])
    words.clear()


def included(word: str, base: Path) -> tuple[Path, ...]:
    """The files for which `word` of an `include` stands; base: the directory of relative ones.

    Raises BadInput for a pattern through which too much would be looked at (`patterns.expand`).
    """
    if not glob.has_magic(word):
        return (base / word,)
    return patterns.expand(word if word.startswith("/") else f"{glob.escape(str(base))}/{word}")
