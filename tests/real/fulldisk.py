"""`python -m tests.real.fulldisk DIRECTORY [--collected-before]`, in a mount namespace of its own: images on a small
disk that is full, and what commands and clients do there, line by line as JSON."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from secreg_host.base.paths import Paths
from secreg_host.entry import main
from secreg_host.host import host as hosts
from secreg_host.images.layout import Tree
from secreg_host.upkeep import settling
from tests import accounts
from tests.distribution import Distribution, image
from tests.stores import digest_of

NOW = ("gc", "--untagged-older", "0s", "--grace", "0s", "--purge", "--yes", "--json")


def typed(root: Path, *words: str) -> tuple[int, str]:
    """The exit code of a command, and what it said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = main([*words, "--root", str(root)])
        except SystemExit as error:
            code = int(error.code or 0)
    return code, said.getvalue()


def fill(folder: Path) -> None:
    """Leave no byte there, and no inode."""
    with (folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    with contextlib.suppress(OSError):
        for number in range(100_000):
            os.mkdir(folder / f"filler-{number}")  # noqa: PTH102


def free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def tell(what: str, **more: object) -> None:
    print(json.dumps({"what": what, **more}), flush=True)


def tried(root: Path, registry: Distribution, *words: str) -> None:
    before = free(registry.tree.root)
    code, said = typed(root, *words)
    tags = sorted(f"{one.name}:{tag}" for one in registry.tree.repositories() for tag in one.tags())
    freed = free(registry.tree.root) - before
    tell(" ".join(words[:2]), code=code, said=said, wrong=registry.wrong(), tags=tags, freed=freed)


def run(root: Path) -> None:
    hosts._account = accounts.found
    settling.SECONDS = 0.01
    paths = Paths(root)
    paths.etc.mkdir(parents=True)
    paths.storage.mkdir(parents=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m,nr_inodes=4k,mode=700", "tmpfs", str(paths.storage)], check=True
    )
    paths.registry_yml.write_text(f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {paths.storage}}}}}\n")
    registry = Distribution(Tree(paths.storage))
    for number in range(5):
        layers = [registry.upload("a", data) for data in (b"{}", os.urandom(100_000), str(number).encode())]
        last = registry.put("a", "latest", image(*layers))
        registry.put("a", f"v{number}", image(*layers))
    registry.upload("b", b"left" * 20_000)
    if "--collected-before" in sys.argv:
        tried(root, registry, "gc", "--grace", "1h")
    fill(paths.storage)
    time.sleep(0.02)
    try:
        registry._write(str(paths.storage / "new/one"), b"x")
        tell("a push", code=0)
    except OSError as error:
        tell("a push", code=error.errno, full=error.errno == errno.ENOSPC)
    tried(root, registry, "images", "rm", "a:v1", "--yes")
    tried(root, registry, *NOW)
    tried(root, registry, *NOW)
    fill(paths.storage)
    registry.delete("a", digest_of(Path(registry.tree.blob(last)).read_bytes()))
    tried(root, registry, *NOW)
    tried(root, registry, *NOW)
    tried(root, registry, "images", "rm", "a:v2", "--yes")
    tried(root, registry, "images", "undelete", "a:v2")
    tried(root, registry, "images", "list")


if __name__ == "__main__":
    run(Path(sys.argv[1]))
