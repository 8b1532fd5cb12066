"""Directories are made and given away where they are said to be, not where a service's user makes them lead."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from secreg_host.apply import asking
from secreg_host.base import files
from secreg_host.base.errors import SecregError
from secreg_host.formats.listening import Listen
from secreg_host.services import nginxmaster

STRANGER = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="another user's link is needed")


def test_made_with_parents_and_mended(tmp_path: Path) -> None:
    path = tmp_path / "a/b/c"
    files.make_directory(path, 0o711)
    assert stat.S_IMODE(path.stat().st_mode) == 0o711
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o022 == 0
    (path / "kept").touch()
    files.make_directory(path, 0o700)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700 and (path / "kept").exists()


def test_links_of_ours_are_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "absolute").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/relative").symlink_to("../absolute")
    files.make_directory(tmp_path / "absolute/relative/new", 0o750)
    assert stat.S_IMODE((tmp_path / "elsewhere/new").stat().st_mode) == 0o750
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(SecregError, match="Too many levels"):
        files.make_directory(tmp_path / "circle/x", 0o700)
    (tmp_path / "file").touch(0o644)
    for path in (tmp_path / "file", tmp_path / "file/x"):
        with pytest.raises(SecregError, match="Not a directory"):
            files.make_directory(path, 0o700)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


@as_root
@pytest.mark.parametrize("below", ["", "/new"])
def test_root_follows_no_link_of_another_user(tmp_path: Path, below: str) -> None:
    """What it leads to keeps its owner and mode, and nothing is made there."""
    secret = tmp_path / "secret"
    secret.mkdir(0o700)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "link").symlink_to(secret)
    os.chown(theirs / "link", STRANGER, STRANGER, follow_symlinks=False)
    with pytest.raises(SecregError, match=f"user {STRANGER}"):
        files.make_directory(Path(f"{theirs}/link{below}"), 0o755, (STRANGER, STRANGER))
    status = secret.stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o700) and list(secret.iterdir()) == []


def test_a_pid_file_is_read_as_what_it_is(tmp_path: Path) -> None:
    """nginx's user may put there what it likes: a pipe must not be waited for, and no link is followed."""
    path = tmp_path / "nginx.pid"
    assert nginxmaster.pid_in(path) == 0
    path.write_text("4711\n")
    assert nginxmaster.pid_in(path) == 4711
    (tmp_path / "link").symlink_to(path)
    assert nginxmaster.pid_in(tmp_path / "link") == 0
    os.mkfifo(tmp_path / "pipe")
    assert nginxmaster.pid_in(tmp_path / "pipe") == 0
    path.write_text("x" * 100)
    assert nginxmaster.pid_in(path) == 0


def test_a_socket_is_not_connected_to_by_a_link(tmp_path: Path) -> None:
    listen = Listen("", 0, tls=False)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        server.listen()
        asking.connect_unix(tmp_path / "socket")(listen).close()
        (tmp_path / "link").symlink_to("socket")
        with pytest.raises(OSError, match="non-socket"):
            asking.connect_unix(tmp_path / "link")(listen)
