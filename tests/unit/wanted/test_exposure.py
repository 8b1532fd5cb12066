"""What others can read or write is said, and no hook of theirs is run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from secreg_host.apply import hooks
from secreg_host.base import files
from secreg_host.base.records import Ledger, Write
from secreg_host.base.snapshot import Snapshot
from secreg_host.host.host import Host
from secreg_host.wanted import defaults, exposure

PASSWORD = "PASSWORD=s3cr3t\n"


@pytest.fixture
def etc(host: Host) -> Iterator[Path]:
    """/etc/secure-registry with a hook, closed."""
    before = os.umask(0o022)
    for name in ("docker-registry.key", ".htpasswd", "docker-registry.yml", "secure-registry.conf", "nginx.conf"):
        files.make_directory(host.paths.etc / "hooks.d", 0o755)
        (host.paths.etc / name).write_text("")
        (host.paths.etc / name).chmod(0o640)
    hook = host.paths.hooks / "tell"
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    yield host.paths.etc
    os.umask(before)


def give_away(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Let `path` belong to somebody else (which root alone could really do)."""
    theirs = path.lstat().st_ino
    monkeypatch.setattr(exposure, "_trusted", lambda found: found.st_ino != theirs)


def told(host: Host) -> list[str]:
    return [str(problem.where) for problem in (*exposure.problems(Snapshot(host.paths)), *hooks.refused(host.paths))]


def test_what_is_closed_is_fine(host: Host, etc: Path) -> None:
    assert told(host) == [] and hooks.found(host.paths) == (etc / "hooks.d/tell",)


@pytest.mark.promise("readable-secrets")
@pytest.mark.parametrize("name", ["docker-registry.key", ".htpasswd", "docker-registry.yml"])
def test_what_every_user_can_read(host: Host, etc: Path, name: str) -> None:
    (etc / name).chmod(0o644)
    [problem] = exposure.problems(Snapshot(host.paths))
    assert problem.where == str(etc / name) and problem.hint == f"chmod o-r {etc}/{name}"
    (etc / name).chmod(0o640)  # a group of the administrator's choice
    assert told(host) == []


@pytest.mark.parametrize(("text", "warned"), [(PASSWORD, True), ("PASSWORD s3cr3t\n", True), ("PORT=443\n", False)])
def test_settings_that_hold_a_password(host: Host, etc: Path, text: str, warned: bool) -> None:
    (etc / "secure-registry.conf").write_text(text)
    (etc / "secure-registry.conf").chmod(0o644)
    assert told(host) == ([str(etc / "secure-registry.conf")] if warned else [])


def test_where_nobody_gets_to_it_a_mode_does_no_harm(host: Host, etc: Path) -> None:
    secret = host.paths.root / "live"
    secret.mkdir(mode=0o700)
    (secret / "privkey.pem").write_text("")
    (etc / "docker-registry.key").unlink()
    (etc / "docker-registry.key").symlink_to(secret / "privkey.pem")
    assert told(host) == []
    secret.chmod(0o755)
    assert told(host) == [str(etc / "docker-registry.key")]


def test_what_others_can_write_is_one_warning_with_one_remedy(host: Host, etc: Path) -> None:
    for path in (etc, *etc.iterdir(), etc / "hooks.d/tell"):
        path.chmod(0o777)
    (where,) = [problem for problem in exposure.problems(Snapshot(host.paths)) if "can write it" in problem.what]
    assert where.where == str(etc) and where.hint.startswith(f"chmod go-w {etc} ")
    (hook,) = hooks.refused(host.paths)
    words = shlex.split(hook.hint)
    assert words == ["chmod", "go-w", str(etc), str(etc / "hooks.d"), str(etc / "hooks.d/tell")]
    for path in map(Path, (*words[2:], *shlex.split(where.hint)[2:])):
        path.chmod(path.stat().st_mode & ~0o022)
    assert hooks.refused(host.paths) == ()
    assert [problem for problem in exposure.problems(Snapshot(host.paths)) if "can write it" in problem.what] == []


@pytest.mark.promise("hooks-of-others")
@pytest.mark.parametrize("weak", ["", "hooks.d", "hooks.d/tell", "file", "directory"])
@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_a_hook_that_others_can_write_is_not_run(host: Host, etc: Path, weak: str, mode: int) -> None:
    """Itself, a directory on the way to it, what it links to, or a directory on the way there."""
    hook, place = etc / "hooks.d/tell", host.paths.root / "opt"
    places = {"file": place / "real", "directory": place}
    if weak in places:
        place.mkdir()
        hook.rename(place / "real")
        hook.symlink_to(place / "real")
    assert hooks.found(host.paths) == (hook,)
    culprit = places.get(weak, etc / weak)
    culprit.chmod(mode)
    assert hooks.found(host.paths) == ()
    [problem] = hooks.refused(host.paths)
    assert problem.where == str(hook) and str(culprit) in problem.what and problem.hint == f"chmod go-w {culprit}"


@pytest.mark.parametrize("weak", ["hooks.d", "hooks.d/tell"])
def test_a_hook_of_somebody_else_is_not_run(host: Host, etc: Path, weak: str, monkeypatch: pytest.MonkeyPatch) -> None:
    give_away(monkeypatch, etc / weak)
    [problem] = hooks.refused(host.paths)
    owner = "root" if os.geteuid() == 0 else str(os.geteuid())
    assert hooks.found(host.paths) == () and problem.hint == f"chown {owner} {etc / weak}"


def test_in_a_sticky_directory_what_is_ours_stays(host: Host, etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = host.paths.root / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    hook = etc / "hooks.d/tell"
    hook.rename(shared / "real")
    hook.symlink_to(shared / "real")
    assert hooks.found(host.paths) == (hook,)
    (shared / "theirs").symlink_to(shared / "real")
    hook.unlink()
    hook.symlink_to(shared / "theirs")
    assert hooks.found(host.paths) == (hook,)
    give_away(monkeypatch, shared / "theirs")  # who owns a link there can put another one in its place
    assert hooks.found(host.paths) == ()


def test_an_unedited_file_of_an_earlier_version_is_closed(host: Host, etc: Path) -> None:
    yml = etc / "docker-registry.yml"
    write = Write(yml, b"version: 0.1\n", files.SECRET)
    yml.write_bytes(write.data)
    yml.chmod(0o644)
    Ledger(host.paths).record([write])
    assert defaults.follow(Snapshot(host.paths), (write,), create=False) == ()
    assert yml.stat().st_mode & 0o777 == 0o640
    yml.chmod(0o600)
    defaults.follow(Snapshot(host.paths), (write,), create=False)
    assert yml.stat().st_mode & 0o777 == 0o600
    yml.write_bytes(b"edited")
    yml.chmod(0o644)
    defaults.follow(Snapshot(host.paths), (write,), create=False)
    assert yml.stat().st_mode & 0o777 == 0o644
