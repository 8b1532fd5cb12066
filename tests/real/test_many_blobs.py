"""Space is freed in a store of very many blobs: what it takes is right, and it takes little memory. `make chaos-images`
does it with a million of them (SECREG_CHAOS_REPOSITORIES), in which each look must be quick, too."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from secreg_host.base.paths import Paths
from secreg_host.images.layout import Repository, Tree
from tests import many
from tests.real.program import CHECKOUT

REPOSITORIES = int(os.environ.get("SECREG_CHAOS_REPOSITORIES", "300"))
PLACE = os.environ.get("SECREG_CHAOS_PLACE", "/var/tmp")
"""Where they are: a million blobs are 6,000,000 files and directories, 20 GB on ext4, 8 GB in memory."""

LARGE = 50_000
"""From so many repositories on, the time counts."""

SECONDS, MEMORY = 45.0, 200e6
PER_IMAGE = many.LAYERS + 2
MEASURED = """import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], check=True, stdout=subprocess.PIPE)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = used.ru_utime + used.ru_stime
print(json.dumps({"said": json.loads(done.stdout), "memory": used.ru_maxrss * 1024, "cpu": cpu}))
"""


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="secreg-many-", dir=PLACE) as directory:
        yield Path(directory)


def collected(root: Path, *words: str) -> tuple[dict[str, int], float]:
    """What a run said, and the seconds of processor time that it took, which is what it takes where nobody else needs
    the processor: its class is idle. Its memory is bounded."""
    gc = [sys.executable, "-m", "tests.power.collects", "gc", "--json", "--root", str(root), *words]
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", MEASURED, *gc], check=True, cwd=CHECKOUT, stdout=subprocess.PIPE)
    took, said = time.monotonic() - began, json.loads(done.stdout)
    told = {key: value for key, value in said["said"].items() if value and isinstance(value, int)}
    print(f"gc: {took:.1f} s, processor {said['cpu']:.1f} s, {said['memory'] / 1e6:.0f} MB: {told}")
    assert said["memory"] <= MEMORY
    return said["said"], said["cpu"]


def test_little_is_spare_of_very_many(root: Path) -> None:
    paths = Paths(root)
    paths.etc.mkdir(parents=True)
    paths.state.mkdir(parents=True)
    paths.registry_yml.write_text(f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {paths.storage}}}}}\n")
    tree, began = Tree(paths.storage), time.monotonic()
    many.fill(tree, REPOSITORIES)
    print(f"{REPOSITORIES:,} repositories, {REPOSITORIES * PER_IMAGE:,} blobs: {time.monotonic() - began:.0f} s")
    wish = ("--grace", "0s", "--untagged-older", "0s", "--purge", "--yes")
    first, cold = collected(root, *wish)
    again, warm = collected(root, *wish)
    for said in (first, again):
        assert (said["blobs"], said["manifests"], said["freed_blobs"]) == (0, 0, 0)
    assert REPOSITORIES < LARGE or min(cold, warm) <= SECONDS

    for number in range(10):  # a tag is moved
        many.image(tree, number * (REPOSITORIES // 10), "anew")
    shutil.rmtree(Repository(tree, many.name_of(1)).path)
    gone, _ = collected(root, *wish)
    assert (gone["manifests"], gone["blobs"]) == (10, 10 * (PER_IMAGE - 1))
    assert gone["freed_blobs"] == 11 * PER_IMAGE
    assert sum(1 for _ in tree.blobs()) == (REPOSITORIES - 1) * PER_IMAGE
