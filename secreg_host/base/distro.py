"""Which distribution this is, for remedies: what installs a package here, and where nothing packages it. Pure."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from secreg_host.base import paths

UPSTREAM = "https://github.com/distribution/distribution/releases"
"""Where distribution's registry comes from."""


@functools.cache
def _ids(release: Path) -> list[str]:
    """ID and ID_LIKE of os-release(5): the distribution, then what it is made from."""
    try:
        text = release.read_text(errors="replace")
    except OSError:
        return []
    found = {name: value.strip("\"'") for name, value in re.findall(r"(?m)^(ID|ID_LIKE)=(.*)$", text)}
    return " ".join((found.get("ID", ""), found.get("ID_LIKE", ""))).split()


def is_fedora_like() -> bool:
    """Whether packages are Red Hat's: Fedora, EL (RHEL, CentOS Stream, Alma, Rocky)."""
    return bool({"fedora", "rhel", "centos"} & set(_ids(paths.OS_RELEASE)))


def install(debian: str, fedora: str = "", el: str = "") -> str:
    """The command that installs a package: its name on Debian, on Fedora (if another) and on EL (if another)."""
    ids = _ids(paths.OS_RELEASE)
    if not is_fedora_like():
        return f"apt install {debian}"
    return f"dnf install {(el if ids[0] != 'fedora' else '') or fedora or debian}"


def install_registry() -> str:
    """How distribution's registry comes onto this host: Debian and Fedora package it, EL does not."""
    if is_fedora_like() and _ids(paths.OS_RELEASE)[0] != "fedora":
        return f"no package of EL has it: put the binary of a release ({UPSTREAM}) to {paths.OWN_REGISTRY}"
    return install("docker-registry", "docker-distribution")
