"""How long a restore takes on a booted host until an image is pulled, beside a copy of the same files there."""

from __future__ import annotations

import shutil
import statistics
from functools import partial
from pathlib import Path

from bench.hosts import timed, with_package
from tests.booted.registry import ETC, Registry
from tests.hosts import tree
from tests.hosts.machine import Machine

STORAGE, THERE, COPY = "/var/lib/secure-registry/storage", "/srv/backup", "/srv/copy"
ROUNDS = 3
FIRST = "group0/app0/manifests/v0"
KIND = "application/vnd.oci.image.manifest.v1+json"
"""The image that is pulled first, and what it is."""


def measure(store: Path, *, quick: bool = False) -> dict[str, float]:
    """Seconds of a restore of the images of `store` up to the first pull (`restored`), of a copy of that backup to the
    same disk (`copied`), and how many more the first takes (`beyond`)."""
    deb = next(Path("dist").glob("secure-registry_*_all.deb"))
    copied, restored = [], []
    with with_package(tree.RELEASES[0], deb) as golden:
        for _ in range(1 if quick else ROUNDS):
            with Machine.boot(golden, "bench", docker=False) as machine:
                registry = _backed_up(machine, store)
                copied.append(timed(partial(machine.run, "sh", "-c", f"cp -a {THERE} {COPY} && sync -f {COPY}")))
                machine.run("sh", "-c", f"rm -rf {COPY}; sync -f /srv")
                restored.append(timed(partial(_restore_and_pull, registry)))
    beyond = statistics.median(mine - its for mine, its in zip(restored, copied, strict=True))
    return {"copied": statistics.median(copied), "restored": statistics.median(restored), "beyond": beyond}


def _backed_up(machine: Machine, store: Path) -> Registry:
    """A host on which nothing is but the package and a backup of `store`."""
    registry = Registry(machine)
    machine.run("systemctl", "start", "secure-registry")
    shutil.copytree(store, machine.disk / STORAGE.lstrip("/"), dirs_exist_ok=True)
    machine.run("chown", "-R", "secure-registry:", STORAGE)
    assert registry.command("backup", "create", THERE).returncode == 0
    machine.run("secure-registry", "uninstall", "--purge", "--yes")
    machine.run("sh", "-c", f"rm -rf {STORAGE}/docker {ETC}; sync -f /srv")
    return registry


def _restore_and_pull(registry: Registry) -> None:
    done = registry.command("restore", THERE)
    assert done.returncode == 0, done.stderr
    pulled = registry.curl(f"/v2/{FIRST}", "--fail", "--header", f"Accept: {KIND}", user="docker")
    assert pulled.returncode == 0, pulled
