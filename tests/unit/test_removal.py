"""Images are never removed, wherever docker-registry.yml put them."""

from __future__ import annotations

from pathlib import Path

import pytest

from secreg_host import removal
from secreg_host.host import Host

BLOB = "docker/registry/v2/blobs/sha256/aa/data"


@pytest.mark.parametrize("place", ["storage", "other/deep/storage", "."])
def test_purge_keeps_images_at_any_depth(host: Host, place: str) -> None:
    blob = host.paths.lib / place / BLOB
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"an image")
    (host.paths.state).mkdir(exist_ok=True)
    (host.paths.state / "ca.key").write_bytes(b"a key")
    host.paths.etc.mkdir(parents=True)
    said: list[str] = []
    removal.uninstall(host, purge=True, tell=said.append)
    assert blob.read_bytes() == b"an image"
    assert not host.paths.state.exists() and not host.paths.etc.exists()


def test_purge_follows_no_link_to_images(host: Host, tmp_path: Path) -> None:
    blob = tmp_path / BLOB
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"an image")
    host.paths.lib.mkdir(parents=True)
    host.paths.storage.symlink_to(tmp_path)
    removal.uninstall(host, purge=True, tell=str)
    assert blob.read_bytes() == b"an image"
