"""containerd, for Kubernetes (CRI), nerdctl and ctr: certs.d/HOST/hosts.toml.

Source: containerd, docs/hosts.md. nerdctl looks into /etc/containerd/certs.d by itself, `ctr` with --hosts-dir; CRI
only when config_path says so.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from secreg_host.base import quoting, reading, utf8
from secreg_host.base.errors import BadInput, Note, Problem
from secreg_host.base.paths import Paths
from secreg_host.base.process import find_program
from secreg_host.clients.served import Served

NAME = "containerd"
CAPABILITIES = 'capabilities = ["pull", "resolve", "push"]'
"""Said twice in hosts.toml: containerd 2 takes what is about `server`, containerd 1 the table below `host`. That is not
[host."https://…"], for the parser of 1.6 knows no `]` in the name of a table, so no IPv6 address."""
PLUGINS = ("io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri")
"""The plugin that holds registry.config_path, in containerd 2 and 1."""


def found(paths: Paths) -> bool:
    """Whether containerd is on this host."""
    return find_program("containerd") is not None


def wants(paths: Paths, served: Served, *, insecure: bool) -> dict[Path, bytes]:
    """For each spelling of an endpoint hosts.toml, and the CA certificate beside it."""
    wanted: dict[Path, bytes] = {}
    for word in served.spellings:
        directory = paths.containerd / "certs.d" / quoting.component(word)
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


def config_paths(data: bytes, where: str) -> tuple[str, ...]:
    """The directories that CRI searches, from the bytes of config.toml, the file `where`. Raises ValueError when it is
    not TOML, BadInput when it is no text."""
    plugins: dict[str, Any] = tomllib.loads(utf8.text(data, where)).get("plugins", {})
    given = [plugins.get(name, {}).get("registry", {}).get("config_path", "") for name in PLUGINS]
    return tuple(path for item in given if item for path in str(item).split(":"))


def notes(paths: Paths) -> tuple[Problem, ...]:
    """A warning unless CRI searches certs.d; nerdctl and ctr need no setting."""
    config, directory = paths.containerd / "config.toml", paths.containerd / "certs.d"
    try:
        given = config_paths(reading.read(config, reading.JSON) or b"", str(config))
    except BadInput as error:
        return error.problems
    except (ValueError, AttributeError, RecursionError) as error:
        at = re.search(r"\(at [^()]*\)$", str(error))  # the rest may quote
        return (
            Problem(
                str(config),
                f"can't be read as TOML{f' {at[0]}' if at else ''}",
                "correct that; what containerd makes of it: containerd config dump",
            ),
        )
    if str(directory) in given:
        return ()
    hint = (
        f'for Kubernetes: [plugins."{PLUGINS[1]}".registry] config_path = "{directory}" '
        f'(containerd 2: "{PLUGINS[0]}"), then restart containerd; nerdctl needs nothing, ctr: --hosts-dir {directory}'
    )
    return (Note(str(config), "config_path is not set, so Kubernetes (CRI) does not look into certs.d", hint),)
