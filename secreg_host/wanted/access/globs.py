"""Patterns of repository names, as zot has them, and the regular expressions that mean the same.

The words are those of doublestar (github.com/bmatcuk/doublestar, README): `*` any text within a segment, `**` as a
whole segment any number of segments, also none, `?` one character, `[a-z]` one of these, `[!a-z]` and `[^a-z]` one
other, `{a,b}` one of several, `\\` before a character that is meant itself.

An expression is read alike by Python's re and nginx's PCRE: names of repositories have 39 characters and "/", so each
character is one of these or a set of them, written out. It never takes long: what stands before a `*` or a `**` is
looked for from the left, and its first place, which leaves the most, is kept (an atomic group), so that nothing is
tried in all combinations.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789._-"
"""Of which segments of names are made (distribution, reference/regexp.go)."""

LONGEST, LARGEST = 500, 3000
"""Characters of a pattern, and of one of its expressions, at the most: a name has 255, a word of nginx.conf 4096."""

MOST = 64
"""For how many patterns without braces one with them may stand."""

DEEPEST = 8
"""Braces in each other at the most."""

NEVER = "(?!)"
"""An expression that nothing matches."""

ANY, STAR, DOUBLE, SLASH = "[^/]", "*", "**", "/"

Piece = str | tuple["Pieces", ...]
"""The expression of one character, STAR, SLASH; or several ways to go on."""

Pieces = tuple[Piece, ...]
Segment = tuple[str, ...]


class Wrong(ValueError):
    """What is wrong with a pattern, as a sentence."""


@dataclass
class _Reader:
    """The text of a pattern, how far it was read, and in how many braces that is."""

    text: str
    at: int = 0
    depth: int = 0

    @property
    def next(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self, missing: str) -> str:
        """The next character. Raises Wrong with `missing` where there is none."""
        if not (found := self.next):
            raise Wrong(missing)
        self.at += 1
        return found


def problem(pattern: str) -> str:
    """What is wrong with `pattern`; "": nothing is."""
    try:
        if max(map(len, expressions(pattern)), default=0) > LARGEST:
            return "it says too much"
    except Wrong as error:
        return str(error)
    return ""


def possible(pattern: str) -> bool:
    """Whether there can be a repository that `pattern` is about."""
    return expression(pattern) != NEVER


def specific(pattern: str) -> int:
    """How much `pattern` counts against another one that is about the same repository: the longer text decides, as in
    zot."""
    return len(pattern)


@functools.lru_cache(4096)
def expression(pattern: str) -> str:
    """The regular expression of the whole names that `pattern` is about; it has no group that is counted, and neither
    quotes nor blanks nor backslashes. Raises Wrong."""
    return "|".join(expressions(pattern)) or NEVER


@functools.lru_cache(4096)
def expressions(pattern: str) -> tuple[str, ...]:
    """The same as several, one of which matches. Raises Wrong."""
    return tuple(dict.fromkeys(_expression(one) for one in _alternatives(pattern) if _can_be(one)))


def matches(pattern: str, repository: str) -> bool:
    """Whether `pattern` is about `repository`. Raises Wrong."""
    return _compiled(pattern).fullmatch(repository) is not None


@functools.lru_cache(4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(expression(pattern))


def literal(pattern: str) -> str | None:
    """The one name that `pattern` is about; None: there may be several. Raises Wrong."""
    ways = _alternatives(pattern)
    return _text([piece for segment in ways[0] for piece in (*segment, SLASH)][:-1]) if len(ways) == 1 else None


def first_segments(pattern: str) -> frozenset[str] | None:
    """With which segments the names begin that `pattern` is about; None: with any. Raises Wrong."""
    found = {_text(one[0]) for one in _alternatives(pattern) if _can_be(one)}
    return None if None in found else frozenset(text for text in found if text is not None)


def _text(pieces: Sequence[str]) -> str | None:
    """The text that `pieces` are; None: they may be several."""
    plain = [piece[1:-1] if piece == "[.]" else piece for piece in pieces]
    return "".join(plain) if all(len(one) == 1 and one in LETTERS + SLASH for one in plain) else None


def _can_be(way: tuple[Segment, ...]) -> bool:
    """Whether a name can be like `way`: it has no empty segments, and none of other characters."""
    return all(segment and NEVER not in segment for segment in way)


@functools.lru_cache(4096)
def _alternatives(pattern: str) -> tuple[tuple[Segment, ...], ...]:
    """The ways that `pattern` stands for, each as its segments. Raises Wrong."""
    if not pattern:
        raise Wrong("the pattern is empty")
    if len(pattern) > LONGEST:
        raise Wrong(f"the pattern has more than {LONGEST} characters")
    return tuple(map(_segments, _expanded(_pieces(_Reader(pattern), closing=""))))


def _pieces(reader: _Reader, closing: str) -> Pieces:
    """What stands before the end, or before one of `closing`."""
    found: list[Piece] = []
    while reader.next and reader.next not in closing:
        char = reader.take("")
        if char == "{":
            found.append(_choices(reader))
        elif char == "[":
            found.append(_class(reader))
        elif char == "}":
            raise Wrong("a } without a { (a } that is meant itself has a \\ before it)")
        elif char in (STAR, SLASH):
            found.append(char)
        else:
            found.append(ANY if char == "?" else _one(reader.take("a \\ at the end") if char == "\\" else char))
    return tuple(found)


def _choices(reader: _Reader) -> tuple[Pieces, ...]:
    """The ways that begin behind a "{"."""
    found = []
    reader.depth += 1
    if reader.depth > DEEPEST:
        raise Wrong(f"more than {DEEPEST} braces in each other")
    while True:
        found.append(_pieces(reader, closing=",}"))
        if reader.take("a { without a }") == "}":
            reader.depth -= 1
            return tuple(found)


def _class(reader: _Reader) -> str:
    """The set that begins behind a "["."""
    missing = "a [ without a ]"
    other = reader.next in ("!", "^")
    if other:
        reader.take(missing)
    chars: set[str] = set()
    while not chars or reader.next != "]":
        low = _member(reader, missing)
        high = low
        if reader.next == "-" and reader.text[reader.at + 1 : reader.at + 2] not in ("]", ""):
            reader.take(missing)
            high = _member(reader, missing)
        if high < low:
            raise Wrong(f"the range {low}-{high} ends before it begins")
        chars |= {low, high, *(letter for letter in LETTERS if low <= letter <= high)}
    reader.take(missing)
    return _one("".join(letter for letter in LETTERS if (letter in chars) != other))


def _member(reader: _Reader, missing: str) -> str:
    char = reader.take(missing)
    return reader.take(missing) if char == "\\" else char


def _one(chars: str) -> str:
    """The expression of one of `chars`."""
    if len(chars) == 1 and chars in LETTERS:
        return "[.]" if chars == "." else chars
    known = [char for char in chars if char in LETTERS]
    return f"[{''.join(known)}]" if known else NEVER  # "-" stands last in LETTERS


def _expanded(pieces: Pieces) -> list[tuple[str, ...]]:
    """Each way to read `pieces`. Raises Wrong where there are too many."""
    ways: list[tuple[str, ...]] = [()]
    for piece in pieces:
        ends: list[tuple[str, ...]] = (
            [(piece,)] if isinstance(piece, str) else [end for choice in piece for end in _expanded(choice)]
        )
        ways = [way + end for way in ways for end in ends]
        if len(ways) > MOST:
            raise Wrong(f"the braces stand for more than {MOST} patterns")
    return ways


def _segments(way: Sequence[str]) -> tuple[Segment, ...]:
    """`way` cut at each "/"; a segment of two stars is (DOUBLE,), and one that follows another is left out."""
    found: list[Segment] = [()]
    for piece in way:
        found = [*found, ()] if piece == SLASH else [*found[:-1], (*found[-1], piece)]
    double = [(DOUBLE,) if segment == (STAR, STAR) else segment for segment in found]
    return tuple(one for n, one in enumerate(double) if n == 0 or one != (DOUBLE,) or double[n - 1] != one)


def _expression(way: tuple[Segment, ...]) -> str:
    """The expression of one way: what is before the first `**`, between others, and behind the last one."""
    chunks: list[list[Segment]] = [[]]
    for segment in way:
        if segment == (DOUBLE,):
            chunks.append([])
        else:
            chunks[-1].append(segment)
    texts = [SLASH.join(map(_segment, chunk)) for chunk in chunks]
    first, *others = texts
    if not others:
        return first
    *middle, last = others
    skipped = "(?:[^/]+/)"
    if not last and not middle:
        return f"{first}(?:/.*)?" if first else ".*"
    found = f"{first}/" if first else ""
    if not last:
        *middle, last = middle
        last += "(?:/.*)?"
    return found + "".join(f"(?>{skipped}*?{one}/)" for one in middle) + f"{skipped}*?{last}"


def _segment(segment: Segment) -> str:
    """The expression of one segment: its last piece reaches to the end, those before it are taken where they come."""
    pieces = "\0".join(segment).split(STAR)
    first, *others = ["".join(piece.split("\0")) for piece in pieces]
    if not others:
        return first
    *middle, last = others
    found = "".join(f"(?>[^/]*?{one})" for one in middle if one)
    return f"{first}{found}[^/]*{last}"
