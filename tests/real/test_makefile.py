"""The targets of the Makefile that can be tried on any machine."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.real.program import CHECKOUT

TARGETS = [
    name for line in re.findall(r"(?m)^([a-z -]+):", (CHECKOUT / "Makefile").read_text()) for name in line.split()
]


def make(place: Path, *words: str, path: str = "/usr/sbin:/usr/bin:/sbin:/bin") -> subprocess.CompletedProcess[str]:
    given = {"PATH": path, "LANG": "C.UTF-8"}
    return subprocess.run(["/usr/bin/make", *words], cwd=place, env=given, capture_output=True, text=True)


@pytest.mark.parametrize("target", TARGETS)
def test_each_name_is_known_where_it_is_used(target: str) -> None:
    """On 0.1 need-build looked up a list of packages that came after it, and was without it."""
    done = make(CHECKOUT, "--dry-run", "--warn-undefined-variables", target)
    assert "undefined" not in done.stderr, done.stderr


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("Makefile", "setup.cfg"):
        shutil.copy(CHECKOUT / name, tmp_path)
    for name in ("build/x", "dist/x", "x.egg-info/x"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "var/lib/secure-registry/storage/docker/registry/v2/blobs/sha256/00/data",
        "srv/images/docker/registry/v2/repositories/x/_manifests/link",
        "var/lib/secure-registry/state/ca.key",
    ],
)
def test_clean_keeps_images_and_the_ca_and_says_so(place: Path, name: str) -> None:
    path = place / "config" / name
    path.parent.mkdir(parents=True)
    path.write_text("not to be had again")
    done = make(place, "clean")
    assert done.returncode == 0 and path.read_text() == "not to be had again"
    assert "kept config/" in done.stdout and done.stdout.rstrip().endswith("rm -r config")
    assert not any((place / gone).exists() for gone in ("build", "dist", "x.egg-info"))


def test_clean_removes_what_can_be_made_again(place: Path) -> None:
    (place / "config/etc/secure-registry").mkdir(parents=True)
    (place / "config/etc/secure-registry/nginx.conf").touch()
    (place / "config/var/lib/secure-registry/storage").mkdir(parents=True)
    assert make(place, "clean").returncode == 0
    assert sorted(path.name for path in place.iterdir()) == ["Makefile", "setup.cfg"]


def test_units_that_could_not_be_verified_are_not_clean(place: Path) -> None:
    """Seen: without systemd-analyze, lint passed."""
    shutil.copytree(CHECKOUT / "units", place / "units")
    assert make(place, "lint-units").returncode == 0
    (place / "bin").mkdir()
    for name in ("mkdir", "rm", "sed"):
        (place / "bin" / name).symlink_to(Path("/usr/bin", name))
    without = make(place, "lint-units", path=str(place / "bin"))
    assert without.returncode != 0 and "systemd-analyze: command not found" in without.stderr
    with (place / "units/secure-registry.service").open("a") as unit:
        unit.write("[Service]\nNoSuchThing=yes\n")
    wrong = make(place, "lint-units")
    assert wrong.returncode != 0 and "NoSuchThing" in wrong.stderr and "not found clean" in wrong.stderr


@pytest.mark.promise("check-fast")
def test_the_fast_checks_need_neither_root_nor_packages(place: Path) -> None:
    """On 0.1 they installed nginx and the registry first, or were refused to whoever is not root."""
    tools = place / "bin"
    tools.mkdir()
    (tools / "grep").symlink_to("/usr/bin/true")  # for the version in files that are not here
    python = place / "build/venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/usr/bin/bash\necho "$@"\n')
    python.chmod(0o755)
    (place / "build/venv/ready").touch()
    done = make(place, "check-fast", path=str(tools))
    assert done.returncode == 0, done.stderr
    for left_out, package in (("lint-units", "systemd"), ("lint-scripts", "shellcheck")):
        assert re.search(rf"left out: {left_out}, .*apt-get install {package}$", done.stdout, re.MULTILINE), done.stdout
    assert "-m mypy\n" in done.stdout and "-m pytest -q tests/unit\n" in done.stdout


def test_what_the_fast_checks_need_is_named(place: Path) -> None:
    done = make(place, "check-fast", "PYTHON=/bin/false")
    assert done.returncode != 0 and "/bin/false can make no virtual environments" in done.stderr
    assert "apt-get install python3-venv\n" in done.stderr and not (place / "build/venv").exists()


def test_unit_tests_run_as_they_are_typed() -> None:
    """On 0.1 `pytest tests/unit` found no module `tests`."""
    pytest_as_typed = str(Path(sys.executable).parent / "pytest")
    argv = [pytest_as_typed, "-q", "-p", "no:cacheprovider", "tests/unit/base/test_names.py"]
    given = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(argv, cwd=CHECKOUT, env=given, capture_output=True, text=True)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupted_start_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """What packaging/detached has begun ends with it as long as it doesn't serve."""
    told = tmp_path / "told"
    script = f"echo $$ > {told}.new; mv {told}.new {told}; exec sleep 98765"
    detached = str(CHECKOUT / "packaging/detached")
    argv = ["env", "--default-signal", detached, "sh", "-c", script]  # whatever nohup(1) left
    with subprocess.Popen(argv) as process:
        deadline = time.monotonic() + 30
        while not told.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        begun = Path("/proc") / told.read_text().strip()
        log = (begun / "fd/1").readlink()
        assert log.exists()
        process.send_signal(number)
        assert process.wait(30) == 128 + number.value
    assert not log.exists() and not begun.exists()
