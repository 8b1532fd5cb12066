"""How long it takes to list the images of many repositories: the first time, again, and after one push; and to free
space there."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import collecting
from tests.stores import Store, digest_of

CHECKOUT = Path(__file__).resolve().parents[1]
REPOSITORIES, LAYERS, SHARED = 10_000, 10, 3
"""Repositories with an image each; its layers, of which so many are everybody's. No more than their names is there: a
list looks at none of them."""

ROUNDS, SETTLED = 5, 3.0
"""Lists of each kind; seconds after which nothing is too young to be remembered."""

YML = "version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\n"


def push(store: Store, number: int, words: str = "") -> None:
    """An image as buildkit makes one, but for its layers."""
    history = [{"created_by": f"RUN step {step}"} for step in range(LAYERS)]
    said = {"os": "linux", "architecture": "amd64", "history": history, "of": f"{number}{words}"}
    config = json.dumps(said).encode()
    names = [f"{number if layer >= SHARED else ''} {layer}".encode() for layer in range(LAYERS)]
    kind = "application/vnd.oci.image.config.v1+json"
    content: dict[str, object] = {
        "config": {"mediaType": kind, "digest": store.blob(config), "size": len(config)},
        "layers": [{"digest": digest_of(name), "size": 1000} for name in names],
    }
    store.manifest(f"group{number % 100}/app{number}", content, "latest")


def listed(root: Path) -> float:
    """Seconds that a list of all images takes."""
    argv = [sys.executable, "-m", "tests.accounts", "images", "list", "--root", str(root)]
    begin = time.perf_counter()
    subprocess.run(argv, check=True, cwd=CHECKOUT, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def measure(say: Callable[[str], None], *, quick: bool = False) -> dict[str, Any]:
    """Seconds of a list that knows nothing, of one that knows all, and of one after a push."""
    with tempfile.TemporaryDirectory(prefix="secreg-bench-", dir="/var/tmp") as directory:
        root, count = Path(directory), REPOSITORIES // 20 if quick else REPOSITORIES
        images = root / "images"
        (root / "etc/secure-registry").mkdir(parents=True)
        (root / "etc/secure-registry/docker-registry.yml").write_text(YML % images)
        say(f"a store of {count:,} repositories")
        store = Store(images)
        for number in range(count):
            push(store, number)
        time.sleep(SETTLED)
        took: dict[str, list[float]] = {"first": [], "again": [], "pushed": []}
        for turn in range(2 if quick else ROUNDS):
            shutil.rmtree(root / "var/cache", ignore_errors=True)
            took["first"].append(listed(root))
            took["again"].append(listed(root))
            push(store, turn, " anew")
            time.sleep(SETTLED)
            took["pushed"].append(listed(root))
    figures = {name: {"ours": statistics.median(values)} for name, values in took.items()}
    return {"figures": figures | collecting.measure(say, quick=quick)}
