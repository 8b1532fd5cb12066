"""A store with very many images, written quickly: blobs are holes, and links of blobs are empty, for nobody who looks
for what is needed reads them."""

from __future__ import annotations

import json
import os

from secreg_host.images.layout import Repository, Tree
from tests.stores import digest_of

LAYERS = 8
"""With its configuration and its manifest each image has ten blobs, which are its own."""

OLD = 1_000_000_000
"""When all of it was written (seconds since the epoch): links have a time of change besides, which is now."""

PROCESSES = 2


def name_of(number: int) -> str:
    return f"group{number % 100}/app{number}"


def fill(tree: Tree, repositories: int) -> None:
    """An image with a tag in each of so many repositories."""
    for two in range(256):
        (tree.base / f"blobs/sha256/{two:02x}").mkdir(parents=True, exist_ok=True)
    for group in range(100):
        (tree.base / f"repositories/group{group}").mkdir(parents=True, exist_ok=True)
    children = [_forked(tree, range(first, repositories, PROCESSES)) for first in range(PROCESSES)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * PROCESSES


def _forked(tree: Tree, numbers: range) -> int:
    child = os.fork()
    if child == 0:
        try:
            for number in numbers:
                image(tree, number)
            os._exit(0)
        finally:
            os._exit(1)
    return child


def image(tree: Tree, number: int, words: str = "") -> str:
    """The image of repository `number`; words: what makes it another one. Its digest."""
    one = Repository(tree, name_of(number))
    names = [f"{number} {words} {layer}".encode() for layer in range(LAYERS + 1)]
    parts = [{"mediaType": "x/y", "digest": digest_of(name), "size": 1000} for name in names]
    kind = "application/vnd.oci.image.manifest.v1+json"
    body = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": parts[0], "layers": parts[1:]}).encode()
    digest = digest_of(body)
    for part in parts:
        _file(tree.blob(str(part["digest"])), b"")
        _file(one.layer(str(part["digest"])), b"")
    _file(tree.blob(digest), body)
    for link in (one.revision(digest), one.once("latest", digest), one.current("latest")):
        _file(link, digest.encode())
    return digest


def _file(path: str, data: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    except FileNotFoundError:
        os.makedirs(path.rpartition("/")[0], exist_ok=True)  # noqa: PTH103 (quickly)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(descriptor, data)
    os.close(descriptor)
