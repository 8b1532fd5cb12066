"""What docs/moving-in.md tells people to type, typed: each line of each section, on one host with three old registries.

A volume is what the real registry wrote as root, as it does in a container; `docker stop` ends that one.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from tests import readme
from tests.booted.registry import Registry
from tests.hosts.machine import Machine

PAGE = Path(__file__).resolve().parents[2] / "docs/moving-in.md"
RELEASE = "bookworm"
VOLUME = "/var/lib/docker/volumes/registry/_data"
ARCHIVE = "/root/image"
KIND = "application/vnd.oci.image.manifest.v1+json"
NOT_TYPED = r"docker inspect .*"
INSTEAD = (
    (r"docker stop registry", "systemctl stop old-container"),
    (r"old=old\.example\.org:5000", "old=127.0.0.1:5002"),
)
"""There is no container here, and no other host."""


def old_conf(place: str, port: int) -> str:
    return f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {place}\nhttp:\n  addr: 127.0.0.1:{port}\n"


def old_registry(machine: Machine, unit: str, place: str, port: int) -> None:
    """A registry of somebody else's, run by root."""
    machine.write(f"/root/{unit}.yml", old_conf(place, port))
    machine.run("systemd-run", "--quiet", f"--unit={unit}", "docker-registry", "serve", f"/root/{unit}.yml")
    listens(machine, port)


def listens(machine: Machine, port: int) -> None:
    ask = ["curl", "-sf", f"http://127.0.0.1:{port}/v2/"]
    machine.wait_for(f"the registry on port {port}", lambda: machine.run(*ask, check=False).returncode == 0)


def make_image(machine: Machine, words: str) -> None:
    """An image of one layer, in skopeo's `dir` format: no registry and no daemon is needed to make it."""
    layer, config = words.encode(), b"{}"
    parts = [(f"sha256:{hashlib.sha256(data).hexdigest()}", data) for data in (config, layer)]
    kinds = ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar")
    described = [
        {"mediaType": kind, "digest": digest, "size": len(data)}
        for kind, (digest, data) in zip(kinds, parts, strict=True)
    ]
    whole = {"schemaVersion": 2, "mediaType": KIND, "config": described[0], "layers": described[1:]}
    machine.run("rm", "-rf", ARCHIVE)
    machine.run("mkdir", ARCHIVE)
    for digest, data in parts:
        machine.write(f"{ARCHIVE}/{digest.removeprefix('sha256:')}", data.decode())
    machine.write(f"{ARCHIVE}/manifest.json", json.dumps(whole))
    machine.write(f"{ARCHIVE}/version", "Directory Transport Version: 1.1\n")


def fill(machine: Machine, port: int, *names: str) -> None:
    """An image of its own for each of the `names` in the old registry on `port`."""
    for name in names:
        make_image(machine, name)
        to = f"docker://127.0.0.1:{port}/{name}:1"
        argv = ["skopeo", "copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"]  # else layers are packed
        machine.run(*argv, f"dir:{ARCHIVE}", to)


def layer_of(registry: Registry, name: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()
    tagged = registry.curl(f"/v2/{name}/manifests/1", "-H", f"Accept: {KIND}", user="docker").stdout
    assert digest in tagged and tagged.endswith("\n200"), tagged
    return registry.curl(f"/v2/{name}/blobs/sha256:{digest}", user="docker").stdout


def sections() -> dict[str, list[readme.Line]]:
    """The commands of each section of the page."""
    found: dict[str, list[readme.Line]] = {}
    heads = [(number, text) for number, text in enumerate(PAGE.read_text().splitlines(), 1) if text.startswith("## ")]
    for line in readme.block_lines(PAGE):
        head = [text for number, text in heads if number < line.number][-1]
        found.setdefault(head.removeprefix("## "), []).append(line)
    return found


def typed(machine: Machine, lines: list[readme.Line]) -> None:
    """All of `lines` in one shell, as they are pasted."""
    script = ["cd", "set -e"]
    for line in lines:
        instead = next((put for pattern, put in INSTEAD if re.fullmatch(pattern, line.command)), line.command)
        if not re.fullmatch(NOT_TYPED, line.command):
            script.append(instead)
    machine.run("bash", "-c", "\n".join(script), timeout=120)


@pytest.mark.promise("moving-in")
def test_images_move_in(base_tree: Path, release: str, deb: Path) -> None:
    if release != RELEASE:
        return
    story = sections()
    titles = ["The volume of a `registry:2` container", "The store of Debian's `docker-registry`"]
    copied, after = "Any registry, by `skopeo sync`", "Afterwards"
    assert list(story) == [*titles, copied, after], "each section with commands is tried here"
    with Machine.boot(base_tree, "host", docker=False) as machine:
        machine.install(deb)
        registry = Registry(machine)
        machine.run("secure-registry", "setup")
        machine.run("mkdir", "-p", VOLUME)
        old_registry(machine, "old-container", VOLUME, 5001)
        fill(machine, 5001, "alpha", "team/beta")
        typed(machine, story[titles[0]])
        machine.write("/etc/docker/registry/config.yml", old_conf("/var/lib/docker-registry", 5000))  # without users
        machine.run("systemctl", "start", "docker-registry")
        listens(machine, 5000)
        fill(machine, 5000, "gamma", "team/delta")
        typed(machine, story[titles[1]])
        old_registry(machine, "old-elsewhere", "/srv/old", 5002)
        fill(machine, 5002, "epsilon", "team/sub/zeta")
        typed(machine, story[copied])
        typed(machine, story[after])
        for name in ("alpha", "team/beta", "gamma", "team/delta", "epsilon", "team/sub/zeta"):
            assert layer_of(registry, name) == f"{name}\n200"
        make_image(machine, "another")
        moved_in = "docker://127.0.0.1/team/beta:1"  # it can be overwritten
        machine.run("skopeo", "copy", "--quiet", f"dir:{ARCHIVE}", moved_in)
        done = registry.command("reload")
        assert done.returncode == 0 and "can't" not in done.stderr, done.stderr
        assert registry.unexpected() == []
