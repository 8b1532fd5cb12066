"""What is wrong with settings that can be read: a host that nobody knows; a grace that pushes may outlast."""

from __future__ import annotations

import socket
from pathlib import Path

from secreg_host.base.errors import Problem
from secreg_host.wanted.settings import Settings, place_of

SAFE = 86400
"""Seconds that hardly any push takes."""


def short(conf: Path, settings: Settings) -> tuple[Problem, ...]:
    """A warning if GC_GRACE, of `conf`, is shorter than a push may take."""
    if settings.grace >= SAFE:
        return ()
    what = f"GC_GRACE: a push that takes longer than {settings.gc_grace} is refused while space is freed"
    hint = "no image is harmed: repeat such a push; or write GC_GRACE=24h, which hardly any takes"
    return (Problem(place_of(conf, "GC_GRACE"), what, hint),)


def unresolved(settings: Settings, conf: Path) -> tuple[Problem, ...]:
    """A problem if REGISTRY_HOST, of `conf`, is a name that nothing knows: nginx would refuse to start with it."""
    if not settings.registry_host:
        return ()
    try:
        socket.getaddrinfo(settings.registry_host, settings.registry_port, type=socket.SOCK_STREAM)
    except OSError as error:
        return (
            Problem(
                place_of(conf, "REGISTRY_HOST"),
                f"REGISTRY_HOST: nothing knows this host name ({error.strerror})",
                "correct it, or add the name to DNS or /etc/hosts",
            ),
        )
    return ()
