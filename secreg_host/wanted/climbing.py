"""How far up a path may lead that nginx makes of what a client sends: `..` in variables and captures of nginx.conf.

nginx resolves `..` in a request's own path, and nowhere else: not in what a regular expression took out of it, nor in
arguments and headers. `location ~ ^/f(.*)$ { alias /srv/www/$1; }` sends /srv/keys/x for /f../keys/x.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from secreg_host.formats.nginxsyntax import Directive

VARIABLE = re.compile(r"\$\{?(?P<name>\w+)\}?")
RESOLVED = {
    "uri", "document_uri", "fastcgi_script_name", "fastcgi_path_info",
    "request_filename", "document_root", "realpath_root", "host", "server_name", "hostname", "ssl_server_name",
    "server_port", "server_addr", "remote_addr", "remote_port", "binary_remote_addr", "realip_remote_addr",
    "scheme", "https", "request_method", "is_args", "pid", "connection", "msec", "time_iso8601", "request_id",
    "nginx_version",
}  # fmt: skip
"""Variables that hold no `..`: paths that nginx has resolved (but for a rewrite, which is judged itself), host names,
which it checks, and what is not the client's."""

NAMED = re.compile(r"\?P?[<'](?P<name>[A-Za-z_]\w*)[>']")
EXTERNAL = re.compile(r"https?://|\$scheme|\$\{scheme\}")
"""A redirect of the client, which then asks anew."""


class Edges(NamedTuple):
    """Whether what a group of a regular expression takes may begin, or end, in the midst of a name of the path."""

    begins: bool
    ends: bool


def groups(pattern: str) -> dict[str, Edges]:
    """The groups of a `pattern` that is matched against a path, by number and by name."""
    found: dict[str, Edges] = {}
    opened: list[tuple[int, tuple[str, ...]]] = []
    number, at = 0, 0
    while at < len(pattern):
        sign = pattern[at]
        if sign == "\\":
            at += 1
        elif sign == "[":
            at = _class_end(pattern, at)
        elif sign == "(":
            name = NAMED.match(pattern, at + 1)
            names: tuple[str, ...] = ()
            if name or pattern[at + 1 : at + 2] != "?":
                number += 1
                names = (str(number), name["name"]) if name else (str(number),)
            opened.append((at, names))
        elif sign == ")" and opened:
            begin, names = opened.pop()
            found |= dict.fromkeys(names, _edges(pattern, begin, at))
        at += 1
    return found


def _class_end(pattern: str, at: int) -> int:
    """Where the class of characters that begins at `at` ends: a `]` that stands first is one of them."""
    end = at + 2 if pattern[at + 1 : at + 2] != "^" else at + 3
    while end < len(pattern) and pattern[end] != "]":
        end += 2 if pattern[end] == "\\" else 1
    return end


def _edges(pattern: str, begin: int, end: int) -> Edges:
    before, after = pattern[:begin], pattern[end + 1 :].removeprefix("?")
    inside = NAMED.sub("", pattern[begin + 1 : end], count=1)
    first = (before in ("^", "(?i)^") or before.endswith("/")) and after[:1] not in ("*", "+", "{")
    whole = first or (inside.startswith("/") and not inside.startswith(("/?", "/*", "/{")) and "|" not in inside)
    last = after.startswith("$") or (after == "" and inside.endswith((".*", ".+")) and "|" not in inside)
    return Edges(not whole, not (last or re.match(r"/(?![?*{])", after)))


def levels(text: str, captures: dict[str, Edges]) -> int | None:
    """How many directories up the variables in the path `text` may lead; None: to any place. `captures` are those that
    a regular expression gives."""
    found, end = 0, 0
    for match in VARIABLE.finditer(text):
        name, before, after = match["name"], text[: match.start()], text[match.end() : match.end() + 1]
        edges = Edges(begins=False, ends=False) if name in RESOLVED else captures.get(name)
        if edges is None:
            return None
        joined = match.start() == end and found != 0
        found += edges.begins and (joined or before[-1:] in ("", "/", ".") or before.endswith("}"))
        found += edges.ends and after in ("", "/", ".", "$")
        end = match.end()
    return found


def captures(directive: Directive, around: Sequence[Directive]) -> dict[str, Edges]:
    """What the regular expression gives that was the last one before `directive`, in the blocks `around` it."""
    if directive.name == "rewrite":
        return groups(directive.args[0]) if directive.args else {}
    for block in reversed(around):
        if block.name == "if":
            return {}  # of whatever variable
        if block.name == "location" and block.args[:1] and block.args[0].startswith("~"):
            return groups(block.args[-1].removeprefix("~*").removeprefix("~"))
    return {}


def paths(directive: Directive) -> Sequence[str]:
    """The arguments of a directive by which nginx goes to another path without a client's asking."""
    args = directive.args
    if directive.name == "rewrite":
        outside = args[2:] in (("redirect",), ("permanent",))
        args = () if outside else args[1:2]
    elif directive.name == "error_page":
        args = args[-1:]
    elif directive.name not in ("try_files", "index"):
        return ()
    return [arg.partition("?")[0] for arg in args if not EXTERNAL.match(arg) and arg[:1] not in ("@", "=")]


def problem(directive: Directive, around: Sequence[Directive]) -> str:
    """What is wrong with `directive` when a client could lead it to any file; "" when nothing is."""
    given = captures(directive, around)
    for path in paths(directive):
        if levels(path, given) != 0:
            return f"{directive.name} {path}: a client's words become a path there, in which .. may lead to any file"
    return ""
