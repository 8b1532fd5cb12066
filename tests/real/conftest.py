"""Instances for the tests of this directory; all of them use real processes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.program import NOBODY, Instance, installed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in Path(str(item.fspath)).parents:
            item.add_marker(pytest.mark.real)


@pytest.fixture(scope="session")
def program() -> Iterator[Path]:
    with installed() as launcher:
        yield launcher


def _new(program: Path) -> Instance:
    directory = Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp"))
    if os.geteuid() == 0:
        os.chown(directory, NOBODY, NOBODY)
    return Instance(directory, program)


@pytest.fixture
def instance(program: Path) -> Iterator[Instance]:
    """An instance that was not set up yet."""
    found = _new(program)
    yield found
    found.stop()
    shutil.rmtree(found.root, ignore_errors=True)


@pytest.fixture(scope="module")
def shared(program: Path) -> Iterator[Instance]:
    """One that serves, for all tests of a module; each leaves it as it was."""
    found = _new(program)
    found.start()
    yield found
    found.stop()
    shutil.rmtree(found.root, ignore_errors=True)


@pytest.fixture
def serving(shared: Instance) -> Iterator[Instance]:
    """The shared one, whose /etc is put back and proven after the test."""
    saved = {path.name: (path.read_bytes(), path.stat().st_mode) for path in shared.etc.iterdir() if path.is_file()}
    yield shared
    for path in shared.etc.iterdir():
        if path.name not in saved:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for name, (data, mode) in saved.items():
        (shared.etc / name).unlink(missing_ok=True)
        shared.write(name, data)
        (shared.etc / name).chmod(mode)
    shared.reload()
    assert shared.ask("/v2/", user="docker").status == 200
