"""The driver of a file system keeps to what drivers do, with second names and without."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from secreg_host.images.filesystem import Filesystem
from secreg_host.images.layout import Tree
from tests import drivers


def write(path: str, data: bytes) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(data)


@pytest.mark.parametrize("names", [2, 1])
def test_it_keeps_to_what_drivers_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: int) -> None:
    """names: how many a file can have; CIFS and FAT know one."""

    def link(source: str, target: str, **_: object) -> None:
        os.lstat(source)  # the kernel looks at both names first
        raise OSError(errno.EEXIST if os.path.lexists(target) else errno.EPERM, "no second name", source)

    if names == 1:
        monkeypatch.setattr(os, "link", link)
    tree = Tree(tmp_path)
    driver = Filesystem(tree)
    drivers.keeps_to_it(driver, write, str(tree.base))
    assert driver.space() is not None
    assert [path for path in (tree.base / "_trash").rglob("*") if path.is_file()] == []
    assert list((tree.base / "_trash/purging").iterdir()) == []
