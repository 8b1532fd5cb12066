"""Where nginx listens: the directive `listen` (ngx_http_core_module)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from secreg_host.base import names


@dataclass(frozen=True)
class Listen:
    """An address on which nginx listens: host ("" for all IPv4, "::" for all IPv6), port, TLS, PROXY protocol."""

    host: str
    port: int
    tls: bool = True
    proxy_protocol: bool = False

    @property
    def reach(self) -> str:
        """The address under which this host itself reaches it."""
        return {"": "127.0.0.1", "::": "::1"}.get(self.host, self.host)


UNSAID = Listen("", 8000, tls=False)
"""Where a server { } of http { } without `listen` listens when nginx is not started by root, which ours never is
(ngx_http_core_server)."""


def place(listen: Listen) -> str:
    """`listen` as the first word of the directive."""
    return names.place(listen.host, listen.port) if listen.host else str(listen.port)


def listen_of(args: Sequence[str]) -> Listen | None:
    """The TCP address of a `listen` directive; None for a unix socket, a datagram, or what nginx must judge."""
    word, options = args[0], set(args[1:])
    tls, proxied = "ssl" in options, "proxy_protocol" in options
    if word.startswith("unix:") or options & {"udp", "quic"} or re.search(r"(^|:)[0-9]+-[0-9]+$", word):  # many ports
        return None
    bracketed = re.fullmatch(r"\[(?P<host>[^\]]+)\](?::(?P<port>[0-9]+))?", word)
    plain = re.fullmatch(r"(?:(?P<host>[^:]+):)?(?P<port>[0-9]+)|(?P<only>[^:]+)", word)
    matched = bracketed or plain
    if not matched or (port := names.port(matched["port"] or "80")) is None:
        return None
    if bracketed:
        address = names.address(bracketed["host"])
        if address is None or address.version != 6:
            return None
        return Listen(str(address), port, tls, proxied)
    host = matched["host"] or matched["only"] or ""
    return Listen("" if host in ("*", "0.0.0.0") else host, port, tls, proxied)
