"""containerd, for Kubernetes (CRI), nerdctl and ctr: certs.d/HOST/hosts.toml.

Source: containerd, docs/hosts.md. nerdctl looks into /etc/containerd/certs.d by itself, `ctr` with --hosts-dir; CRI
only when config_path says so.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from secreg_host.base import files, quoting, records
from secreg_host.base.errors import BadInput, Note, Problem, SecregError
from secreg_host.base.paths import Paths
from secreg_host.base.process import find_program
from secreg_host.base.proxies import Proxies
from secreg_host.clients import criconf
from secreg_host.clients.criconf import Cri
from secreg_host.clients.rules import Rules, toml
from secreg_host.clients.served import Endpoint, Served
from secreg_host.pki.handshake import Rule

NAME = "containerd"
SERVICES = ("containerd.service",)
CAPABILITIES = 'capabilities = ["pull", "resolve", "push"]'
"""Said twice in hosts.toml: containerd 2 takes what is about `server`, containerd 1 the table below `host`. That is not
[host."https://…"], for the parser of 1.6 knows no `]` in the name of a table, so no IPv6 address."""
TOOLS = ("kubelet", "crictl", "nerdctl")
RESTART = "then: systemctl restart containerd (containers go on)"
TLS: dict[Any, records.Shape] = {"ca": (str, [str]), "skip_verify": bool}
HOSTS: dict[Any, records.Shape] = {**TLS, "host": {str: TLS}}
"""What is read of hosts.toml."""


def found(paths: Paths) -> bool:
    """Whether containerd is on this host."""
    return find_program("containerd") is not None


def used(paths: Paths) -> bool:
    """Whether somebody pulls by it: not dockerd, which brings it along, but a tool of Kubernetes or nerdctl, or one for
    whom its registries were set up."""
    tools = any(find_program(tool) for tool in TOOLS)
    return found(paths) and (tools or any(root.is_dir() for root in roots(paths)))


def wants(paths: Paths, served: Served, *, insecure: bool) -> dict[Path, bytes]:
    """For each spelling of an endpoint hosts.toml, and the CA certificate beside it."""
    wanted: dict[Path, bytes] = {}
    every = [(root / quoting.component(word), word) for root in roots(paths) for word in served.spellings]
    for directory, word in every:
        if insecure:
            trust = "skip_verify = true"
        elif served.ca is not None:
            trust = f"ca = {quoting.basic_string(directory / 'ca.crt')}"
            wanted[directory / "ca.crt"] = served.ca
        else:
            continue
        url = quoting.basic_string(f"https://{word}")
        text = (
            f"# Written by secure-registry.\nserver = {url}\n{CAPABILITIES}\n{trust}\n\n"
            f"[host]\n{url} = {{ {CAPABILITIES}, {trust} }}\n"
        )
        wanted[directory / "hosts.toml"] = text.encode()
    return wanted


def roots(paths: Paths) -> tuple[Path, ...]:
    """The directories with hosts.toml of registries: where nerdctl looks, and that of CRI where it is another one."""
    usual = paths.containerd / "certs.d"
    given = [Path(path) for path in criconf.of(config(paths)).config_path if Path(path).is_relative_to(paths.root)]
    return (usual,) if not given or usual in given else (usual, given[0])


def place(paths: Paths, word: str) -> Path:
    """The directory of hosts.toml that counts for the registry that clients call `word`."""
    places = [root / word for root in reversed(roots(paths))]
    return next((one for one in places if one.is_dir()), places[-1])


def rules(paths: Paths, proxies: Proxies) -> Rules:
    """containerd, nerdctl, ctr --hosts-dir: hosts.toml."""

    def rule(endpoint: Endpoint, word: str) -> Rule:
        found = Rule(proxy=proxies.towards(endpoint.host, endpoint.port))
        directory = place(paths, word)
        whole = toml(directory / "hosts.toml", HOSTS)
        for table in (*whole.get("host", {}).values(), whole):  # in this order; the whole is about `server`
            given = table.get("ca") or ()
            named = [given] if isinstance(given, str) else given
            with contextlib.suppress(SecregError):
                cas = tuple(data for name in named if (data := files.read_or_none(directory / name)))
                found = Rule(found.insecure or bool(table.get("skip_verify")), (*found.cas, *cas), found.proxy)
        return found

    return rule


def config(paths: Paths) -> Path:
    """containerd's own settings."""
    return paths.containerd / "config.toml"


def notes(paths: Paths, served: Served) -> tuple[Problem, ...]:
    """What keeps Kubernetes (CRI) from what stands in certs.d; nerdctl and ctr need no setting."""
    try:
        cri = criconf.read(config(paths))
    except BadInput as error:
        return error.problems
    return () if cri.off else of_cri(cri, paths, served)


def of_cri(cri: Cri, paths: Paths, served: Served) -> tuple[Problem, ...]:
    """What is to be known, or is wrong, with the settings `cri` as to what is `served`. Pure."""
    file, directory = config(paths), paths.containerd / "certs.d"
    if cri.older and cri.config_path:
        what = f"registry.mirrors, or tls in registry.configs, beside config_path of {cri.named}: CRI does not start"
        hint = f"move them to hosts.toml below {cri.config_path[0]}, or take config_path out; {RESTART}"
        return (Problem(cri.older, what, hint),)
    if cri.older:
        missing = [word for word in served.spellings if word not in cri.trusted]
        if not missing:
            return ()
        what = "has registry.mirrors, or tls in registry.configs, so Kubernetes (CRI) does not look into certs.d"
        table = f"[{cri.table}.configs.{json.dumps(missing[0])}.tls]"
        ca = quoting.basic_string(directory / quoting.component(missing[0]) / "ca.crt")
        hint = f"leave config_path out, CRI would not start with both; add {table} ca_file = {ca}; {RESTART}"
        return (Problem(cri.older, what, hint),)
    if cri.config_path:
        return ()
    table = f'[{cri.table}] config_path = "{directory}"'
    new = "" if cri.version else f"version = {criconf.NEWEST}, "
    hint = f"for Kubernetes: {new}{table}; {RESTART}; nerdctl needs nothing, ctr: --hosts-dir {directory}"
    return (Note(str(file), "config_path is not set, so Kubernetes (CRI) does not look into certs.d", hint),)
