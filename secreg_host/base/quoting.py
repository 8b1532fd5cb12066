"""Text for others to read as data, whatever it holds: one function for each language that we write.

What none of them can hold raises ValueError. Templates take nothing but what went through here (templating.py).
"""

from __future__ import annotations

import json as _json
import re
import shlex
from collections.abc import Callable, Iterable

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
PLAIN = re.compile(r"[A-Za-z0-9_./:@=,+-]+")
"""Words that mean themselves wherever we write; they need no quotes, which read worse."""

NAME_MAX = 255
"""Bytes of the name of a file (limits.h(0p))."""


class Quoted(str):
    """Text as its target wants it: by a function of this module, or a constant of our own in that language."""

    __slots__ = ()


def line(value: object) -> Quoted:
    """`value` as text that stays on its line, such as a remark."""
    text = str(value)
    if CONTROL.search(text):
        raise ValueError("a control character can't stand here")
    return Quoted(text)


def shell(value: object) -> Quoted:
    """`value` as one word of sh (POSIX, Shell Command Language, 2.2)."""
    text = str(value)
    if "\0" in text:
        raise ValueError("a shell knows no NUL")
    return Quoted(shlex.quote(text))


def unit_word(value: object, instance: str = "") -> Quoted:
    """`value` as one word of `ExecStart=:` (where `:` turns `$` into a character like others) or `Environment=`.

    instance: text that stands for the instance's name (`%i`), if it is not "". Source: systemd.syntax(7), "Quoting";
    systemd.unit(5), "Specifiers".
    """
    text = str(value)
    pieces = text.split(instance) if instance else [text]
    if any("\0" in piece for piece in pieces):
        raise ValueError("a unit knows no NUL")
    escaped = [re.sub(r'[\\"]', r"\\\g<0>", piece).replace("%", "%%") for piece in pieces]
    words = [CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", piece) for piece in escaped]
    bare = all(PLAIN.fullmatch(piece) for piece in pieces if piece) and text
    return Quoted("%i".join(words) if bare else f'"{"%i".join(words)}"')


def unit_path(value: object) -> Quoted:
    """`value` as one path of a list of them, such as `ReadWritePaths=`: systemd knows quotes there; what a backslash is
    depends on the key."""
    text = line(value).replace("%", "%%")
    if "\\" in text:
        raise ValueError("a unit can't name a path with a backslash")
    if PLAIN.fullmatch(text):
        return Quoted(text)
    return Quoted("".join(f"'{piece}'" if piece == '"' else f'"{piece}"' for piece in re.split('(")', text) if piece))


def unit_line(value: object) -> Quoted:
    """`value` as all that follows `=`, where systemd takes neither quotes nor escapes, such as `PIDFile=`."""
    text = line(value)
    if text != text.strip() or text.endswith("\\") or not text:
        raise ValueError("a blank at either end, or a backslash at the end, can't stand here")
    return Quoted(text.replace("%", "%%"))


def nginx(value: object) -> Quoted:
    """`value` as one word of nginx.conf (ngx_conf_read_token); there is no way to write a `$` that is no variable."""
    text = str(value)
    return Quoted(text if PLAIN.fullmatch(text) else f'"{nginx_part(text)}"')


def nginx_part(value: object) -> Quoted:
    """The same for a part of a word that stands in double quotes."""
    text = line(value)
    if "$" in text:
        raise ValueError("nginx takes a $ for a variable")
    return Quoted(re.sub(r'[\\"]', r"\\\g<0>", text))


def nginx_value(value: object) -> Quoted:
    """`value` as one word of nginx.conf where variables count; a `$` in it is the value of one (front/http.conf.j2)."""
    return Quoted('"' + "${secreg_dollar}".join(map(nginx_part, str(value).split("$"))) + '"')


def nginx_text(value: object) -> Quoted:
    """`value` as one word of nginx.conf that keeps its variables, as an administrator wrote it."""
    escaped = re.sub(r'[\\"]', r"\\\g<0>", str(value))
    return Quoted(f'"{escaped}"')


def json(value: object) -> Quoted:
    """`value` as JSON, which is JavaScript too (ECMA-262, 2019); in ASCII."""
    return Quoted(_json.dumps(value))


def basic_string(value: object) -> Quoted:
    """`value` as a string in double quotes of TOML 1.0 and of YAML 1.1, which know the same escapes; in ASCII."""
    text = str(value)
    text.encode()  # half a surrogate pair is in neither of them
    return Quoted('"' + "".join(_escaped(char) for char in text) + '"')


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if " " <= char <= "~":
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def yaml(value: object) -> Quoted:
    """`value` as a string of YAML; a path that means itself without quotes."""
    text = str(value)
    return Quoted(text) if text.startswith("/") and re.fullmatch(r"[A-Za-z0-9_./-]+", text) else basic_string(text)


def openssl(value: object) -> Quoted:
    """`value` as a value of OpenSSL's config(5)."""
    text = line(value)
    if text != text.strip():
        raise ValueError("a blank at either end can't stand here")
    return Quoted(re.sub(r"[\\\"'`#$]", r"\\\g<0>", text))


def component(value: object) -> str:
    """`value` as the name of a file or directory in a directory of others: it leads nowhere else, and is not hidden."""
    text = line(value)
    if not text or text.startswith(".") or "/" in text or len(text.encode()) > NAME_MAX:
        raise ValueError("this can't be the name of a file")
    return str(text)


def _words(quote: Callable[[object], Quoted]) -> Callable[[object], Quoted]:
    """`quote` for one value, or for each of several, with blanks between them."""

    def quoted(value: object) -> Quoted:
        if isinstance(value, Iterable) and not isinstance(value, str):
            return Quoted(" ".join(map(quote, value)))
        return quote(value)

    return quoted


FILTERS: dict[str, Callable[[object], Quoted]] = {
    "line": line,
    "shell": _words(shell),
    "unit_word": _words(unit_word),
    "unit_path": unit_path,
    "unit_line": unit_line,
    "nginx": _words(nginx),
    "nginx_part": nginx_part,
    "nginx_text": _words(nginx_text),
    "nginx_value": nginx_value,
    "json": json,
    "yaml": yaml,
    "openssl": openssl,
}
"""For templates, by name."""


STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What steers a terminal, turns the order of what is shown, or can't be shown at all."""


def plain(text: str) -> str:
    """`text`, which anybody may have written, for a terminal: nothing in it steers that."""
    return STEERING.sub("?", text)
