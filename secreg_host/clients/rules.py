"""By which rules each client of this host goes to a registry, as its own files have it, whoever wrote them: whom it
trusts, through which proxy it goes, and what it refuses. Nothing is changed."""

from __future__ import annotations

import contextlib
import socket
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from secreg_host.base import files, names, records, utf8
from secreg_host.base.errors import SecregError
from secreg_host.base.paths import Paths
from secreg_host.base.proxies import Proxies
from secreg_host.clients import certsd, trust_containerd, trust_k3s, trust_podman
from secreg_host.clients.docker import dockerinfo
from secreg_host.clients.served import Endpoint
from secreg_host.pki.handshake import Rule

Rules = Callable[[Endpoint, str], Rule]
"""The rule by which a client goes to an endpoint that it calls by this spelling."""

NONE = type(None)
TLS: dict[Any, records.Shape] = {"ca": (str, [str]), "skip_verify": bool}
CONTAINERD: dict[Any, records.Shape] = {**TLS, "host": {str: TLS}}
K3S: dict[Any, records.Shape] = {str: ({"tls": ({"ca_file": str, "insecure_skip_verify": bool}, NONE)}, NONE)}
"""What is read of hosts.toml and the configs of registries.yaml."""


def _toml(path: Path, shape: records.Shape) -> dict[str, Any]:
    """What stands in `path`; nothing where that is not of `shape` or no TOML, which its reader does not take either."""
    with contextlib.suppress(ValueError, RecursionError, SecregError):
        found = tomllib.loads(utf8.text(files.read_or_none(path) or b"", str(path)))
        return found if records.fits(found, shape) else {}
    return {}


def docker(paths: Paths, said: dict[str, Any], proxies: Proxies) -> Rules:
    """dockerd, by what `docker info` says: "insecure-registries" by name, or by the network of an address; else certs.d
    and the system."""
    named = dockerinfo.insecure(said)
    networks = [names.network(word) for word in said.get("RegistryConfig", {}).get("InsecureRegistryCIDRs") or ()]

    def rule(endpoint: Endpoint, word: str) -> Rule:
        near = False
        with contextlib.suppress(OSError, ValueError):
            for answer in socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM):
                address = names.address(str(answer[4][0]))
                near |= address is not None and any(address in network for network in networks)
        directory = paths.docker / "certs.d" / word
        through = proxies.towards(endpoint.host, endpoint.port)
        if word in named or near:
            return Rule(insecure=True, proxy=through)
        return Rule(cas=certsd.cas(directory), proxy=through, refuses=_faults(directory))

    return rule


def _faults(directory: Path) -> str:
    return "; ".join(f"{problem.where} {problem.what}" for problem in certsd.faults([directory]))


def podman(paths: Paths, proxies: Proxies) -> Rules:
    """Podman and its relatives: registries.conf and its drop-ins, certs.d of their own or of Docker."""
    tables = trust_podman.tables(paths)

    def rule(endpoint: Endpoint, word: str) -> Rule:
        table = trust_podman.table(tables, endpoint.host, word)
        blocked = f"it is blocked in {table.where}" if table is not None and table.blocked else ""
        places = [paths.containers / "certs.d" / word, paths.docker / "certs.d" / word]
        directory = next((place for place in places if place.is_dir()), places[0])
        through = proxies.towards(endpoint.host, endpoint.port)
        refuses = blocked or _faults(directory)
        return Rule(table is not None and table.insecure, certsd.cas(directory), through, refuses)

    return rule


def containerd(paths: Paths, proxies: Proxies) -> Rules:
    """containerd, nerdctl, ctr --hosts-dir: hosts.toml."""

    def rule(endpoint: Endpoint, word: str) -> Rule:
        found = Rule(proxy=proxies.towards(endpoint.host, endpoint.port))
        directory = trust_containerd.place(paths, word)
        whole = _toml(directory / "hosts.toml", CONTAINERD)
        for table in (*whole.get("host", {}).values(), whole):  # in this order; the whole is about `server`
            given = table.get("ca") or ()
            named = [given] if isinstance(given, str) else given
            with contextlib.suppress(SecregError):
                cas = tuple(data for name in named if (data := files.read_or_none(directory / name)))
                found = Rule(found.insecure or bool(table.get("skip_verify")), (*found.cas, *cas), found.proxy)
        return found

    return rule


def k3s(paths: Paths, proxies: Proxies) -> Rules:
    """k3s: registries.yaml."""
    configs: dict[str, Any] = {}
    with contextlib.suppress(SecregError):
        path = paths.k3s / "registries.yaml"
        found = trust_k3s.Registries(str(path), {}).load(files.read_or_none(path)).get("configs") or {}
        configs = found if records.fits(found, K3S) else {}

    def rule(endpoint: Endpoint, word: str) -> Rule:
        tls = (configs.get(word) or {}).get("tls") or {}
        ca = files.read_or_none(Path(tls["ca_file"])) if "ca_file" in tls else None
        through = proxies.towards(endpoint.host, endpoint.port)
        return Rule(bool(tls.get("insecure_skip_verify")), (ca,) if ca else (), through)

    return rule


def system(proxies: Proxies) -> Rules:
    """What goes by the system's store: curl, oras, crane, cosign, helm ..."""
    return lambda endpoint, _: Rule(proxy=proxies.towards(endpoint.host, endpoint.port))
