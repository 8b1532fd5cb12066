"""What killed runs left goes with the next one; what somebody is writing, and what is not ours, stays."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from secreg_host.base import files, leftovers, temporary, waiting
from secreg_host.clients import edits, trust, trust_docker
from secreg_host.generation.liveusers import LiveUsers
from secreg_host.host.host import Host


def cut(path: Path) -> None:
    """In a process of its own: be killed while `path` is being replaced."""
    with temporary.instead_of(path) as descriptor:
        os.write(descriptor, b"secret")
        os.kill(os.getpid(), 9)


def killed(path: Path) -> Path:
    """What a run leaves that is killed while it replaces `path`."""
    before = set(path.parent.iterdir())
    child = multiprocessing.get_context("fork").Process(target=cut, args=(path,))
    child.start()
    child.join(30)
    assert child.exitcode == -9
    [left] = set(path.parent.iterdir()) - before
    assert left.read_bytes() == b"secret" and left.stat().st_mode & 0o777 == 0o600
    return left


@pytest.fixture
def places(host: Host) -> list[Path]:
    """A file that we write in each directory."""
    paths = host.paths
    unit = paths.units / "secure-registry-x.service"
    found = [paths.htpasswd, paths.key, paths.report, paths.backups / "daemon.json", unit, paths.run / "starting-a"]
    for path in found:
        path.parent.mkdir(parents=True, exist_ok=True)
    return found


@pytest.mark.promise("killed-runs")
def test_files_of_killed_runs_are_swept(host: Host, places: list[Path]) -> None:
    left = [killed(path) for path in places]
    (host.paths.state / ".report.json.a1b2c3d4.new").touch()  # version 0.1 named them so
    host.paths.current.with_name(".current.new").symlink_to("generations/x")
    (host.paths.lib / "slots").mkdir()
    (host.paths.lib / "slots/.a.new").symlink_to("../current/registry")
    host.paths.rehearsal.mkdir()
    templates = host.paths.state / "templates"
    templates.mkdir()
    (templates / "old.tmp").touch()
    os.utime(templates / "old.tmp", (1, 1))
    (templates / "fresh.tmp").touch()
    leftovers.sweep(host.paths)
    assert not [path for path in left if path.exists()]
    assert not [path for path in host.paths.root.rglob("*.new") if os.path.lexists(path)]
    assert not host.paths.rehearsal.exists()
    assert [path.name for path in templates.iterdir()] == ["fresh.tmp"]


def test_what_killed_runs_left_among_the_users_is_swept_once_it_is_old(host: Host) -> None:
    """Without a lock: one that is young may be just being made."""
    live = LiveUsers(host)
    old, young = live.directory / ".live.new", live.directory / ".proven.new"
    for number in range(2):
        live.mark_proven(live.write(b""))
        for path in (old, young):
            path.unlink(missing_ok=True)
            path.symlink_to("x")
        os.utime(old, (1, 1), follow_symlinks=False)
        live._sweep("")
        assert young.is_symlink() and not old.is_symlink(), number
    assert live.epoch and live.proven == live.epoch


def test_what_somebody_writes_or_made_himself_stays(host: Host, places: list[Path]) -> None:
    etc = host.paths.etc
    others = [
        etc / ".htpasswd.swp.new",
        etc / ".nginx.conf.a1b2c3d4.new",
        etc / "x.secreg.new",
        host.paths.state / "x.new",
    ]
    for path in others:
        path.touch()
    (etc / ".folder.secreg.new").mkdir()
    (etc / ".link.secreg.new").symlink_to("nginx.conf")
    os.mkfifo(etc / ".pipe.secreg.new")
    os.mkfifo(host.paths.state / ".pipe.new")
    (host.paths.state / ".pending.new").mkdir()
    before = {path for path in host.paths.root.rglob("*") if path.name.endswith(".new")}
    for path in places:
        with temporary.instead_of(path) as descriptor:
            os.write(descriptor, b"whole")
            leftovers.sweep(host.paths)
        assert path.read_bytes() == b"whole"
    assert {path for path in host.paths.root.rglob("*") if path.name.endswith(".new")} == before


def test_a_file_taken_for_a_leftover_before_it_was_locked_is_made_anew(
    host: Host, places: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = temporary.fcntl.flock
    swept: list[bool] = []

    def late(descriptor: int, operation: int) -> None:
        if not swept:
            swept.append(True)
            for path in places[0].parent.glob(f".*{temporary.MARK}"):
                path.unlink()
        real(descriptor, operation)

    monkeypatch.setattr(temporary.fcntl, "flock", late)
    files.write(places[0], b"whole", 0o600)
    assert places[0].read_bytes() == b"whole" and swept


def test_whoever_writes_next_to_a_leftover_removes_it(tmp_path: Path) -> None:
    """Also in directories of other programs, of which no run knows before it writes there."""
    path = tmp_path / "daemon.json"
    path.write_text("{}")
    left = killed(path)
    edits.replace(edits.read(path), b'{"x": 1}')
    assert not left.exists() and path.read_text() == '{"x": 1}'
    left = killed(path)
    files.write(tmp_path / "other", b"x", 0o600)
    assert not left.exists()


def test_directories_of_clients_are_swept(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust_docker.Docker, "follow", lambda *_: ())
    ours = host.paths.docker / "certs.d/localhost/ca.crt"
    daemon = host.paths.docker / "daemon.json"
    k3s = host.paths.k3s / "registries.yaml"
    for path in (ours, daemon, k3s):
        path.parent.mkdir(parents=True, exist_ok=True)
    left = [killed(path) for path in (ours, daemon, k3s)]
    clients = trust.Trust(host, None)
    mine = edits.Mine(b"{}", "x", ("a",), True).as_json()
    clients.kept.record = {
        "files": {"docker": {str(ours): "x"}},
        "docker": {"path": str(daemon), "variable": "", "mine": mine},
    }
    clients.kept.record["k3s"] = mine
    clients.follow()
    assert not [path for path in left if path.exists()]


def test_a_directory_that_is_not_there_or_does_not_answer_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary.sweep(tmp_path / "none")
    (tmp_path / "file").touch()
    temporary.sweep(tmp_path / "file")
    monkeypatch.setattr(temporary.distant, "mount_of", lambda _: str(tmp_path))
    monkeypatch.setitem(temporary.distant._silent, str(tmp_path), waiting.within(600))
    (tmp_path / ".x.secreg.new").touch()
    temporary.sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"file", ".x.secreg.new"}
