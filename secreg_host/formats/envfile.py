"""`KEY=value` files as systemd reads them (systemd.exec(5), EnvironmentFile=), with the line of every assignment."""

from __future__ import annotations

import re
from dataclasses import dataclass

from secreg_host.base.errors import Problem

BLANK = " \t"
ESCAPED_IN_DOUBLE_QUOTES = '"\\`$'


@dataclass(frozen=True)
class Assignment:
    """One `KEY=value`, the line (from 1) on which it begins, and where in the text: from its first character on, up to
    the end of its last line."""

    key: str
    value: str
    line: int
    begin: int = 0
    end: int = 0


def parse(text: str, where: str) -> tuple[tuple[Assignment, ...], tuple[Problem, ...]]:
    """All assignments of `text`, and a problem for each line that systemd would drop without a word.

    Quotes, escapes, continuation lines and comments are those of systemd: `#` or `;` begin a comment only as the
    first character of a line; the value's surrounding blanks are dropped; 'single quotes' keep everything,
    "double quotes" know \\" \\\\ \\` \\$. No problem quotes what it is about: it may be half of a password.
    """
    assignments: list[Assignment] = []
    problems: list[Problem] = []
    reader = _Reader(text)
    while not reader.done:
        reader.skip(BLANK + "\r\n")
        if reader.done:
            break
        line, begin = reader.line, reader.at
        if reader.peek in "#;":
            reader.comment()
            continue
        key = reader.until("=\n").strip()
        if reader.take() != "=":
            problems.append(Problem(f"{where}:{line}", "the line has no '='", "write KEY=value, or # before a remark"))
            continue
        value = reader.value()
        if value is None:
            problems.append(Problem(f"{where}:{line}", "a quote is opened and never closed", "close it"))
            break
        end = reader.at - 1 if text[reader.at - 1] == "\n" else reader.at
        assignments.append(Assignment(key, value, line, begin, end))
    return tuple(assignments), tuple(problems)


class _Reader:
    """A cursor over the text that counts lines."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1

    @property
    def done(self) -> bool:
        return self.at >= len(self.text)

    @property
    def peek(self) -> str:
        return self.text[self.at]

    def take(self) -> str:
        if self.done:
            return ""
        char = self.text[self.at]
        self.at += 1
        self.line += char == "\n"
        return char

    def skip(self, chars: str) -> None:
        while not self.done and self.peek in chars:
            self.take()

    def until(self, stops: str) -> str:
        start = self.at
        while not self.done and self.peek not in stops:
            self.take()
        return self.text[start : self.at]

    def comment(self) -> None:
        while (char := self.take()) not in ("", "\n"):
            if char == "\\":
                self.take()

    def value(self) -> str | None:
        """The value after `=`; None if a quote stays open."""
        parts: list[str] = []
        blanks = ""
        bare = False  # once a character stands outside quotes, later quotes are ordinary characters
        self.skip(BLANK)
        while (char := self.take()) not in ("", "\n"):
            if char in "'\"" and not bare:
                quoted = self.quoted(char)
                if quoted is None:
                    return None
                parts.append(quoted)
                self.skip(BLANK)
                continue
            if char in BLANK + "\r":
                blanks += char
                continue
            bare = True
            if char == "\\":
                char = self.take()
                if char == "\n":
                    continue
            parts.append(blanks + char)
            blanks = ""
        return "".join(parts)

    def quoted(self, quote: str) -> str | None:
        parts: list[str] = []
        while (char := self.take()) != quote:
            if char == "":
                return None
            if char == "\\" and quote == '"':
                char = self.take()
                if char == "\n":
                    continue
                if char not in ESCAPED_IN_DOUBLE_QUOTES:
                    char = "\\" + char
            parts.append(char)
        return "".join(parts)


def assignment(key: str, value: str) -> str:
    """`KEY=value` as one line that `parse`, systemd and a shell read back alike."""
    if value and all(char.isalnum() or char in "._-:/,@+=" for char in value):
        return f"{key}={value}"
    if not value:
        return f"{key}="
    escaped = "".join("\\" + char if char in ESCAPED_IN_DOUBLE_QUOTES else char for char in value)
    return f'{key}="{escaped}"'


def setting(text: str, key: str, value: str) -> str:
    """`text` with `key` set to `value`: in the place of its assignment; else below the line that shows it as a comment
    (`#KEY=`), or at the end. All other lines stay as they are."""
    new = assignment(key, value)
    found = [one for one in parse(text, "")[0] if one.key == key]
    if found:
        tail = "\r" if text[found[-1].end - 1] == "\r" else ""
        return text[: found[-1].begin] + new + tail + text[found[-1].end :]
    ending = "\r\n" if "\r\n" in text else "\n"
    if shown := re.search(rf"^#[ \t]*{re.escape(key)}=.*\n", text, re.MULTILINE):
        return text[: shown.end()] + new + ending + text[shown.end() :]
    return text + ("" if text.endswith("\n") or not text else ending) + new + ending
