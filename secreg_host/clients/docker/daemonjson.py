"""daemon.json of the Docker daemon: entries of "insecure-registries" put in and taken out as text. Pure.

Everything else in the file stays byte for byte: order, indentation, line ends, other keys. What dockerd would not
read, or reads differently in different versions (a byte order mark, a key that stands twice), is refused.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from secreg_host.base import quoting, records, utf8
from secreg_host.base.errors import BadInput, bad_input
from secreg_host.clients.edits import Mine

KEY = "insecure-registries"
BLANK = re.compile(r"[ \t\r\n]*")
INDENT = "  "
HINT = "correct it; what is wrong says: python3 -m json.tool /etc/docker/daemon.json"


@dataclass(frozen=True)
class Item:
    """A member of an object or an element of an array: where it begins and ends; name is None in an array."""

    start: int
    end: int
    value_start: int
    value: Any
    name: str | None = None


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_constant)


class _Text:
    """The text of a daemon.json with the places of its parts."""

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.where = where

    def bad(self, at: int, what: str, hint: str = HINT) -> BadInput:
        return bad_input(f"{self.where}:{self.text.count(chr(10), 0, at) + 1}", what, hint)

    def blank(self, at: int) -> int:
        match = BLANK.match(self.text, at)
        assert match is not None
        return match.end()

    def value(self, at: int) -> tuple[Any, int]:
        try:
            return _DECODER.raw_decode(self.text, at)
        except json.JSONDecodeError as error:
            raise self.bad(error.pos, f"is not JSON: {error.msg}") from None
        except RecursionError:
            raise self.bad(at, "is nested too deeply") from None
        except ValueError as error:
            raise self.bad(at, f"is not JSON: {error}") from None

    def items(self, at: int, closing: str) -> Iterator[Item]:
        """The items from `at`, right after the opening bracket, to the closing one."""
        at = self.blank(at)
        if self.text[at : at + 1] == closing:
            return
        while True:
            start = at
            name: str | None = None
            if closing == "}":
                if self.text[at : at + 1] != '"':
                    raise self.bad(at, "is not JSON: a key in double quotes is missing here")
                name, at = self.value(at)
                at = self.blank(at)
                if self.text[at : at + 1] != ":":
                    raise self.bad(at, "is not JSON: no ':' after a key")
                at = self.blank(at + 1)
            value, end = self.value(at)
            yield Item(start, end, at, value, name)
            at = self.blank(end)
            if self.text[at : at + 1] == closing:
                return
            if self.text[at : at + 1] != ",":
                raise self.bad(at, f"is not JSON: ',' or {closing!r} is missing here")
            at = self.blank(at + 1)

    def members(self) -> list[Item]:
        """The members of the whole text, an object. Raises BadInput unless it is one and nothing else."""
        text = self.text
        if text.startswith("\ufeff"):
            hint = f"sed -i '1s/^\\xEF\\xBB\\xBF//' {quoting.shell(self.where)}"
            raise self.bad(0, "begins with a byte order mark, which dockerd may not read", hint)
        at = self.blank(0)
        if text[at : at + 1] != "{":
            raise self.bad(at, "is not a JSON object")
        found = list(self.items(at + 1, "}"))
        end = self.blank(self.blank(found[-1].end if found else at + 1) + 1)
        if end != len(text):
            raise self.bad(end, "is not JSON: something follows the closing '}'")
        names = Counter(item.name for item in found)
        for item in found:
            if names[item.name] > 1:
                raise self.bad(item.start, "a key stands there twice", "remove one of the two")
            if item.name is not None and item.name != KEY and item.name.lower() == KEY:
                raise self.bad(item.start, f"the key is spelled {KEY!r}", "correct it")
        return found

    def holder(self) -> Item | None:
        """The member "insecure-registries". Raises BadInput if it is not a list of texts."""
        for item in self.members():
            if item.name == KEY:
                good = isinstance(item.value, list) and all(isinstance(entry, str) for entry in item.value)
                if item.value is not None and not good:
                    raise self.bad(item.value_start, f"{KEY!r} is not a list of texts", HINT)
                return item
        return None


class DaemonJson:
    """`edits.Kind` of daemon.json."""

    def __init__(self, where: str) -> None:
        self.where = where

    def entries(self, data: bytes | None) -> tuple[str, ...] | None:
        """What "insecure-registries" holds; None when there is no such key."""
        if data is None or not data.strip(b" \t\r\n"):
            return None
        holder = _Text(utf8.exact(data, self.where, HINT), self.where).holder()
        return None if holder is None else tuple(holder.value or ())

    def add(self, data: bytes | None, wanted: tuple[str, ...]) -> tuple[bytes, tuple[str, ...], bool]:
        present = self.entries(data)
        missing = tuple(entry for entry in dict.fromkeys(wanted) if entry not in (present or ()))
        if not missing:
            return data or b"", (), False
        if data is None or not data.strip(b" \t\r\n"):
            return f"{{\n{INDENT}{_member(missing, INDENT, _newline(''), ': ')}\n}}\n".encode(), missing, True
        text = _Text(utf8.exact(data, self.where, HINT), self.where)
        new = _into_key(text, missing) if present is not None else _new_key(text, missing)
        self._verify(text.text, new, (*(present or ()), *missing))
        return new.encode(), missing, present is None

    def take_out(self, data: bytes, mine: Mine) -> bytes | None:
        if not data.strip(b" \t\r\n"):
            return data
        text = _Text(utf8.exact(data, self.where, HINT), self.where)
        holder = text.holder()
        if holder is None:
            return data
        gone = [entry for entry in holder.value or () if entry in mine.added]
        if mine.made and len(gone) == len(holder.value or ()):
            members = text.members()
            if mine.before is None and len(members) == 1:
                return None
            return _without(text.text, members, members.index(holder)).encode()
        for entry in gone:
            holder = text.holder()
            assert holder is not None
            elements = list(text.items(holder.value_start + 1, "]"))
            text = _Text(_without(text.text, elements, [item.value for item in elements].index(entry)), self.where)
        return text.text.encode()

    def _verify(self, before: str, after: str, entries: tuple[str, ...]) -> None:
        """No edit by text is trusted: read again, it must be the same but for the entries."""
        old, new = json.loads(before), json.loads(after)
        old.pop(KEY, None)
        if new.pop(KEY) != list(entries) or list(old.items()) != list(new.items()):
            raise bad_input(self.where, "can't be edited safely", f"add to {KEY!r} by hand: {json.dumps(entries)}")


def hosts(data: bytes | None) -> tuple[str, ...]:
    """What "hosts" lists, where dockerd listens, in `data`, the bytes of daemon.json; nothing where that is no JSON."""
    found = records.parsed(data)
    return tuple(found["hosts"]) if records.fits(found, {"hosts": [str]}) and "hosts" in found else ()


def emptied(data: bytes, where: str) -> bytes:
    """`data`, which has the key, with an empty list."""
    text = _Text(utf8.exact(data, where, HINT), where)
    holder = text.holder()
    assert holder is not None
    return f"{text.text[: holder.value_start]}[]{text.text[holder.end :]}".encode()


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _member(entries: tuple[str, ...], indent: str, newline: str, colon: str) -> str:
    """`"insecure-registries": [...]` on several lines, or on one if `newline` is empty."""
    if not newline:
        return f'"{KEY}"{colon}[{", ".join(map(json.dumps, entries))}]'
    step = indent if indent else INDENT
    lines = f",{newline}".join(f"{indent}{step}{json.dumps(entry)}" for entry in entries)
    return f'"{KEY}"{colon}[{newline}{lines}{newline}{indent}]'


def _new_key(text: _Text, entries: tuple[str, ...]) -> str:
    """The text with the key as its last member, laid out as the member before it."""
    members, raw = text.members(), text.text
    if not members:
        at = text.blank(0) + 1
        newline = _newline(raw)
        ending = "" if "\n" in raw[at : text.blank(at)] else newline
        return f"{raw[:at]}{newline}{INDENT}{_member(entries, INDENT, newline, ': ')}{ending}{raw[at:]}"
    last = members[-1]
    lead = re.search(r"[ \t\r\n]*\Z", raw[: last.start])
    assert lead is not None
    space = lead[0]
    newline = _newline(raw) if "\n" in space else ""
    indent = space.rpartition("\n")[2]
    colon = ":" if raw[last.value_start - 1] == ":" else ": "
    if len(members) == 1 and not newline:
        space = " " if colon == ": " else ""
    return f"{raw[: last.end]},{space}{_member(entries, indent, newline, colon)}{raw[last.end :]}"


def _into_key(text: _Text, entries: tuple[str, ...]) -> str:
    """The text with `entries` at the end of the list, laid out as its last element."""
    holder, raw = text.holder(), text.text
    assert holder is not None
    if not holder.value:
        listed = f"[{', '.join(map(json.dumps, entries))}]"
        return raw[: holder.value_start] + listed + raw[holder.end :]
    elements = list(text.items(holder.value_start + 1, "]"))
    last = elements[-1]
    lead = re.search(r"[ \t\r\n]*\Z", raw[: last.start])
    assert lead is not None
    space = lead[0] or ("" if len(elements) > 1 else " ")
    return raw[: last.end] + "".join(f",{space}{json.dumps(entry)}" for entry in entries) + raw[last.end :]


def _without(text: str, items: list[Item], number: int) -> str:
    """`text` without one of `items`, and without one of the commas next to it."""
    item = items[number]
    if number > 0:
        return text[: items[number - 1].end] + text[item.end :]
    if len(items) > 1:
        return text[: item.start] + text[items[1].start :]
    opening = len(text[: item.start].rstrip(" \t\r\n"))
    return text[:opening] + text[item.end :].lstrip(" \t\r\n")
