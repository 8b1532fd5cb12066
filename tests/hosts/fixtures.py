"""Fixtures that give a test a host of its own. Everything runs once per release in `SECREG_TEST_RELEASES`.

- `booted_host`: one for all tests of a module; `fresh_host`: one for this test; neither has the package installed.
- `installed_host`: one for this test, with the package installed (a copy of a host where that was done once).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts import tree
from tests.hosts.machine import Machine

_CHECKOUT = Path(__file__).resolve().parents[2]


def releases() -> list[str]:
    """The Debian releases to test on."""
    return os.environ.get("SECREG_TEST_RELEASES", " ".join(tree.RELEASES)).split()


@pytest.fixture(scope="session")
def deb() -> Path:
    """The package: the file that SECREG_DEB names, else the one that `make deb` builds now."""
    given = os.environ.get("SECREG_DEB")
    if given:
        return Path(given).resolve(strict=True)
    done = subprocess.run(["make", "deb"], cwd=_CHECKOUT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.fail(f"make deb failed\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    found = sorted(_CHECKOUT.glob("dist/secure-registry_*_all.deb"), key=lambda path: path.stat().st_mtime)
    if not found:
        pytest.fail("make deb left no dist/secure-registry_*_all.deb")
    return found[-1]


@pytest.fixture(scope="session", params=releases())
def release(request: pytest.FixtureRequest) -> str:
    """The Debian release of this test's hosts."""
    name = request.param
    assert isinstance(name, str)
    return name


@pytest.fixture(scope="session")
def base_tree(release: str) -> Path:
    """The tree that hosts are booted from; skips the test where hosts can't be booted (but not in CI)."""
    try:
        return tree.base(release)
    except tree.Unavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def booted_host(base_tree: Path) -> Iterator[Machine]:
    with Machine.boot(base_tree, "host") as machine:
        yield machine


@pytest.fixture
def fresh_host(base_tree: Path) -> Iterator[Machine]:
    with Machine.boot(base_tree, "host") as machine:
        yield machine


@pytest.fixture(scope="session")
def installed_base(base_tree: Path, deb: Path) -> Iterator[Machine]:
    """A host that is switched off, with the package installed: to boot copies of."""
    with Machine.boot(base_tree, "host", docker=False) as machine:
        machine.install(deb)
        machine.shutdown()
        yield machine


@pytest.fixture
def installed_host(installed_base: Machine) -> Iterator[Machine]:
    with Machine.boot(installed_base, "host") as machine:
        yield machine
