"""What stands for secure-registry/registry.conf in a server block of nginx.conf, by what the block says itself.

Its headers are on our answers, too: nginx inherits `add_header` only where a location has none of its own
(ngx_http_headers_module). As ours has a log of its own, it is told of those that the block would inherit
(ngx_http_log_module). And what it has itself, is left out: nginx takes no location twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from secreg_host.base.errors import Problem
from secreg_host.formats.nginxsyntax import Directive
from secreg_host.formats.serverblocks import REGISTRY, Line

LOCATIONS = ("/", "= /v1/_ping", "= /v2", "= /ca.crt")
"""Those of ours that an administrator may have instead."""

PLAIN_HTTP = "497"
"""nginx's number for HTTP where TLS is spoken: whoever answers that himself (error_page), does."""

LOCATION = re.compile(r"(?P<kind>=|\^~|)(?P<path>/.*)", re.DOTALL)


@dataclass(frozen=True)
class Variant:
    """headers: the words of each `add_header` that counts in the block; taken: what of ours it answers itself; logs: of
    each `access_log` that counts in the block, and is not said there."""

    headers: tuple[tuple[str, ...], ...] = ()
    taken: tuple[str, ...] = ()
    logs: tuple[tuple[str, ...], ...] = ()

    @property
    def named(self) -> set[str]:
        """The names of its headers, in lower case."""
        return {words[0].lower() for words in self.headers}


@dataclass
class _Server:
    lines: list[Directive] = field(default_factory=list)
    includes: list[str] = field(default_factory=list)


def name(number: int) -> str:
    """The generated file of variant `number` (from 0)."""
    return REGISTRY if number == 0 else REGISTRY.replace(".conf", f"-{number + 1}.conf")


def each(lines: Sequence[Line]) -> Iterator[tuple[str, Variant]]:
    """Where each registry.conf is included (`file:line`), and by what kind of block."""
    servers, common = [], []
    for line in lines:
        if line.opens_server:
            servers.append(_Server())
        elif line.context == ("http",):
            common.append(line.directive)
        elif line.context == ("http", "server"):
            servers[-1].lines.append(line.directive)
            if line.directive.name == "include" and line.directive.args == (REGISTRY,):
                servers[-1].includes.append(line.where)
    for server in servers:
        headers = _headers(server.lines) or _headers(common)
        logs = () if _logs(server.lines) else _logs(common)
        if ("off",) in logs:
            logs = ()
        taken = tuple(sorted(set(_taken(server.lines))))
        yield from ((where, Variant(headers, taken, logs)) for where in server.includes)


def unlogged(lines: Sequence[Line]) -> Iterator[Problem]:
    """A warning for each server block that has registry.conf and turns all logs off, ours among them."""
    off: Line | None = None
    has_registry = False
    for line in lines:
        if line.opens_server:
            off, has_registry = None, False
        elif line.context == ("http", "server"):
            has_registry |= line.directive.name == "include" and line.directive.args == (REGISTRY,)
            off = line if (line.directive.name, line.directive.args) == ("access_log", ("off",)) else off
        if off and has_registry:
            what = "access_log off: it is not kept who is refused here, or pulls (secure-registry audit)"
            yield Problem(off.where, what, "write instead: access_log /dev/null;")
            off = None


def _headers(directives: Sequence[Directive]) -> tuple[tuple[str, ...], ...]:
    return tuple(one.args for one in directives if one.name == "add_header" and one.args)


def _logs(directives: Sequence[Directive]) -> tuple[tuple[str, ...], ...]:
    return tuple(one.args for one in directives if one.name == "access_log" and one.args)


def _taken(directives: Sequence[Directive]) -> Iterator[str]:
    for one in directives:
        if one.name == "error_page" and PLAIN_HTTP in one.args[:-1]:
            yield PLAIN_HTTP
        found = LOCATION.fullmatch("".join(one.args)) if one.name == "location" else None
        if found:
            key = f"= {found['path']}" if found["kind"] == "=" else found["path"]
            yield from [key] if key in LOCATIONS else []


def applied(
    files: Mapping[str, bytes], origin: Mapping[str, Path], included: Sequence[tuple[str, Variant]]
) -> tuple[dict[str, bytes], tuple[Variant, ...], tuple[Problem, ...]]:
    """`files` in which each include of registry.conf names its variant; the variants; and a warning for each line that
    can name only one of those that it would have to.

    origin: name of a file -> where it comes from; included: as of `each`.
    """
    variants = tuple(dict.fromkeys(variant for _, variant in included)) or (Variant(),)
    changed, named, problems = dict(files), dict[str, Variant](), []
    staged = {str(path): name for name, path in origin.items()}
    for where, variant in included:
        path, _, line = where.rpartition(":")
        known = named.setdefault(where, variant if path in staged else variants[0])
        if known != variant:
            what = "add_header or a location of one of the servers that include this line does not count here"
            problems.append(Problem(where, what, f"write into each of these server {{ }}: include {REGISTRY};"))
        elif path in staged and (number := variants.index(variant)):
            text = changed[staged[path]].split(b"\n")
            text[int(line) - 1] = text[int(line) - 1].replace(REGISTRY.encode(), name(number).encode())
            changed[staged[path]] = b"\n".join(text)
    return changed, variants, tuple(dict.fromkeys(problems))
