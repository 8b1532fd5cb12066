"""What was held back when it was backed up, on its way to another host."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from secreg_host.base.paths import Paths
from secreg_host.command import cli
from secreg_host.images import survey
from secreg_host.upkeep import source
from tests.stores import Store


@pytest.mark.promise("restores", "backup-of-held-back-edits")
def test_images_come_back_to_where_they_were_though_the_file_that_names_it_is_broken(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service_users: None, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(survey, "PAUSE", 0.001)
    paths, there = Paths(root), str(tmp_path / "there")
    images = root / "srv/images"
    images.mkdir(parents=True)
    paths.etc.mkdir(parents=True)
    paths.registry_yml.write_text("version: [\n")  # edited since; what serves has images in another directory
    Store(images).push("team/app", "one", "1.0")
    monkeypatch.setattr(source, "images", lambda host: images)
    assert cli.main(["backup", "create", there, "--root", str(root)], {}) == 0
    for path in root.iterdir():
        shutil.rmtree(path)
    (root / "srv").mkdir()
    assert cli.main(["restore", there, "--root", str(root)], {}) == 0, capsys.readouterr().err
    assert f"images: all of them, to {images}" in capsys.readouterr().out
    assert any(entry[0] == "tag" for entry in Store(images).entries())
    assert paths.registry_yml.read_text() == "version: [\n", "it is as it was, to be mended"
