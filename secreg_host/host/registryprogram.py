"""distribution's registry as a program: its version, and why it does not start with a docker-registry.yml.

2.8 (Debian's) and 3.x (upstream's, by REGISTRY_BINARY) are run alike: 3.x is told not to look for a collector of traces
(OTEL_TRACES_EXPORTER), which 2.8 passes over, and lacks the storage drivers swift and oss.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from secreg_host.base import process
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.process import Account
from secreg_host.formats import lastwords, registryconf

VERSION = re.compile(r"\bv?(\d+\.\d+\.\d+\S*)\s*$")
NO_DRIVER = re.compile(r"StorageDriver not registered: (\S+)")
LINE = re.compile(r"(?:^ *|\byaml: )line (\d+): ")
"""How YAML's decoder (gopkg.in/yaml.v2, decode.go) says where a value is of another kind than the registry takes."""

ELSEWHERE = {"swift": "2.8", "oss": "2.8"}
"""Storage drivers that distribution 3.0 dropped, and the last version that has them (its release notes)."""

DRIVERS = {"azure", "filesystem", "gcs", "inmemory", "oss", "s3", "s3aws", "swift"}
"""Those that any version of distribution ever had."""

REFERENCE = "correct what it says; all keys: https://distribution.github.io/distribution/about/configuration/"


def version(program: Path, account: Account) -> str:
    """What `program --version`, run as `account`, says of itself; "" when it says nothing of the kind."""
    with contextlib.suppress(SecregError):
        said = process.run(process.as_account([str(program), "--version"], account), 5).stdout.strip()
        if found := VERSION.search(said):
            return found[1]
        return "unknown" if "distribution" in said else ""  # built by hand
    return ""


def explain(said: str, yml: Path, data: bytes, program: Path, its_version: str) -> Problem:
    """Why the registry `program` does not start with `data`, the bytes of docker-registry.yml, as it `said`."""
    if not (missing := NO_DRIVER.search(said)):
        found = LINE.search(said)
        where = f"{yml}:{found[1]}" if found else registryconf.place(str(yml), data, *registryconf.quoted(data, said))
        told = said[found.end() :] if found else said
        return Problem(where, f"the registry does not start with it: {lastwords.registry(told, data)}", REFERENCE)
    driver = missing[1]
    where = registryconf.place(str(yml), data, "storage", driver)
    shown = f": {driver}" if driver in DRIVERS else ""
    what = f"this registry ({program}, version {its_version}) has no such storage driver{shown}"
    hint = "name one that it has, such as filesystem or s3"
    if last := ELSEWHERE.get(driver):
        hint = f"it was dropped after {last}: set REGISTRY_BINARY to a registry {last}, or use s3, which both speak"
    return Problem(where, what, hint)
