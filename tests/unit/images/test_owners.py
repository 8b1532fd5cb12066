"""What was copied in by somebody else is found by a sample, and the remedy does what it says and no more."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from secreg_host.base.process import Account
from secreg_host.host.host import Host
from secreg_host.images import imagesplace, owners

TREE = "docker/registry/v2"


def store(place: Path, repositories: int = 3) -> Path:
    for number in range(repositories):
        tags = place / TREE / f"repositories/r{number}/_manifests/tags/latest/current"
        tags.mkdir(parents=True)
        (tags / "link").write_text("sha256:ab")
    (place / TREE / "blobs/sha256/ab/abcd").mkdir(parents=True)
    (place / TREE / "blobs/sha256/ab/abcd/data").write_text("x")
    return place


def test_what_is_as_the_registry_makes_it(host: Host, tmp_path: Path) -> None:
    assert owners.wrong(host, str(tmp_path)) is None, "nothing is there yet"
    assert owners.wrong(host, str(store(tmp_path, 200))) is None


@pytest.mark.promise("foreign-owners")
@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("docker", 0o555),
        (TREE, 0o555),
        (f"{TREE}/repositories", 0o500),
        (f"{TREE}/repositories/r1", 0o555),
        (f"{TREE}/repositories/r2/_manifests/tags/latest/current/link", 0o444),
        (f"{TREE}/blobs/sha256/ab", 0o555),
        (f"{TREE}/blobs/sha256/ab/abcd/data", 0o000),
    ],
)
def test_what_can_not_be_written(host: Host, tmp_path: Path, path: str, mode: int) -> None:
    (store(tmp_path) / path).chmod(mode)
    if os.geteuid() == 0:  # as the registry's user of a host
        for each in (tmp_path, *tmp_path.rglob("*")):
            os.chown(each, 65534, 65534)
        tmp_path.parent.chmod(0o755)
        host = replace(host, accounts=replace(host.accounts, registry=Account("nobody", 65534, 65534)))
    found = owners.wrong(host, str(tmp_path))
    (tmp_path / path).chmod(0o755)
    assert found is not None and str(tmp_path / path) in found[0], found
    assert found[1].startswith(f"chown -hR {host.accounts.registry.name}: {tmp_path}; ")


def test_what_went_meanwhile_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload's directory is removed when its blob is whole: between the listing and the look, too."""
    monkeypatch.chdir(store(tmp_path))
    listed = list(owners._sample())
    monkeypatch.setattr(owners, "_sample", lambda: iter(listed))
    (tmp_path / TREE / "blobs/sha256/ab/abcd/data").unlink()
    assert owners._first_wrong() == ""


def test_links_are_not_looked_behind(host: Host, tmp_path: Path) -> None:
    (store(tmp_path) / TREE / "repositories/link").symlink_to("/root/nowhere")
    assert owners.wrong(host, str(tmp_path)) is None


def test_no_remedy_takes_what_may_be_anybody_s(host: Host, tmp_path: Path) -> None:
    account = host.accounts.registry
    store(tmp_path)
    for name in ("lost+found", f".secure-registry-store-{'1' * 32}"):
        (tmp_path / name).touch()
    assert "chown" in imagesplace.remedy(account, str(tmp_path))
    (tmp_path / "home").mkdir()
    assert "chown" not in imagesplace.remedy(account, str(tmp_path))


def test_where_nobody_can_write_is_nothing_to_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox sees home directories read-only."""
    (store(tmp_path) / TREE).chmod(0o555)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", lambda _, rights: rights == os.F_OK)
    assert owners._first_wrong() == "docker"
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    assert owners._first_wrong() == ""


def test_all_is_looked_at_where_no_sample_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(tmp_path, 200)
    monkeypatch.chdir(tmp_path)
    wrong = {f"{TREE}/repositories/r{number}/_manifests" for number in (17, 180)} | {f"{TREE}/blobs"}
    monkeypatch.setattr(os, "access", lambda path, rights: rights == os.F_OK or path not in wrong)
    assert {*owners.every()} == wrong
