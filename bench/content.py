"""What every peer serves: blobs and images, written as the registry's filesystem storage keeps them.

Source: distribution, registry/storage/paths.go. Written directly, because ten thousand repositories pushed through a
registry would take longer than everything that is measured on them.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from pathlib import Path

from tests.real.program import NOBODY

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
SMALL, LARGE, LAYER = 10_000, 400_000_000, 1_000_000
LAYERS = 10


@dataclass(frozen=True)
class Image:
    """An image with the tag `latest`: its repository, its manifest's digest, and what a client fetches after that."""

    repository: str
    manifest: str
    blobs: tuple[str, ...]

    @property
    def tagged(self) -> str:
        return f"/v2/{self.repository}/manifests/latest"

    @property
    def by_digest(self) -> str:
        return f"/v2/{self.repository}/manifests/{self.manifest}"

    @property
    def blob_paths(self) -> tuple[str, ...]:
        return tuple(f"/v2/{self.repository}/blobs/{digest}" for digest in self.blobs)


@dataclass(frozen=True)
class Content:
    """What is in a storage: the paths of a small blob and a large one, an image of ten layers."""

    small: str
    large: str
    image: Image


class Storage:
    """The storage tree below `root`."""

    def __init__(self, root: Path) -> None:
        self.base = root / "docker/registry/v2"

    def fill(self) -> Content:
        """Write what is measured, the same bytes every time."""
        source = random.Random(4)
        large = b"".join(source.randbytes(LAYER) for _ in range(LARGE // LAYER))  # randbytes has a limit
        digests = [self.blob("bench/blobs", data) for data in (source.randbytes(SMALL), large)]
        paths = [f"/v2/bench/blobs/blobs/{digest}" for digest in digests]
        image = self.image("bench/image", [source.randbytes(LAYER) for _ in range(LAYERS)])
        return Content(paths[0], paths[1], image)

    def image(self, repository: str, layers: list[bytes]) -> Image:
        """An image of `layers` in `repository`."""
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}}).encode()
        blobs = [self.blob(repository, data) for data in (config, *layers)]
        kinds = ["application/vnd.docker.container.image.v1+json"]
        kinds += ["application/vnd.docker.image.rootfs.diff.tar.gzip"] * len(layers)
        entries = [
            {"mediaType": kind, "size": len(data), "digest": digest}
            for kind, data, digest in zip(kinds, (config, *layers), blobs, strict=True)
        ]
        text = {"schemaVersion": 2, "mediaType": MANIFEST, "config": entries[0], "layers": entries[1:]}
        digest = self._data(json.dumps(text, indent=3).encode())
        self._tag(repository, digest)
        return Image(repository, digest, tuple(blobs))

    def blob(self, repository: str, data: bytes) -> str:
        """A blob linked into `repository`; its digest."""
        digest = self._data(data)
        self._link(repository, f"_layers/sha256/{_hex(digest)}/link", digest)
        return digest

    def copy(self, image: Image, repository: str) -> Image:
        """The same image in another repository: links, no bytes."""
        for digest in image.blobs:
            self._link(repository, f"_layers/sha256/{_hex(digest)}/link", digest)
        self._tag(repository, image.manifest)
        return Image(repository, image.manifest, image.blobs)

    def _tag(self, repository: str, digest: str) -> None:
        self._link(repository, f"_manifests/revisions/sha256/{_hex(digest)}/link", digest)
        self._link(repository, "_manifests/tags/latest/current/link", digest)
        self._link(repository, f"_manifests/tags/latest/index/sha256/{_hex(digest)}/link", digest)

    def _link(self, repository: str, path: str, digest: str) -> None:
        target = self.base / "repositories" / repository / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(digest)

    def _data(self, data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()
        target = self.data(f"sha256:{name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        return f"sha256:{name}"

    def data(self, digest: str) -> Path:
        """The file that holds the bytes of a blob."""
        name = _hex(digest)
        return self.base / "blobs/sha256" / name[:2] / name / "data"


OWNER = NOBODY
"""Whose files they are: the peers' processes run as nobody."""


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
