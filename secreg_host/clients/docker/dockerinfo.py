"""Asking the Docker daemon what it has taken over: what `docker info` prints, and what the journal says."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import urllib.parse
from pathlib import Path
from typing import Any

from secreg_host.base import process
from secreg_host.base.errors import SecregError
from secreg_host.base.proxies import Proxies

UNIT = "docker.service"
ASK_SECONDS = 5.0
"""How long an answer is waited for by whoever can wait."""

REACH_SECONDS = 20.0
"""How long it may take dockerd to go to a registry; it waits for a dead proxy longer."""

IMAGE = "secure-registry/probe:1"
"""An image that is asked for, and is nowhere."""

ASKED = ("no basic auth credentials", "unauthorized", "authentication required", "manifest unknown")
UNNAMED = "invalid reference format"
ADDRESS = re.compile(r'^(?:Get|Head) "[^"]*": ')
"""What dockerd says that came to a registry; of a name that it can't read; and what it says first."""

REFUSAL = re.compile(
    r'level=error msg="(?:Error reconfiguring the daemon: )?'
    r'((?<=daemon: ).*|unable to configure the Docker daemon.*|file configuration validation failed.*)"'
)
"""What dockerd says when it does not take a configuration over: read in 20.10 and 26.1 (cmd/dockerd, daemon/reload)."""


class Silent(SecregError):
    """dockerd runs, and does not answer: it is stopped (SIGSTOP), hangs, or has too much to do."""


def last_error(since: float) -> str:
    """What dockerd said against its configuration since then, "" if nothing."""
    argv = ["journalctl", "-q", "-o", "cat", "-u", UNIT, f"--since=@{since:.6f}"]
    for line in reversed(process.run(argv).stdout.splitlines()):
        if found := REFUSAL.search(line):
            return re.sub(r"\\(.)", r"\1", found[1])
    return ""


def insecure(said: dict[str, Any]) -> frozenset[str]:
    """The insecure registries of what `docker info` prints."""
    config = said.get("RegistryConfig") or {}
    indexes = config.get("IndexConfigs") or {}
    return frozenset(name for name, index in indexes.items() if not index.get("Secure", True))


def proxies(said: dict[str, Any]) -> Proxies:
    """The proxies of what `docker info` prints."""
    return Proxies(str(said.get("HttpsProxy") or ""), str(said.get("NoProxy") or ""))


def info(path: Path, seconds: float = ASK_SECONDS) -> dict[str, Any]:
    """What `docker info` prints: GET /info on dockerd's socket. Raises SecregError when nobody listens there, or what
    is said is no answer, and Silent when none comes within `seconds`."""
    return _get(path, "/info", seconds)


def reaches(path: Path, word: str) -> str | None:
    """What the dockerd behind the socket `path` says when it goes to the registry that clients call `word`, as for a
    pull; "" when it comes to where a password is asked for, None when that does not tell (20.10 takes no IPv6 address).
    Raises SecregError as `info` does."""
    target = f"/distribution/{urllib.parse.quote(word)}/{IMAGE}/json"
    said = str(_get(path, target, REACH_SECONDS).get("message", ""))
    if any(words in said for words in ASKED):
        return ""
    return None if not said or UNNAMED in said else ADDRESS.sub("", said)


def _get(path: Path, target: str, seconds: float) -> dict[str, Any]:
    try:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as link:
            link.settimeout(seconds)
            link.connect(str(path))
            connection = http.client.HTTPConnection("docker")
            connection.sock = link
            connection.request("GET", target)
            found = json.load(connection.getresponse())
    except (TimeoutError, BlockingIOError) as error:  # the second when too many wait already (connect(2))
        raise Silent(
            f"dockerd does not answer on {path} within {seconds:.0f} s", "see: systemctl status docker"
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SecregError(f"dockerd does not answer on {path}: {error}", "see: systemctl status docker") from error
    return found if isinstance(found, dict) else {}
