"""What the staged copy of nginx.conf is given where it passes requests on to the registry: streaming, and who asks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from secreg_host.formats.nginxconf import GENERATED
from secreg_host.formats.nginxsyntax import Directive, nested

STREAMING = {
    "proxy_http_version": "1.1",
    "proxy_request_buffering": "off",
    "proxy_max_temp_file_size": "0",
    "proxy_read_timeout": "15m",
    "proxy_send_timeout": "15m",
}
"""Layers have no size limit: they must not be written to a disk on their way. What the block says itself, counts."""

GUARDED = re.compile(r"https?://secreg_registry(?![\w.-])", re.IGNORECASE)
CLIENT = f"include {GENERATED}/client.conf;"
"""In each block that sets headers of its own, for then those of http { } don't count (ngx_http_proxy_module)."""


def additions(
    directives: Sequence[Directive], context: tuple[str, ...], sets: Callable[[str], set[str]]
) -> Mapping[int, str]:
    """`nginxconf.Rules.additions`."""
    found: dict[int, str] = {}
    blocks: dict[int, list[Directive]] = {}
    for directive, around in nested(directives):
        blocks.setdefault(around[-1].end if around else -1, []).append(directive)
    for siblings in blocks.values():
        inside = (*context, *siblings[0].context)
        names = {one.name for one in siblings}
        included = {one.end: sets(one.args[0]) for one in siblings if _includes(one)} if "http" in inside else {}
        telling = [one for one in siblings if "proxy_set_header" in (one.name, *included.get(one.end, ()))]
        if telling and len(inside) > 1:  # http { } itself has it already
            found[telling[0].end] = f" {CLIENT}"
        for one in siblings:
            if one.name == "proxy_pass" and one.context[-1:] == ("location",) and GUARDED.match("".join(one.args)):
                said = names.union(*included.values())
                more = "".join(f" {name} {value};" for name, value in STREAMING.items() if name not in said)
                found[one.end] = found.get(one.end, "") + more
    return found


def _includes(directive: Directive) -> bool:
    """Whether it includes a file of the administrator's."""
    return directive.name == "include" and bool(directive.args) and not directive.args[0].startswith(f"{GENERATED}/")
