"""Where the images are that are backed up, and that they are really there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secreg_host.base.errors import BadInput, SecregError
from secreg_host.generation import generations
from secreg_host.host.host import Host
from secreg_host.images import marker
from secreg_host.images.marker import Store
from secreg_host.upkeep import source
from tests import made

YML = "version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\n"


def serving(monkeypatch: pytest.MonkeyPatch, **part: Any) -> None:
    """A generation with such a registry serves."""
    parts = made.parts(made.registry(**part))
    monkeypatch.setattr(generations, "load", lambda *_: SimpleNamespace(parts=parts))


def test_those_of_what_serves(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    serving(monkeypatch, root=str(tmp_path / "link"))
    assert source.images(host) == tmp_path / "real"


def test_where_nothing_ever_served_those_of_the_file(host: Host, tmp_path: Path) -> None:
    host.paths.etc.mkdir(parents=True)
    host.paths.registry_yml.write_text(YML % tmp_path)
    assert source.images(host) == tmp_path
    host.paths.registry_yml.write_text(YML % (tmp_path / "gone"))
    with pytest.raises(SecregError, match="no such directory"):
        source.images(host)
    host.paths.registry_yml.unlink()
    with pytest.raises(BadInput):
        source.images(host)


def test_images_elsewhere_are_not_backed_up_in_silence(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    serving(monkeypatch, root=None)
    with pytest.raises(BadInput, match="on no file system") as caught:
        source.images(host)
    assert "--config-only" in caught.value.hint


def test_a_disk_that_is_not_mounted_makes_no_empty_backup(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store("0" * 32, marker.look(str(tmp_path)).base)
    serving(monkeypatch, root=str(tmp_path), store=store)
    with pytest.raises(SecregError, match="the images are not in") as caught:
        source.images(host)
    assert "findmnt" in caught.value.hint
    (tmp_path / store.name).touch()
    assert source.images(host) == tmp_path


def test_what_is_mounted_where_images_come_back(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where that is the store that served; one that is merely empty is what a restore is for."""
    assert source.unmounted(host, tmp_path) == ""
    base = marker.look(str(tmp_path)).base
    serving(monkeypatch, root=str(tmp_path), store=Store("0" * 32, base))
    assert source.unmounted(host, tmp_path) == ""
    store = Store("0" * 32, f"{base.rstrip('/')}/disk")
    serving(monkeypatch, root=str(tmp_path), store=store)
    assert source.unmounted(host, tmp_path) == f"nothing is mounted at {store.base}, where the images were"
    assert source.unmounted(host, tmp_path / "other") == ""
    (tmp_path / store.name).touch()
    assert source.unmounted(host, tmp_path) == ""


@pytest.mark.parametrize(
    ("data", "images", "found"),
    [
        (b"version: 0.1\nstorage: {filesystem: {rootdirectory: /srv/new}}\n", "/srv/old", "/srv/new"),
        (b"version: 0.1\nstorage: {s3: {bucket: b}}\n", "/srv/old", None),
        (b"version: [\n", "/srv/old", "/srv/old"),
        (b"\xff\x00", "/srv/old", "/srv/old"),
        (b"", "/srv/old", "/srv/old"),
        (b"version: [\n", "../etc", None),
        (b"version: [\n", None, None),
        (b"version: [\n", ["/srv/old"], None),
    ],
)
def test_a_configuration_that_did_not_serve_does_not_say_where_images_go(
    data: bytes, images: object, found: str | None
) -> None:
    assert source.told(data, "docker-registry.yml", {"images": images}) == found
