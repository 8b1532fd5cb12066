"""What a new host needs is in the archive, and what is not is told."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import IO

import pytest

from secreg_host.host.host import Host
from secreg_host.upkeep import configuration
from secreg_host.upkeep.configuration import Saved

ETC, STATE = "etc/secure-registry", "var/lib/secure-registry/state"


@pytest.fixture
def filled(host: Host) -> Host:
    paths = host.paths
    (paths.etc / "hooks.d").mkdir(parents=True)
    paths.state.mkdir(parents=True)
    paths.generations.mkdir()
    (paths.generations / "x").touch()
    paths.conf.write_text("PORT=8443\n")
    paths.htpasswd.write_text("docker:x\n")
    paths.htpasswd.chmod(0o640)
    (paths.etc / "hooks.d/mail").write_text("#!/bin/sh\n")
    (paths.etc / "hooks.d/mail").chmod(0o755)
    paths.ca_key.write_text("KEY")
    for name in configuration.ANEW:
        (paths.state / name).write_text("x")
    (paths.state / "of a later version").write_text("x")
    return host


def saved(host: Host, tmp_path: Path) -> tuple[Saved, dict[str, tuple[tarfile.TarInfo, bytes | None]]]:
    target = tmp_path / "config.tar"
    result = configuration.save(host.paths, {"host": "h"}, target)
    found = {}
    with tarfile.open(target) as tar:
        for info in tar:
            file = tar.extractfile(info) if info.isreg() else None
            found[info.name] = info, file.read() if file else None
    assert result.size == target.stat().st_size and target.stat().st_mode & 0o777 == 0o600
    return result, found


def test_all_of_etc_and_what_is_remembered(filled: Host, tmp_path: Path) -> None:
    result, found = saved(filled, tmp_path)
    assert result.problems == ()
    assert {name: data for name, (info, data) in found.items() if info.isreg()} == {
        "about.json": b'{\n "host": "h"\n}\n',
        f"{ETC}/secure-registry.conf": b"PORT=8443\n",
        f"{ETC}/.htpasswd": b"docker:x\n",
        f"{ETC}/hooks.d/mail": b"#!/bin/sh\n",
        f"{STATE}/ca.key": b"KEY",
        f"{STATE}/of a later version": b"x",
    }
    modes = {name: info.mode for name, (info, _) in found.items()}
    assert (modes[f"{ETC}/.htpasswd"], modes[f"{ETC}/hooks.d/mail"]) == (0o640, 0o755)
    assert found[f"{ETC}/hooks.d"][0].isdir() and found[f"{ETC}/.htpasswd"][0].uid == os.geteuid()


def test_what_links_lead_to(filled: Host, tmp_path: Path) -> None:
    live = tmp_path / "letsencrypt"
    (live / "deep").mkdir(parents=True)
    (live / "fullchain1.pem").write_text("CRT")
    (live / "fullchain.pem").symlink_to("fullchain1.pem")
    (live / "deep/more").write_text("MORE")
    filled.paths.crt.symlink_to(live / "fullchain.pem")
    (filled.paths.etc / "directory").symlink_to(live)
    result, found = saved(filled, tmp_path)
    assert result.problems == ()
    link, _ = found[f"{ETC}/docker-registry.crt"]
    assert link.issym() and link.linkname == str(live / "fullchain.pem")
    assert found[f"linked/{ETC}/docker-registry.crt"][1] == b"CRT"
    inside = {name.removeprefix(f"linked/{ETC}/directory/"): data for name, (_, data) in found.items()}
    assert (inside["fullchain.pem"], inside["fullchain1.pem"], inside["deep/more"]) == (b"CRT", b"CRT", b"MORE")


def test_etc_itself_may_be_a_link(filled: Host, tmp_path: Path) -> None:
    filled.paths.etc.rename(tmp_path / "elsewhere")
    filled.paths.etc.symlink_to(tmp_path / "elsewhere")
    _, found = saved(filled, tmp_path)
    assert found[f"{ETC}/secure-registry.conf"][1] == b"PORT=8443\n" and found[ETC][0].isdir()


def test_what_can_not_be_taken_is_told_and_nothing_waits(filled: Host, tmp_path: Path) -> None:
    etc = filled.paths.etc
    os.mkfifo(etc / "pipe")
    (etc / "nowhere").symlink_to("gone")
    (etc / "circle").symlink_to(".")
    (etc / "loop").symlink_to("loop")
    (etc / ".x.12345678.secreg.new").write_text("half")
    result, found = saved(filled, tmp_path)
    said = {problem.where or problem.what for problem in result.problems}
    assert any(str(etc / "pipe") in one for one in said) and any(str(etc / "nowhere") in one for one in said)
    assert f"{ETC}/secure-registry.conf" in found and found[f"{ETC}/nowhere"][0].issym()
    assert not any("secreg.new" in name for name in found)


def test_names_that_are_no_text(filled: Host, tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff" + b"n" * 200)
    (filled.paths.etc / odd).write_text("x")
    _, found = saved(filled, tmp_path)
    assert found[f"{ETC}/{odd}"][1] == b"x"


def test_later_pythons_want_a_file(filled: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen red on trixie, on a booted host: no backup was made at all."""

    addfile = tarfile.TarFile.addfile

    def later(tar: tarfile.TarFile, info: tarfile.TarInfo, file: IO[bytes] | None = None) -> None:
        if info.size and file is None:
            raise ValueError("fileobj not provided for non zero-size regular file")
        addfile(tar, info, file)

    monkeypatch.setattr(tarfile.TarFile, "addfile", later)
    assert saved(filled, tmp_path)[1][f"{ETC}/secure-registry.conf"][1] == b"PORT=8443\n"
