"""The processes of an instance: what is run, how, as whom. Unit templates and foreground mode read it alike."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from secreg_host.base import reading
from secreg_host.base.errors import SecregError
from secreg_host.base.paths import PACKAGE, PROC
from secreg_host.base.process import Account
from secreg_host.host import host as hosts
from secreg_host.host.host import Host

SLOTS = "abcd"
"""Instances of the registry. One serves; while docker-registry.yml changes, the next one takes over."""

NAMES = ("nginx", "auth", *(f"registry@{slot}" for slot in SLOTS))
"""Every process that there may be, the front first."""

ELF = b"\x7fELF"

DRAIN_SECONDS = 3600
"""How long a registry that was replaced may take to finish what it has begun: a slow upload is not cut."""

PROGRAM = "secreg_host"
"""Our own package, below `PACKAGE`."""

UMASK = 0o027
"""What nginx's processes leave others: nothing; their group may read their logs."""


@dataclass(frozen=True)
class Process:
    """One process: its unit's name without prefix and suffix, argv, environment, account and run directory; nice:
    how much it stands back where no unit says so (CPUWeight=)."""

    name: str
    argv: tuple[str, ...]
    account: Account
    run: Path
    environment: dict[str, str] = field(default_factory=dict)
    umask: int = UMASK
    nice: int = 0


def outdated(pid: int, program: Path) -> bool:
    """Whether process `pid` runs another program than the one that is at `program` now; no, if that can't be told.

    A package replaces a file by another one of the same name. A script is not what its process runs (proc(5)).
    """
    try:
        found = reading.status(program) if reading.begins(program, ELF) else None
        return found is not None and not os.path.samestat(found, (PROC / str(pid) / "exe").stat())
    except (OSError, SecregError):
        return False


def front(host: Host, program: str = "") -> Process:
    """nginx that speaks TLS with the world; program: NGINX_BINARY. Raises SecregError when there is none."""
    return _nginx(host, program, "nginx", "front", host.accounts.front, host.paths.front_run)


def auth(host: Host, program: str = "") -> Process:
    """nginx that checks passwords, away from the front's event loop, and after it when both want to run; program:
    NGINX_BINARY. Raises SecregError when there is none."""
    return replace(_nginx(host, program, "auth", "auth", host.accounts.auth, host.paths.auth_run), nice=5)


def _nginx(host: Host, program: str, name: str, part: str, account: Account, run: Path) -> Process:
    conf = host.paths.current / part / "nginx.conf"
    found = host.paths.nginx_program if host.by_systemd else hosts.nginx(program)
    return Process(name, nginx_argv(found, conf), account, run)


IN_FRONT = ("-g", "daemon off;")
"""For an nginx whose parent waits for it. systemd's may not be one: USR2, by which nginx takes over an upgraded
program, counts only once the process that started it is gone."""


def nginx_argv(program: Path, conf: Path) -> tuple[str, ...]:
    """nginx on `conf`; relative paths in it are relative to its directory. `-e`: no log file before it is read."""
    return (str(program), "-e", "stderr", "-p", f"{conf.parent}/", "-c", str(conf))


def registry(host: Host, slot: str, program: str = "", images: str | None = None) -> Process:
    """distribution's registry on a unix socket; its environment stands above docker-registry.yml (upstream's rule).
    Raises SecregError when there is none.

    program: REGISTRY_BINARY; images: where they are, if that is not where docker-registry.yml says: a link there leads
    out of a sandbox.
    """
    run = host.paths.registry_run(slot)
    environment = {
        "REGISTRY_HTTP_NET": "unix",
        "REGISTRY_HTTP_ADDR": str(socket_of(host, slot)),
        "REGISTRY_HTTP_RELATIVEURLS": "true",
        "REGISTRY_HTTP_DRAINTIMEOUT": f"{DRAIN_SECONDS}s",
        "REGISTRY_HTTP_TLS_CERTIFICATE": "",
        "REGISTRY_HTTP_TLS_KEY": "",
        "OTEL_TRACES_EXPORTER": "none",
    }
    if images:
        environment["REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY"] = images
    argv = (str(hosts.registry(program)), "serve", str(host.paths.slot(slot) / "docker-registry.yml"))
    return Process(f"registry@{slot}", argv, host.accounts.registry, run, environment, umask=0o007)


def debug_of(slot: str, port: int) -> str:
    """Where the registry of `slot` has its metrics, which are asked for on `port`: while one takes over from another,
    both run. Addresses and ports that others hardly ever have."""
    return f"127.83.0.{SLOTS.index(slot) + 1}:{20000 + port % 10000}"


def socket_of(host: Host, slot: str) -> Path:
    """The unix socket on which the registry of `slot` listens."""
    return host.paths.registry_run(slot) / "registry.sock"


def auth_socket(host: Host) -> Path:
    """The unix socket on which the password check listens."""
    return host.paths.auth_run / "auth.sock"


def manifests(host: Host) -> Process:
    """The manifest service of an instance in the foreground: the same program, as the store's user."""
    argv = (sys.executable, "-sBP", "-m", PROGRAM, "manifests", "-")
    environment = {"PYTHONPATH": str(PACKAGE)}
    run = host.paths.run / "manifests"
    return Process("manifests", argv, host.accounts.registry, run, environment, umask=0o007)


def manifests_socket(host: Host) -> Path:
    """The unix socket on which the manifest service before the registry listens (push/)."""
    return host.paths.run / "manifests.sock"


def queue_socket(host: Host) -> Path:
    """The unix socket on which the queue before the password check listens (queue/)."""
    return host.paths.run / "queue.sock"
