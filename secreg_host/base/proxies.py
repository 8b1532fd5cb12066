"""Which proxy a program goes through, as Go decides it for Docker, Podman, containerd and k3s, and curl much the same.

Source: golang.org/x/net/http/httpproxy (ProxyFromEnvironment of net/http).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from secreg_host.base import names


@dataclass(frozen=True)
class Proxies:
    """https: the URL of the proxy for https (empty: none); none: what is reached without it, as in NO_PROXY."""

    https: str = ""
    none: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str], prefix: str = "") -> Proxies:
        """Those that a program takes of its `environment`; prefix: of its own, in front of the usual names."""

        def given(name: str) -> str:
            words = (f"{prefix}{name}", name, name.lower()) if prefix else (name, name.lower())
            return next((environment[word] for word in words if environment.get(word)), "")

        return cls(given("HTTPS_PROXY"), given("NO_PROXY"))

    def towards(self, host: str, port: int) -> str:
        """The URL of the proxy by which `host`, a name or an address, is reached on `port`; empty: none."""
        host = host.lower().rstrip(".")
        here = names.address(host)
        if host == "localhost" or (here is not None and here.is_loopback):
            return ""
        words = (word.strip().lower() for word in self.none.split(","))
        return "" if any(_names(word, host, port) for word in words) else self.https


def _names(word: str, host: str, port: int) -> bool:
    """Whether `word` of NO_PROXY names `host` on `port`."""
    if word == "*":
        return True
    here = names.address(host)
    if "/" in word:
        try:
            return here is not None and here in names.network(word)
        except ValueError:
            return False
    name, colon, digits = word.rpartition(":")
    if colon and names.address(word) is None:
        if digits != str(port):
            return False
        word = name
    word = names.bare(word)
    if here is not None or names.address(word) is not None:
        return here is not None and here == names.address(word)
    word = word.removeprefix("*")
    return bool(word) and (host.endswith(word) if word.startswith(".") else f".{host}".endswith(f".{word}"))
