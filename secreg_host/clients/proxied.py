"""Clients that go to the registry through a proxy: what is to be added to NO_PROXY, and where that stands.

Source: docs.docker.com, "Daemon proxy configuration"; docs.k3s.io, "Configuring an HTTP proxy".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from secreg_host.base import names, reading, records
from secreg_host.base.errors import Problem
from secreg_host.base.proxies import Proxies
from secreg_host.clients.docker.unit import Unit
from secreg_host.clients.served import Endpoint, Served

SETTING = re.compile(rb"(?im)^[^#;\n]*(?:no|https)_proxy[\"']?\s*=")


def through(proxies: Proxies, served: Served) -> tuple[Endpoint, ...]:
    """Those endpoints of what is `served` that are reached by one of `proxies`."""
    return tuple(one for one in served.endpoints if proxies.towards(one.host, one.port))


def problem(client: str, proxies: Proxies, endpoints: Sequence[Endpoint], remedy: str) -> Problem:
    """That `client` goes to `endpoints` by one of `proxies`; remedy: where NO_PROXY stands (`place`)."""
    first, hosts = endpoints[0], tuple(dict.fromkeys(names.bare(one.host) for one in endpoints))
    more = f" and {len(hosts) - 1} more" if len(hosts) > 1 else ""
    proxy = proxies.towards(first.host, first.port)
    what = f"goes to {first.host}{more} through the proxy {proxy}, where the registry may not be known"
    return Problem(client, what, remedy.format(",".join(hosts)))


def place(service: str, unit: Unit | None, config: Path | None = None) -> str:
    """What is to be done so that `service`, which is started as `unit` says, goes without a proxy to the names that
    take the place of `{}`. config: its daemon.json, which may set proxies, too."""
    again = f"then, when it suits: systemctl restart {service.removesuffix('.service')}"
    given = records.parsed(reading.peek(config, reading.JSON)) if config is not None else None
    if isinstance(given, dict) and given.get("proxies"):
        return f'add to "no-proxy" below "proxies" in {config}: {{}}; {again}'
    for path in reversed(unit.places if unit is not None else ()):
        if SETTING.search(reading.peek(path, reading.SETTINGS)):
            return f"add to NO_PROXY in {path}: {{}}; systemctl daemon-reload; {again}"
    return f"systemctl edit {service}, and add to NO_PROXY in Environment= below [Service]: {{}}; {again}"


OF_SHELL = 'for this shell: export NO_PROXY="$NO_PROXY,{}"'
"""What is to be done where the proxy is that of whoever types a command."""
