"""What a host name is, and what an IP address is: asked by all that makes an address for clients of what others wrote.

Source: RFC 952, RFC 1123 (2.1), RFC 1034 (3.1); RFC 6125 for wildcards. `_` is no letter of theirs, but stands in names
that are in use, and clients take it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST = 253
_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_NAME = re.compile(rf"(?:{_LABEL}\.)*(?!(?:\d+|0[xX][0-9A-Fa-f]*)\Z){_LABEL}")
"""Labels with dots between them. The last one is no number: `192.168.1` and `0x7f000001` are addresses to some."""


def is_host_name(text: str, *, wildcard: bool = False) -> bool:
    """Whether `text` is a host name, without a dot at its end; if `wildcard`, also `*.` before one."""
    bare = text.removeprefix("*.") if wildcard else text
    return len(text) <= LONGEST and _NAME.fullmatch(bare) is not None


def address(text: str) -> IPAddress | None:
    """The IPv4 or IPv6 address that `text` is, in its only or one of its forms; None for anything else, such as one in
    brackets or with a zone (RFC 4007), which has a meaning on one host only."""
    try:
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None


def is_endpoint(text: str) -> bool:
    """Whether clients can be told to go to `text`: a host name or an address."""
    return address(text) is not None or is_host_name(text)


def usable(given: Iterable[str]) -> tuple[str, ...]:
    """Those of `given`, names in a certificate, that are host names (also with a wildcard) or addresses."""
    return tuple(name for name in given if is_endpoint(name) or is_host_name(name, wildcard=True))
