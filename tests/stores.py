"""Stores of images in a directory, as the registry writes them, and what clients do there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from secreg_host.images.layout import Repository, Tree
from secreg_host.images.survey import Entry, Survey


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Store:
    """A store as the registry writes it, and what clients do there."""

    def __init__(self, root: Path) -> None:
        self.tree = Tree(root)

    def link(self, place: str, digest: str) -> Path:
        path = Path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(digest)
        os.utime(path, (1000, 1000))
        return path

    def blob(self, data: bytes) -> str:
        path = Path(self.tree.blob(digest_of(data)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return digest_of(data)

    def layer(self, name: str, data: bytes) -> str:
        self.link(Repository(self.tree, name).layer(digest_of(data)), self.blob(data))
        return digest_of(data)

    def manifest(self, name: str, content: dict[str, object], *tags: str) -> str:
        one, data = Repository(self.tree, name), json.dumps(content).encode()
        digest = self.blob(data)
        self.link(one.revision(digest), digest)
        for tag in tags:
            self.link(one.current(tag), digest)
            self.link(one.once(tag, digest), digest)
        return digest

    def push(self, name: str, words: str, *tags: str) -> str:
        """An image of two layers, one of which all images have."""
        parts = [{"digest": self.layer(name, data)} for data in (b"{}", b"shared", words.encode())]
        return self.manifest(name, {"config": parts[0], "layers": parts[1:]}, *tags)

    def delete(self, name: str, digest: str) -> None:
        """As the registry does: the revision, and each tag that leads there."""
        one = Repository(self.tree, name)
        Path(one.revision(digest)).unlink()
        for tag in list(one.tags()):
            if Path(one.current(tag)).read_text() == digest:
                shutil.rmtree(f"{one.path}/_manifests/tags/{tag}")

    def entries(self) -> list[Entry]:
        return list(Survey(self.tree).entries())
