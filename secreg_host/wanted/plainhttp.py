"""Servers of nginx.conf that ask for passwords without TLS. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from secreg_host.base import names
from secreg_host.base.errors import Problem
from secreg_host.formats.listening import listen_of
from secreg_host.formats.nginxbundle import Server
from secreg_host.formats.nginxconf import GENERATED

WHAT = "passwords are asked for here without TLS: whoever is on the way reads them"
HINT = "give that port a server { } of its own, with: return 301 https://$host$request_uri;"


def warnings(servers: Iterable[Server]) -> tuple[Problem, ...]:
    """A warning for each `listen` by which a password can come in clear over a network.

    Not for a unix socket, a loopback address or the PROXY protocol, where something on this host or in front of it
    speaks TLS; nor where the server asks for the scheme itself.
    """
    return tuple(Problem(where, WHAT, HINT) for server in servers if _asks(server) for where in _plain(server))


def _asks(server: Server) -> bool:
    for directive, _ in server.directives:
        if directive.name == "ssl" and directive.args[:1] == ("on",):
            return False
        if directive.name == "if" and any("$scheme" in word or "$https" in word for word in directive.args):
            return False
    included = (directive.args for directive, _ in server.directives if directive.name == "include")
    return any(args[0].endswith(f"{GENERATED}/registry.conf") for args in included if args)


def _plain(server: Server) -> Iterator[str]:
    """The places of `listen`; without one nginx takes port 80 (ngx_http_core_module)."""
    listens = [(directive.args, where) for directive, where in server.directives if directive.name == "listen"]
    for args, where in listens or [(("80",), server.where)]:
        found = listen_of(args) if args else None
        if found is None or found.tls or found.proxy_protocol:
            continue
        address = names.address(found.host)
        if not (found.host == "localhost" or (address is not None and address.is_loopback)):
            yield where
