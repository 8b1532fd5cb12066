"""A registry whose store is empty, for whoever needs no other one."""

from __future__ import annotations

from pathlib import Path

import pytest

from secreg_host.images.layout import Tree
from tests.distribution import Distribution


@pytest.fixture
def registry(tmp_path: Path) -> Distribution:
    made = Distribution(Tree(tmp_path))
    for name in ("blobs", "repositories"):
        (made.tree.base / name).mkdir(parents=True)
    return made
