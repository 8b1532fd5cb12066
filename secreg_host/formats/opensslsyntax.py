"""OpenSSL's config(5) by the letter of OpenSSL (crypto/conf/conf_def.c): lines, sections, names, quotes, variables.

Only what OpenSSL takes in silence for something else than what stands there is a problem here: a quote that is not
closed, a name that is set twice, text behind `]`, a line that a comment swallows; and what is not the file's own: other
files, the environment. `tests/real/test_opensslcnf.py` compares both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from secreg_host.base.errors import Problem

DEFAULT = "default"
"""The section of what stands before any header; what another section lacks is looked for there."""

LONGEST = 65536
"""Characters that variables may add to a file: they could make it grow without end. (OpenSSL: to a value.)"""

BLANK = " \t\r\n"
_LETTERS = r"\w!.%&*+,/;?@^~|\-"
_NAME = rf"(?:\\.|[{_LETTERS}])*"
_VARIABLE = r"(?:\w*::)?\w*"
HEADER = re.compile(rf"\[((?:\\.|[{_LETTERS} \t\r])*)\]", re.ASCII)
ASSIGNMENT = re.compile(rf"(?:({_NAME})::)?({_NAME})[ \t\r]*=(.*)", re.ASCII | re.DOTALL)
DIRECTIVE = re.compile(r"\.(?:include|pragma)(?=[ \t\r=]|\Z)")
TOKEN = re.compile(
    r"""(?P<quoted>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`)|(?P<open>['"`])"""
    r"""|\\(?P<escaped>.?)|(?P<comment>#)"""
    rf"""|\$(?:\{{(?P<braced>{_VARIABLE})\}}|\((?P<round>{_VARIABLE})\)|(?P<bare>{_VARIABLE}))""",
    re.ASCII | re.DOTALL,
)
"""What is more than its letters. Without a closing quote or bracket a `'` is open, and a `$` names nothing."""

ESCAPES = {"r": "\r", "n": "\n", "b": "\b", "t": "\t"}


@dataclass(frozen=True)
class Value:
    """A value without quotes, escapes and variables, and the place that its line begins at (`file:line`)."""

    text: str
    where: str


Sections = dict[str, dict[str, Value]]


def sections(text: str, where: str) -> tuple[Sections, list[Problem]]:
    """The sections of `text`, each with its names in the order of the file, and the lines that can't be used."""
    reader = _Reader()
    for number, pieces in _lines(text.removeprefix("\ufeff")):
        reader.take(pieces, f"{where}:{number}")
    return reader.sections, reader.problems


def lookup(found: Sections, section: str, name: str) -> Value | None:
    """The value of `name` in `section`, or in the default section; None: in neither."""
    own = found.get(section, {}).get(name)
    return own if own is not None else found[DEFAULT].get(name)


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each line in pieces, with the number of the first: a backslash at the end, unless two are there, takes in the
    next line."""
    pieces: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        piece = line.rstrip("\r")
        goes_on = piece.endswith("\\") and not piece.endswith("\\\\")
        pieces.append(piece[:-1] if goes_on else piece)
        if not goes_on:
            yield number - len(pieces) + 1, pieces
            pieces = []
    if pieces:
        yield number - len(pieces) + 1, pieces


class _Reader:
    def __init__(self) -> None:
        self.sections: Sections = {DEFAULT: {}}
        self.problems: list[Problem] = []
        self.current = DEFAULT
        self.place = ""
        self.left = LONGEST

    def wrong(self, what: str, hint: str) -> None:
        self.problems.append(Problem(self.place, what, hint))

    def take(self, pieces: Sequence[str], place: str) -> None:
        """The line that consists of `pieces` and begins at `place`."""
        self.place = place
        line = self.uncommented("".join(pieces), len(pieces[-1]))
        if not line:
            return
        if DIRECTIVE.match(line):
            self.wrong("other files are not read (.include), nor is the grammar changed (.pragma)", "write it all here")
        elif header := HEADER.fullmatch(line):
            self.current = self.value(header[1].strip(BLANK))
            self.sections.setdefault(self.current, {})
        elif line.startswith("["):
            self.wrong("not a section alone on its line", "write: [NAME]")
        elif found := ASSIGNMENT.fullmatch(line):
            section = self.current if found[1] is None else found[1]
            self.set(section, found[2], self.value(found[3].strip(BLANK), section))
        else:
            self.wrong("neither [section] nor name = value", "write one of the two, or # before it")

    def set(self, section: str, name: str, text: str) -> None:
        names = self.sections.setdefault(section, {})
        if name in names:
            first = names.pop(name).where.rpartition(":")[2]
            hint = "remove one of them; several of a kind are numbered, such as DNS.1, DNS.2"
            self.wrong(f"the same name as in line {first}, and only the last one counts", hint)
        names[name] = Value(text, self.place)

    def uncommented(self, line: str, last: int) -> str:
        """`line`, whose last piece has `last` characters, without its comment and blanks around; "": no use of it."""
        for token in TOKEN.finditer(line):
            if token["open"]:
                self.wrong(f"the quote {token[0]} is not closed", f"close it, or write \\{token[0]} if it is none")
                return ""
            if token["comment"]:
                if token.start() < len(line) - last:
                    self.wrong("a comment that swallows the next line", "remove the backslash at its end")
                line = line[: token.start()]
                break
        return line.strip(BLANK)

    def value(self, text: str, section: str = DEFAULT) -> str:
        """What `text`, which stands in `section`, means."""

        def meaning(token: re.Match[str]) -> str:
            if token["quoted"]:
                return re.sub(r"\\(.)", r"\1", token[0][1:-1], flags=re.DOTALL)
            if token["escaped"] is not None:
                return ESCAPES.get(token["escaped"], token["escaped"])
            return self.variable(token["braced"] or token["round"] or token["bare"] or "", section)

        return TOKEN.sub(meaning, text)

    def variable(self, name: str, section: str) -> str:
        named, colons, key = name.rpartition("::")
        found = lookup(self.sections, named if colons else section, key)
        if found is None and named == "ENV":
            self.wrong("the environment is not the same whenever a certificate is issued", "write the value itself")
        elif found is None:
            self.wrong("a variable in it is not set above", "set it there, or write \\$ for a plain dollar")
        elif len(found.text) > self.left:
            self.wrong(f"variables make the file longer by {LONGEST} characters", "write values instead of variables")
        else:
            self.left -= len(found.text)
            return found.text
        return ""
