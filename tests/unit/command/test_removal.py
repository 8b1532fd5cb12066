"""Images are never removed, wherever docker-registry.yml put them."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest

from secreg_host.base import distant
from secreg_host.base.errors import Exit
from secreg_host.command import removal
from secreg_host.command.call import Call
from secreg_host.command.instance import InForeground
from secreg_host.command.verbs import uninstall
from secreg_host.host.host import Host

BLOB = "docker/registry/v2/blobs/sha256/aa/data"


@pytest.mark.promise("purge-keeps-images")
@pytest.mark.parametrize("top", ["docker", "docker.20261130T051500Z"])
@pytest.mark.parametrize("place", ["storage", "other/deep/storage", "."])
def test_purge_keeps_images_at_any_depth(host: Host, place: str, top: str) -> None:
    """Also those that a restore moved aside. Seen red: where it was cut then, they went."""
    blob = host.paths.lib / place / BLOB.replace("docker", top)
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"an image")
    (host.paths.state).mkdir(exist_ok=True)
    (host.paths.state / "ca.key").write_bytes(b"a key")
    host.paths.etc.mkdir(parents=True)
    said: list[str] = []
    removal.uninstall(InForeground(host), purge=True, tell=said.append)
    assert blob.read_bytes() == b"an image"
    assert not host.paths.state.exists() and not host.paths.etc.exists()


def test_purge_follows_no_link_to_images(host: Host, tmp_path: Path) -> None:
    blob = tmp_path / BLOB
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"an image")
    host.paths.lib.mkdir(parents=True)
    host.paths.storage.symlink_to(tmp_path)
    removal.uninstall(InForeground(host), purge=True, tell=str)
    assert blob.read_bytes() == b"an image"


@pytest.mark.promise("uninstall")
@pytest.mark.parametrize("runs", [True, False])
def test_what_runs_in_the_foreground_is_stopped_first(host: Host, monkeypatch: pytest.MonkeyPatch, runs: bool) -> None:
    """Seen red: where that was taken out, its files went while it ran."""
    stopped: list[bool] = []
    host.paths.run.mkdir(parents=True)
    monkeypatch.setattr(InForeground, "running", lambda _: runs)
    monkeypatch.setattr(InForeground, "stop", lambda one: stopped.append(one.host.paths.run.exists()))
    removal.uninstall(InForeground(host), purge=False, tell=str)
    assert stopped == [True] * runs and not host.paths.run.exists()


@pytest.mark.promise("purge-keeps-images")
def test_purge_takes_links_and_not_what_they_lead_to(host: Host, tmp_path: Path) -> None:
    host.paths.etc.mkdir(parents=True)
    host.paths.lib.mkdir(parents=True)
    elsewhere = tmp_path / "archive"
    elsewhere.mkdir()
    (elsewhere / "privkey.pem").write_bytes(b"a key")
    host.paths.key.symlink_to(elsewhere / "privkey.pem")
    (host.paths.etc / "sites").symlink_to(elsewhere)
    (host.paths.lib / "linked").symlink_to(elsewhere)
    removal.uninstall(InForeground(host), purge=True, tell=str)
    assert not host.paths.etc.exists() and not (host.paths.lib / "linked").is_symlink()
    assert (elsewhere / "privkey.pem").read_bytes() == b"a key"
    host.paths.etc.symlink_to(elsewhere)
    removal.uninstall(InForeground(host), purge=True, tell=str)
    assert not host.paths.etc.is_symlink() and (elsewhere / "privkey.pem").exists()


@pytest.mark.promise("purge-keeps-images")
def test_purge_leaves_what_is_mounted_somewhere_in_it(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = host.paths.etc / "conf.d/shared"
    inner.mkdir(parents=True)
    (inner / "theirs.conf").write_bytes(b"theirs")
    (host.paths.etc / "nginx.conf").write_bytes(b"ours")
    monkeypatch.setattr(distant, "mounts", lambda: {str(inner): "ext4"})
    said: list[str] = []
    removal.uninstall(InForeground(host), purge=True, tell=said.append)
    assert (inner / "theirs.conf").exists() and not (host.paths.etc / "nginx.conf").exists()
    assert any(line.startswith(f"kept {inner}: something is mounted") for line in said)


@pytest.mark.promise("uninstall")
@pytest.mark.usefixtures("service_users")
@pytest.mark.parametrize(
    ("typed", "code"), [("\x04", Exit.FAILED), ("\n", Exit.FAILED), ("n\n", Exit.FAILED), ("y\n", Exit.DONE)]
)
def test_only_a_yes_is_one(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, code: Exit
) -> None:
    """Seen: on a terminal that closes (Ctrl-D), a traceback."""
    ours, theirs = os.openpty()
    os.write(ours, typed.encode())
    done: list[object] = []
    monkeypatch.setattr(removal, "uninstall", lambda *_, **__: done.append(1))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    args = argparse.Namespace(verb="uninstall", purge=False, yes=False)
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        assert uninstall.run(Call(args, host.paths, {}, argparse.ArgumentParser())) == code
    os.close(ours)
    assert bool(done) == (code is Exit.DONE) and ("nothing was changed" in capsys.readouterr().out) != bool(done)
