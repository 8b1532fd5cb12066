"""Why a registry does not start, in words that help: versions 2.8 and 3.x alike."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from secreg_host.apply import faults
from secreg_host.base import process
from secreg_host.host import registryprogram

YML = b"version: 0.1\nstorage:\n  delete: {enabled: true}\n  swift:\n    container: images\n"
PROGRAM = Path("/opt/registry")


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("docker-registry github.com/docker/distribution 2.8.2+ds1", "2.8.2+ds1"),
        ("registry github.com/distribution/distribution/v3 v3.0.0", "3.0.0"),
        ("registry github.com/distribution/distribution/v3 3.0.0-rc.2", "3.0.0-rc.2"),
        ("registry github.com/distribution/distribution/v3 (devel)", "unknown"),
        ("true (GNU coreutils) 9.1", ""),
        ("", ""),
    ],
)
def test_the_version_is_what_the_program_says(said: str, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], 0, f"{said}\n", "")
    monkeypatch.setattr(process, "run", lambda argv, _: done if argv[-2:] == [str(PROGRAM), "--version"] else None)
    assert registryprogram.version(PROGRAM, process.Account("nobody", 65534, 65534)) == version


def test_a_dropped_driver_is_named_with_its_line() -> None:
    said = "panic: StorageDriver not registered: swift"
    found = registryprogram.explain(said, Path("/etc/x.yml"), YML, PROGRAM, "3.0.0")
    assert found.where == "/etc/x.yml:4"
    assert "/opt/registry, version 3.0.0" in found.what and "driver: swift" in found.what
    assert "REGISTRY_BINARY" in found.hint and "2.8" in found.hint


def test_anything_else_is_told_as_it_was_said() -> None:
    found = registryprogram.explain("out of luck", Path("/etc/x.yml"), YML, PROGRAM, "2.8.2")
    assert (found.where, found.what) == ("/etc/x.yml", "the registry does not start with it: out of luck")


def test_a_value_of_the_wrong_kind_is_named_with_its_line() -> None:
    words = [
        "configuration error: error parsing docker-registry.yml: yaml: unmarshal errors:",
        "  line 3: cannot unmarshal !!map into string",
        "Usage: registry serve <config> [flags]",
    ]
    found = registryprogram.explain(faults.reason(words), Path("/etc/x.yml"), YML, PROGRAM, "2.8.2")
    assert found.where == "/etc/x.yml:3"
    assert found.what == "the registry does not start with it: cannot unmarshal !!map into string"
    found = registryprogram.explain("x: yaml: line 4: found a tab", Path("/etc/x.yml"), YML, PROGRAM, "2.8.2")
    assert (found.where, found.what.rpartition(": ")[2]) == ("/etc/x.yml:4", "found a tab")


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("error parsing x.yml: invalid loglevel loud Must be one of [error, warn, info, debug]", 3),
        ("read /srv/tls: is a directory", 6),
        ("read /srv/tls/key: is a directory", 7),
        ("open /a/srv/tls: not found", 0),
        ("it knows no rule loudly", 0),
    ],
)
def test_a_value_that_it_quotes_is_named_by_its_line(said: str, line: int) -> None:
    yml = b"""version: 0.1
log:
  level: loud
http:
  tls:
    certificate: /srv/tls
    key: /srv/tls/key
    more: [oud, 7]
"""
    found = registryprogram.explain(said, Path("/etc/x.yml"), yml, PROGRAM, "2.8.2")
    assert found.where == (f"/etc/x.yml:{line}" if line else "/etc/x.yml")
    assert not line or yml.splitlines()[line - 1].decode().split()[-1] not in found.what, "it may be a secret"
