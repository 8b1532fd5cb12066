"""`trust check`: a handshake with every endpoint by the rules of each client of this host.

The rules are read from the clients' own files, whoever wrote them. Nothing is changed.
"""

from __future__ import annotations

import contextlib
import socket
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secreg_host.base import files, names, records, utf8
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.paths import Paths
from secreg_host.base.process import find_program
from secreg_host.clients import trust_containerd, trust_k3s, trust_podman, trust_system
from secreg_host.clients.docker import dockerinfo
from secreg_host.clients.served import Endpoint, Served
from secreg_host.pki import handshake
from secreg_host.pki.handshake import Rule


@dataclass(frozen=True)
class Checked:
    """One client at one spelling of an endpoint; wrong: "" when it accepts it; how: what it goes by."""

    client: str
    spelling: str
    how: str
    wrong: str

    def __str__(self) -> str:
        verdict = f"fails: {self.wrong}" if self.wrong else "accepts it"
        return f"{self.client:<11} {self.spelling:<32} {verdict} ({self.how})"


Rules = Callable[[Endpoint, str], Rule]
NONE = type(None)


TLS: dict[Any, records.Shape] = {"ca": (str, [str]), "skip_verify": bool}
PODMAN: dict[Any, records.Shape] = {"registry": [{"prefix": str, "location": str, "insecure": bool}]}
CONTAINERD: dict[Any, records.Shape] = {**TLS, "host": {str: TLS}}
K3S: dict[Any, records.Shape] = {str: ({"tls": ({"ca_file": str, "insecure_skip_verify": bool}, NONE)}, NONE)}
"""What is read of registries.conf, hosts.toml and the configs of registries.yaml."""


def _toml(path: Path, shape: records.Shape) -> dict[str, Any]:
    """What stands in `path`; nothing where that is not of `shape` or no TOML, which its reader does not take either."""
    with contextlib.suppress(ValueError, RecursionError, SecregError):
        found = tomllib.loads(utf8.text(files.read_or_none(path) or b"", str(path)))
        return found if records.fits(found, shape) else {}
    return {}


def pems(directories: Iterable[Path]) -> tuple[bytes, ...]:
    """The CA certificates in these directories: files that end in .crt."""
    found = [files.read_or_none(path) for directory in directories for path in sorted(directory.glob("*.crt"))]
    return tuple(data for data in found if data)


def docker_rules(paths: Paths, said: dict[str, Any]) -> Rules:
    """dockerd: "insecure-registries" by name, or by the network of an address; else certs.d and the system."""
    named = dockerinfo.insecure(said)
    networks = [names.network(word) for word in said.get("RegistryConfig", {}).get("InsecureRegistryCIDRs") or ()]

    def rule(endpoint: Endpoint, word: str) -> Rule:
        near = False
        with contextlib.suppress(OSError, ValueError):
            for answer in socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM):
                address = names.address(str(answer[4][0]))
                near |= address is not None and any(address in network for network in networks)
        return Rule(word in named or near, pems([paths.docker / "certs.d" / word]))

    return rule


def podman_rules(paths: Paths) -> Rules:
    """Podman and its relatives: registries.conf and its drop-ins, certs.d of their own and of Docker."""
    loose: dict[str, bool] = {}
    for path in (
        paths.containers / "registries.conf",
        *sorted((paths.containers / "registries.conf.d").glob("*.conf")),
    ):
        for table in _toml(path, PODMAN).get("registry", ()):
            loose[str(table.get("prefix") or table.get("location"))] = bool(table.get("insecure"))

    def rule(endpoint: Endpoint, word: str) -> Rule:
        places = [paths.containers / "certs.d" / word, paths.docker / "certs.d" / word]
        above = [prefix for prefix in loose if prefix[:2] == "*." and endpoint.host.endswith(prefix[1:])]
        return Rule(loose.get(word, any(loose[prefix] for prefix in above)), pems(places))

    return rule


def containerd_rules(paths: Paths) -> Rules:
    """containerd, nerdctl, ctr --hosts-dir: hosts.toml."""

    def rule(_: Endpoint, word: str) -> Rule:
        found = Rule()
        directory = paths.containerd / "certs.d" / word
        whole = _toml(directory / "hosts.toml", CONTAINERD)
        for table in (*whole.get("host", {}).values(), whole):  # in this order; the whole is about `server`
            given = table.get("ca") or ()
            named = [given] if isinstance(given, str) else given
            with contextlib.suppress(SecregError):
                cas = tuple(data for name in named if (data := files.read_or_none(directory / name)))
                found = Rule(found.insecure or bool(table.get("skip_verify")), (*found.cas, *cas))
        return found

    return rule


def k3s_rules(paths: Paths) -> Rules:
    """k3s: registries.yaml."""
    configs: dict[str, Any] = {}
    with contextlib.suppress(SecregError):
        path = paths.k3s / "registries.yaml"
        found = trust_k3s.Registries(str(path), {}).load(files.read_or_none(path)).get("configs") or {}
        configs = found if records.fits(found, K3S) else {}

    def rule(_: Endpoint, word: str) -> Rule:
        tls = (configs.get(word) or {}).get("tls") or {}
        ca = files.read_or_none(Path(tls["ca_file"])) if "ca_file" in tls else None
        return Rule(bool(tls.get("insecure_skip_verify")), (ca,) if ca else ())

    return rule


CLIENTS: tuple[tuple[Any, Callable[[Paths], Rules]], ...] = (
    (trust_podman, podman_rules),
    (trust_containerd, containerd_rules),
    (trust_k3s, k3s_rules),
)
"""Those with files of their own: their module, and their rules."""


def check(paths: Paths, served: Served, asked: Iterable[str]) -> tuple[tuple[Checked, ...], tuple[Problem, ...]]:
    """Every client found here (or named) at every endpoint; and clients that can't be asked."""
    wanted = set(asked)
    rules: dict[str, Rules] = {}
    problems: list[Problem] = []
    if "docker" in wanted or (not wanted and find_program("dockerd")):
        try:
            rules["docker"] = docker_rules(paths, dockerinfo.info(paths.docker_socket))
        except SecregError as error:
            problems += error.problems
    for client, rules_of in CLIENTS:
        if client.NAME in wanted or (not wanted and client.found(paths)):
            rules[client.NAME] = rules_of(paths)
    installed = any((directory / trust_system.FILE).exists() for directory, _ in paths.anchors)
    if trust_system.NAME in wanted or (not wanted and installed):
        rules[trust_system.NAME] = lambda *_: Rule()
    found = []
    for name, rule in rules.items():
        for endpoint in served.endpoints:
            for word in endpoint.spellings:
                if name == "docker" and word.endswith("]") and rule(endpoint, endpoint.authority).insecure:
                    continue  # see Endpoint.insecure_entries
                one = rule(endpoint, word)
                how = (
                    "not verified" if one.insecure else "its own CA and the system's" if one.cas else "the system's CAs"
                )
                found.append(Checked(name, word, how, handshake.shake(endpoint.host, endpoint.port, one)))
    return tuple(found), tuple(problems)
