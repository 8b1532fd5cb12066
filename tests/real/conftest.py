"""Instances for the tests of this directory; all of them use real processes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.real.program import NOBODY, Instance, installed

Kind = TypeVar("Kind", bound=Instance)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in Path(str(item.fspath)).parents:
            item.add_marker(pytest.mark.real)


@pytest.fixture(scope="session")
def program() -> Iterator[Path]:
    with installed() as launcher:
        yield launcher


@contextmanager
def new_instance(program: Path, kind: type[Kind]) -> Iterator[Kind]:
    """An instance of class `kind` that was not set up yet; it ends with the block."""
    directory = Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp"))
    if os.geteuid() == 0:
        os.chown(directory, NOBODY, NOBODY)
    found = kind(directory, program)
    try:
        yield found
    finally:
        found.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def instance(program: Path) -> Iterator[Instance]:
    """An instance that was not set up yet."""
    with new_instance(program, Instance) as found:
        yield found


@pytest.fixture(scope="module")
def shared(program: Path) -> Iterator[Instance]:
    """One that serves, for all tests of a module; each leaves it as it was."""
    with new_instance(program, Instance) as found:
        found.start()
        yield found


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
