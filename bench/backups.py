"""Backups beside `rsync -a` and `sha256sum` on the same tree: how fast the first one is, the next one, and the proof.

All begin with what they read in memory, and end with what they wrote on disk (`sync -f`; a backup syncs by itself).
They take turns. And what many blobs cost, in seconds and in memory.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench import restored
from secreg_host.images.layout import Repository
from tests.stores import Store

CHECKOUT = Path(__file__).resolve().parents[1]
IMAGES, LAYER = 250, 2_700_000
"""Images of three layers of so many bytes: 2 GB in some 1,300 files, as registries have them."""

MANY = 10_000
"""Images of tiny layers, of which nothing is new: 50,000 blobs."""

SPARSE, EACH = 200_000, 10_000
"""Blobs that are holes, 20 GB in all, and how many of them a repository has: all are in the pool already."""

ROUNDS = 3
YML = "version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\n"


def fill(place: Path, images: int, layer: int) -> int:
    """A store with so many images; how many bytes its blobs have."""
    store, size = Store(place), 0
    for number in range(images):
        name = f"group{number % 50}/app{number % 2000}"
        parts = [
            {"mediaType": "application/octet-stream", "size": each, "digest": store.layer(name, os.urandom(each))}
            for each in (500, layer, layer, layer)
        ]
        kind = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
        store.manifest(name, {**kind, "config": parts[0], "layers": parts[1:]}, f"v{number}")
        size += 500 + 3 * layer
    return size


def fill_sparse(place: Path, pool: Path, count: int) -> None:
    """A store of so many blobs, each of zeros, one more than the one before; all are in the directory `pool`, too."""
    store, zeros = Store(place), hashlib.sha256()
    parts: list[dict[str, object]] = []
    for number in range(count):
        zeros.update(b"\0")
        digest = f"sha256:{zeros.hexdigest()}"
        path, name = Path(store.tree.blob(digest)), f"group/app{number // EACH}"
        path.parent.mkdir(parents=True)
        with path.open("wb") as file:
            file.truncate(number + 1)
        store.link(Repository(store.tree, name).layer(digest), digest)
        pooled = pool / zeros.hexdigest()[:2] / zeros.hexdigest()
        pooled.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, pooled)
        parts.append({"digest": digest})
        if len(parts) == 50:
            store.manifest(name, {"config": parts[0], "layers": parts[1:]}, f"v{number}")
            parts.clear()


def memory(root: Path, *words: str) -> tuple[float, float]:
    """Seconds that a command of this version's takes, and the MB that it, or a process of its own, has at the most."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    argv = [sys.executable, "-m", "tests.accounts", "backup", *words, "--root", str(root)]
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *argv], check=True, cwd=CHECKOUT, stdout=subprocess.PIPE)
    return time.perf_counter() - begin, int(done.stdout) * 1024 / 1e6


def measure_sparse(top: Path, root: Path, yml: Path, count: int) -> dict[str, dict[str, float]]:
    """What it costs to look at so many blobs, of which none is new, and to prove them."""
    sparse, there = top / "sparse", top / "there"
    sparse.mkdir()
    yml.write_text(YML % sparse)
    ours(root, "create", str(there))
    fill_sparse(sparse, there / "blobs/sha256", count)
    ours(root, "create", str(there))  # manifests are new
    created, proven = memory(root, "create", str(there)), memory(root, "verify", str(there))
    found = {"many": created[0], "many_memory": created[1], "many_proof_memory": proven[1]}
    return {name: {"ours": value} for name, value in found.items()}


def ours(root: Path, *words: str) -> None:
    """A command of this version's, of the instance below `root`."""
    argv = [sys.executable, "-m", "tests.accounts", "backup", *words, "--root", str(root)]
    subprocess.run(argv, check=True, cwd=CHECKOUT, stdout=subprocess.DEVNULL)


def shell(line: str) -> None:
    subprocess.run(["sh", "-c", line], check=True, stdout=subprocess.DEVNULL)


def seconds(act: Callable[[], None]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def measure(say: Callable[[str], None], *, quick: bool = False) -> dict[str, Any]:
    """MB/s of first backups and of proofs, seconds of a backup of which nothing is new; beside the tools."""
    with tempfile.TemporaryDirectory(prefix="secreg-bench-", dir="/var/tmp") as directory:
        top = Path(directory)
        large, root = top / "large", top / "root"
        say("a store of 2 GB")
        size = fill(large, IMAGES // 20 if quick else IMAGES, LAYER) / 1e6
        (root / "etc/secure-registry").mkdir(parents=True)
        yml = root / "etc/secure-registry/docker-registry.yml"
        yml.write_text(YML % large)
        took: dict[str, list[float]] = {name: [] for name in ("first", "rsync", "verify", "sha256sum")}
        for number in range(1 if quick else ROUNDS):
            made, copied = top / f"ours{number}", top / f"rsync{number}"  # one that was removed would be missed
            hashed = f"find {made}/blobs -type f -print0 | xargs -0 -P2 -n 50 sha256sum"
            took["rsync"].append(seconds(partial(shell, f"rsync -a {large}/ {copied} && sync -f {copied}")))
            took["first"].append(seconds(partial(ours, root, "create", str(made))))
            took["sha256sum"].append(seconds(partial(shell, hashed)))
            took["verify"].append(seconds(partial(ours, root, "verify", str(made))))
            shutil.rmtree(made)
            shutil.rmtree(copied)
        say("a host that is restored")
        back = restored.measure(large, quick=quick)
        say("a store of 50,000 blobs")
        many = top / "many"
        fill(many, MANY // 20 if quick else MANY, 100)
        yml.write_text(YML % many)
        again = [seconds(lambda: ours(root, "create", str(top / "again"))) for _ in range(1 + ROUNDS)][1:]
        say("a store of 200,000 sparse blobs")
        lots = measure_sparse(top, root, yml, SPARSE // 20 if quick else SPARSE)
    rate = {name: size / statistics.median(values) for name, values in took.items()}
    figures = {
        "first": {"ours": rate["first"], "rsync": rate["rsync"]},
        "verify": {"ours": rate["verify"], "sha256sum": rate["sha256sum"]},
        "restored": {"ours": back["restored"], "rsync": back["copied"]},
        "beyond": {"ours": back["beyond"]},
        "again": {"ours": statistics.median(again)},
        **lots,
    }
    return {"figures": figures}
