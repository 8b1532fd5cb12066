"""Lines of nginx.conf by which the registry would ask for two passwords, of which a client sends one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from secreg_host.base.errors import Problem
from secreg_host.formats.serverblocks import REGISTRY, Line

NAME = "auth_basic"
WHAT = "the registry asks for passwords itself, and a client sends one: with this line, nobody could log in"
HINT = "put it into a location { } of its own; or say in the registry's server { }: auth_basic off;"


@dataclass
class _Server:
    asks: Line | None = None
    registry: bool = False


def problems(lines: Sequence[Line]) -> tuple[Problem, ...]:
    """A problem for each `auth_basic` of `lines` that counts where the registry answers: that of its server block, or
    of all of them (ngx_http_auth_basic_module). One with a variable may be off there."""
    common, servers = None, list[_Server]()
    for line in lines:
        directive = line.directive
        if line.opens_server:
            servers.append(_Server())
        elif line.context == ("http",) and directive.name == NAME:
            common = line
        elif line.context == ("http", "server") and directive.name == NAME:
            servers[-1].asks = line
        elif line.context == ("http", "server") and (directive.name, directive.args) == ("include", (REGISTRY,)):
            servers[-1].registry = True
    counting = dict.fromkeys(one.asks or common for one in servers if one.registry)
    asking = (one for one in counting if one is not None and one.directive.args != ("off",))
    return tuple(Problem(one.where, WHAT, HINT) for one in asking if "$" not in "".join(one.directive.args))
