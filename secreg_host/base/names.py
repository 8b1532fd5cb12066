"""What a host name is, what an IP address and a port are, and how they are written together: asked by all that makes an
address for clients of what others wrote. A host is a name or an address without brackets.

Source: RFC 952, RFC 1123 (2.1), RFC 1034 (3.1); RFC 6125 for wildcards. `_` is no letter of theirs, but stands in names
that are in use, and clients take it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

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


def is_address(text: str) -> bool:
    """Whether `text` is what `address` takes for one."""
    return address(text) is not None


def is_ipv6(host: str) -> bool:
    """Whether `host`, a name or an address, is one of IPv6."""
    return ":" in host


def packed(data: bytes) -> IPAddress:
    """The address whose 4 or 16 bytes, as they are sent, are `data`. Raises ValueError for any other number of them."""
    return ipaddress.ip_address(data)


def network(given: str | IPAddress) -> IPNetwork:
    """The network that `given` is, or is in, such as `10.0.0.0/8`; of an address the one of nothing else. Raises
    ValueError."""
    return ipaddress.ip_network(given, strict=False)


def port(digits: str) -> int | None:
    """The port of TCP that `digits` are; None for what is none, such as 0 and 65536."""
    return int(digits) if re.fullmatch("[0-9]{1,5}", digits) and 0 < int(digits) < 1 << 16 else None


def bracketed(host: str) -> str:
    """`host` as it stands before a colon and a port, and in addresses of pages (RFC 3986, 3.2.2)."""
    return f"[{host}]" if is_ipv6(host) else host


def bare(text: str) -> str:
    """`text` without the brackets that are around all of it, if any are."""
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text


def place(host: str, port: int) -> str:
    """`host` and `port` as one word."""
    return f"{bracketed(host)}:{port}"


def is_endpoint(text: str) -> bool:
    """Whether clients can be told to go to `text`: a host name or an address."""
    return is_address(text) or is_host_name(text)


def usable(given: Iterable[str]) -> tuple[str, ...]:
    """Those of `given`, names in a certificate, that are host names (also with a wildcard) or addresses."""
    return tuple(name for name in given if is_endpoint(name) or is_host_name(name, wildcard=True))
