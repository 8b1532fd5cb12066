"""What the watchdog compares: every link on the way, patterns, and never more than it can look at in a moment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from secreg_host.base import distant, marks
from secreg_host.base.errors import Problem
from secreg_host.base.paths import Paths
from secreg_host.wanted import sources
from secreg_host.watchdog.events import Events


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = Paths(tmp_path)
    found.etc.mkdir(parents=True)
    found.nginx_conf.write_text("one")
    return found


def test_the_same_files_are_the_same_and_each_change_counts(paths: Paths) -> None:
    known = sources.fingerprint(paths, ())
    assert sources.fingerprint(paths, ()) == known
    changes = (
        lambda: paths.nginx_conf.write_text("two"),
        lambda: paths.nginx_conf.chmod(0o600),
        lambda: os.utime(paths.nginx_conf, (1, 1)),
        lambda: (paths.etc / "new").touch(),
        lambda: (paths.etc / "new").unlink(),
        lambda: paths.etc.rename(paths.etc.with_name("away")),
    )
    for change in changes:
        change()
        now = sources.fingerprint(paths, ())
        assert now != known
        known = now


def test_every_link_on_the_way_is_seen(paths: Paths, tmp_path: Path) -> None:
    for name in ("live", "archive"):
        (tmp_path / name).mkdir()
    (tmp_path / "archive/1.pem").touch()
    (tmp_path / "live/crt.pem").symlink_to("../archive/1.pem")
    paths.crt.symlink_to(tmp_path / "live/crt.pem")
    steps = list(marks.along(paths.crt))
    assert steps == [paths.crt, tmp_path / "live/crt.pem", tmp_path / "archive/1.pem"]
    assert {tmp_path / "live", tmp_path / "archive"} <= set(sources.directories(paths, ()))


def test_a_file_with_another_name_is_watched_itself(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: written by that name, .htpasswd was found changed by the look after half a minute only."""
    paths.htpasswd.touch()
    assert paths.htpasswd not in sources.directories(paths, ())
    os.link(paths.htpasswd, tmp_path / "by another name")
    watched, events = sources.directories(paths, ()), Events()
    assert paths.htpasswd in watched and paths.nginx_conf not in watched
    assert events.watch(watched)
    (tmp_path / "by another name").write_text("bob")
    assert events.wait(5.0)
    events.close()
    images = tmp_path / "images"
    images.mkdir()
    disk = distant.Mount("ext4", frozenset())
    elsewhere = {str(paths.nginx_conf): disk, str(images): disk}  # a file that is written where it is mounted from
    monkeypatch.setattr(distant, "mounts", lambda: elsewhere)
    watched = sources.directories(paths, (str(images),))
    assert paths.nginx_conf in watched and images not in watched  # which the watchdog may not even look into


def test_links_in_a_circle_end(paths: Paths) -> None:
    (paths.etc / "circle").symlink_to("circle")
    assert sources.fingerprint(paths, ())


def test_a_pattern_sees_a_file_that_comes(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    pattern = (f"{tmp_path}/conf.d/*.conf",)
    known = sources.fingerprint(paths, pattern)
    assert tmp_path / "conf.d" in sources.directories(paths, pattern)
    (tmp_path / "conf.d/new.conf").touch()
    assert sources.fingerprint(paths, pattern) != known


@pytest.mark.parametrize(("folders", "files"), [(3 * sources.FOLDERS, 8), (1, sources.FILES + 100)])
def test_a_link_to_very_many_files_is_not_walked(tmp_path: Path, folders: int, files: int) -> None:
    """As one to / is."""
    paths, many = Paths(tmp_path / "root"), tmp_path / "many"
    for number in range(folders):
        folder = many / str(number)
        folder.mkdir(parents=True)
        for name in range(files):
            (folder / str(name)).touch()
    paths.etc.parent.mkdir(parents=True)
    paths.etc.symlink_to(many)
    assert 0 < len(sources.own_files(paths)) <= sources.FILES
    assert len(sources.directories(paths, ())) < 2 * sources.FOLDERS


def test_names_that_are_no_text(paths: Paths, tmp_path: Path) -> None:
    """One file with such a name (a backup of an old archive) must not end the watchdog and every apply."""
    (paths.etc / os.fsdecode(b"caf\xe9.conf")).touch()
    (paths.etc / "link").symlink_to(os.fsdecode(b"/caf\xe9"))
    known = sources.fingerprint(paths, ())
    (paths.etc / os.fsdecode(b"caf\xe9.conf")).unlink()
    assert sources.fingerprint(paths, ()) != known
    problem = Problem(os.fsdecode(b"/caf\xe9"), "is wrong", "rename it")
    assert str(problem).encode() == b"/caf\\udce9: is wrong\n  -> rename it"


def test_what_others_left_pushes_nothing_of_ours_out(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: with a thousand backups of an editor, a removed user stayed in for good."""
    monkeypatch.setattr(sources, "FILES", 3)
    monkeypatch.setattr(sources, "FOLDERS", 2)
    for name in ("1.bak", "2.bak", "3.bak", "4.bak", ".htpasswd", "zz-folder/5.bak", "zz-more/6.bak"):
        (paths.etc / name).parent.mkdir(exist_ok=True)
        (paths.etc / name).touch()
    names = {path.name for path in sources.own_files(paths)}
    assert {".htpasswd", "nginx.conf"} <= names and len(names) <= 5
    monkeypatch.setattr(sources, "FILES", 100)
    names = {path.name for path in sources.own_files(paths)}
    assert "5.bak" in names and "6.bak" not in names, "so many folders, no more"


def test_what_an_editor_has_open_is_no_change(paths: Paths) -> None:
    known = sources.fingerprint(paths, ())
    for name in (".nginx.conf.swp", "nginx.conf~", ".nginx.conf.1234.secreg.new", "nginx.conf.dpkg-new"):
        (paths.etc / name).touch()
    assert sources.fingerprint(paths, ()) == known
