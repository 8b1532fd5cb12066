"""Which line of nginx.conf is at fault for what nginx says without a place, or for what the rehearsal was answered, and
what helps against that. Nothing here decides whether something is wrong."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from secreg_host.apply import probe
from secreg_host.base import reading
from secreg_host.base.errors import SecregError
from secreg_host.formats import serverblocks
from secreg_host.formats.listening import Listen, listen_of
from secreg_host.formats.nginxsyntax import Directive
from secreg_host.formats.serverblocks import Line
from secreg_host.wanted.parts.nginx import NginxPart

PATHS = ("/v2/", "/v2/_catalog", "/_secreg/generation/")
"""What a location must leave to the registry."""

INCLUDE = "each server { } of the registry's needs: include secure-registry/registry.conf;"
HINTS = {
    "server": "put into it: include secure-registry/registry.conf; or give it a port, or a server_name, of its own",
    "ssl_certificate": "leave it out; or let docker-registry.crt and docker-registry.key be that pair (links will do)",
    "return": "it answers for the registry's paths, too: put it into a location { } of its own",
    "rewrite": "it leads the registry's paths elsewhere, too: put it into a location { } of its own",
    "location": "it takes paths of the registry's: begin it with the path that it is for, as in location ^~ /pages/",
}
"""What helps against a directive, by its name."""


@dataclass
class _Server:
    begin: Line
    lines: list[Line] = field(default_factory=list)

    def named(self, name: str) -> list[Directive]:
        """Its own directives of this `name`."""
        return [one.directive for one in self.lines if one.directive.name == name and len(one.context) == 2]

    def listens(self) -> list[Listen]:
        found = (listen_of(one.args) for one in self.named("listen") if one.args)
        return [listen for listen in found if listen]


def answered(nginx: NginxPart, want: probe.Expectation, wrong: str) -> tuple[str, str]:
    """Where the line stands by which `want` was answered so, and what helps."""
    every = lines(nginx)
    server = _asked(_servers(every), want)
    common = [line for line in every if line.context == ("http",)]
    for line in (*(server.lines if server else ()), *common):
        directive = line.directive
        if wrong == probe.ANOTHER_CERTIFICATE:
            if directive.name == "ssl_certificate":
                return line.where, HINTS[directive.name]
        elif _is_in_the_way(line):
            return line.where, HINTS[directive.name]
    if server and wrong != probe.ANOTHER_CERTIFICATE and not _has_registry(server):
        return server.begin.where, HINTS["server"]
    return nginx.conf, INCLUDE


def opened(nginx: NginxPart) -> str:
    """Where the first line stands that takes a path of the registry's, in whichever server; nginx.conf: none does."""
    found = (line.where for line in lines(nginx) if line.directive.name == "location" and _is_in_the_way(line))
    return next(found, nginx.conf)


def listening(nginx: NginxPart, listen: Listen) -> str:
    """Where the line stands by which nginx is to listen on `listen`; nginx.conf: that is not known."""
    place = (listen.host, listen.port)
    for line in lines(nginx):
        found = listen_of(line.directive.args) if line.directive.name == "listen" and line.directive.args else None
        if found and (found.host, found.port) == place:
            return line.where
    return nginx.conf


def unplaced(nginx: NginxPart, text: str) -> tuple[str, str] | None:
    """Where the line stands of which nginx says `text`, and what helps ("": what always
    does); None: that is not known."""
    for pattern, matches, hint in SAID:
        if found := re.search(pattern, text):
            fits = [line.where for line in lines(nginx) if matches(line.directive, found)]
            return (fits[-1], hint) if fits else None
    return None


def _location(directive: Directive, found: re.Match[str]) -> bool:
    return directive.name == "location" and directive.args[-1:] == (found["name"],)


def _bound(directive: Directive, found: re.Match[str]) -> bool:
    listen, wanted = (listen_of(args) for args in (directive.args or ("",), (found["name"],)))
    same = listen and wanted and (listen.host, listen.port) == (wanted.host, wanted.port)
    return directive.name == "listen" and bool(same)


def _first(name: str) -> Callable[[Directive, re.Match[str]], bool]:
    return lambda directive, _: directive.name == name


def _module(directive: Directive, found: re.Match[str]) -> bool:
    return directive.name == "load_module" and found["name"].endswith(directive.args[0])


CIPHERS = "name what this host's OpenSSL knows: openssl ciphers -v ALL"
SAID: tuple[tuple[str, Callable[[Directive, re.Match[str]], bool], str], ...] = (
    (r'duplicate location "(?P<name>[^"]*)"', _location, "the registry has this location: leave yours out"),
    (
        r"bind\(\) to (?P<name>\S+) failed \(13:",
        _bound,
        "name a port that it may open: from 1024 on, if root did not start it; else semanage port (SELinux)",
    ),
    (r"bind\(\) to (?P<name>\S+) failed", _bound, ""),
    (r"SSL_CTX_set_cipher_list\(", _first("ssl_ciphers"), CIPHERS),
    (r"SSL_CONF_cmd\(", _first("ssl_conf_command"), CIPHERS),
    (r'dlopen\(\) "(?P<name>[^"]+)"', _module, "install the package that has this module, or leave the line out"),
)
"""What nginx says, which directive that is about, and what helps."""


def lines(nginx: NginxPart) -> tuple[Line, ...]:
    """Every directive of nginx.conf, with what it includes, of /etc as it was read."""
    staged = {nginx.origin[name]: data for name, data in nginx.files.items() if name in nginx.origin}

    def read(path: Path) -> bytes | None:
        return staged.get(str(path)) or reading.peek(path, reading.OTHER)

    with contextlib.suppress(SecregError):
        return serverblocks.walked(Path(nginx.conf).parent, read)
    return ()


def _servers(lines: tuple[Line, ...]) -> list[_Server]:
    found: list[_Server] = []
    for line in lines:
        if line.opens_server and line.context == ("http",):
            found.append(_Server(line))
        elif line.context[:2] == ("http", "server"):
            found[-1].lines.append(line)
    return found


def _asked(servers: list[_Server], want: probe.Expectation) -> _Server | None:
    """The server block that answers `want` (nginx, request processing)."""
    place = (want.listen.host, want.listen.port)
    there = [one for one in servers if place in [(listen.host, listen.port) for listen in one.listens()]]
    called = [one for one in there if any(want.server_name in name.args for name in one.named("server_name"))]
    default = [one for one in there if any("default_server" in listen.args for listen in one.named("listen"))]
    return next(iter([*called, *default, *there]), None)


def _has_registry(server: _Server) -> bool:
    return any(one.args[0].startswith("secure-registry/registry") for one in server.named("include") if one.args)


def _is_in_the_way(line: Line) -> bool:
    """Whether a directive of a server, or of all of them, counts for the registry's paths."""
    directive, inside = line.directive, line.context[2:]
    if directive.name in ("return", "rewrite"):
        return len(line.context) > 1 and all(block == "if" for block in inside)
    return directive.name == "location" and not inside and any(_takes(directive, path) for path in PATHS)


def _takes(location: Directive, path: str) -> bool:
    kind, name = location.args[0], location.args[-1]
    if kind in ("~", "~*"):
        with contextlib.suppress(re.error):
            return re.search(name, path, re.IGNORECASE if kind == "~*" else 0) is not None
        return False
    return name.lstrip("=^~ ").startswith(("/v2/", "/_secreg/"))
