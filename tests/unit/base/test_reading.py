"""Opening what others wrote: pipes, devices, links to nothing, what is huge, what never answers are told."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from secreg_host.base import distant, reading
from secreg_host.base.errors import SecregError


def problem(path: Path, limit: int = 1000) -> str:
    with pytest.raises(SecregError) as raised:
        reading.read(path, limit)
    told = "\n".join(map(str, raised.value.problems))
    assert str(path) in told and raised.value.problems[0].hint, told
    return told


def fifo(path: Path) -> None:
    os.mkfifo(path)


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


MADE: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (fifo, "a pipe"),
    "socket": (bound, "a socket"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "a device"),
    "directory": (lambda path: path.mkdir(), "a directory"),
    "dangling": (lambda path: path.symlink_to("nowhere"), "a link to nowhere, which does not exist"),
    "circle": (lambda path: path.symlink_to(path), "cannot read"),
    "huge": (lambda path: path.write_bytes(b"x" * 1001), "1001 bytes"),
    "sparse": (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 1 << 40), "bytes"),
    "growing": (lambda path: path.symlink_to("/proc/self/smaps"), "bytes or more"),
}


@pytest.mark.promise("reading")
@pytest.mark.parametrize("kind", MADE)
def test_what_is_no_plain_file_is_told(root: Path, kind: str) -> None:
    make, told = MADE[kind]
    make(root / "file")
    assert told in problem(root / "file")


def test_plain_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert reading.read(path, 10) is None
    assert reading.read(path / "below", 10) is None
    for data in (b"", b"x" * 10):
        path.write_bytes(data)
        assert reading.read(path / "below", 10) is None
        assert reading.read(path, 10) == data
    (tmp_path / "link").symlink_to("file")
    assert reading.read(tmp_path / "link", 10) == b"x" * 10
    assert reading.read(Path("/proc/self/stat"), 10_000)


def test_a_path_that_can_be_none(tmp_path: Path) -> None:
    with pytest.raises(SecregError):
        reading.read(tmp_path / "a\0b", 10)
    assert reading.read(tmp_path / ("x" * 200), 10) is None
    with pytest.raises(SecregError):
        reading.read(tmp_path / ("x" * 300), 10)


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that counts as a network file system."""
    point = tmp_path / "net work"
    point.mkdir()
    table = tmp_path / "mountinfo"
    escaped = str(point).replace(" ", "\\040")
    table.write_text(
        "22 1 0:2 / / rw - nfs4 server:/ rw\n"
        f"23 22 0:3 / {tmp_path} rw - ext4 /dev/x rw\n"
        f"24 23 0:4 / {escaped} rw shared:1 - nfs4 server:/x rw\n"
    )
    monkeypatch.setattr(distant, "MOUNTINFO", table)
    monkeypatch.setattr(distant, "_table", (0, -1))
    monkeypatch.setattr(distant, "_silent", {})
    monkeypatch.setattr(distant, "_waited", {})
    yield point
    monkeypatch.undo()
    for pid in distant._left:
        os.waitpid(pid, 0)
    distant._left.clear()


def test_every_way_to_a_network_file_system_is_seen(far: Path, tmp_path: Path) -> None:
    near = tmp_path / "near"
    near.mkdir()
    (near / "link").symlink_to("../net work/deeper")
    (near / "absolute").symlink_to(far)
    (near / "back").symlink_to(f"{far}/../near/file")
    (near / "circle").symlink_to("circle")
    ways = ("link", "link/x", "absolute/x", "back", "../net work", "./../net work/.")
    for path in (far, far / "x", *(near / way for way in ways)):
        assert distant.mount_of(path) == str(far), path
    for path in (near, near / "file", near / "circle/x", tmp_path, Path("/")):
        assert distant.mount_of(path) == "", path


def test_a_network_file_system_that_answers(far: Path) -> None:
    assert reading.read(far / "file", 10) is None
    (far / "file").write_bytes(b"x" * (1 << 20))
    assert reading.read(far / "file", 1 << 20) == b"x" * (1 << 20)
    assert "1048576 bytes" in problem(far / "file", 10)
    assert reading.is_file(far / "file") and not reading.is_directory(far / "file")
    (far / "pipe").symlink_to("nowhere")
    assert "a link to nowhere" in problem(far / "pipe")


@pytest.mark.promise("reading")
def test_one_that_does_not_is_left_behind(far: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within its time, and once: the next question of the same file system costs nothing."""
    started = time.monotonic()
    (tmp_path / "lock").touch()
    with (tmp_path / "lock").open() as held, pytest.raises(SecregError, match="does not answer"):
        distant.ask(far / "x", lambda: time.sleep(600), wait=0.05)
    assert held.closed
    with pytest.raises(SecregError, match=f"{far} does not answer"):
        reading.read(far / "y", 10, wait=600)
    assert not reading.is_file(far / "z")
    assert time.monotonic() - started < 60
    monkeypatch.setattr(distant, "_silent", {})
    assert reading.read(far / "y", 10) is None


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("secreg_host.base.waiting.time.monotonic", lambda: self.now)


def test_one_run_waits_for_a_file_system_in_vain_once(far: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many files lie on it, and however long the run goes on; a later one asks it again, for how often it is
    asked meanwhile puts that off by nothing."""
    clock = Clock(monkeypatch)
    asked: list[float] = []

    def silent(work: object, wait: float) -> None:
        asked.append(wait)
        clock.now += wait

    with monkeypatch.context() as patched:
        patched.setattr(distant, "_in_fork", silent)
        distant.begin_run()
        for number in range(30):
            assert not reading.is_file(far / str(number))
            clock.now += distant.SILENT_SECONDS / 10
        assert asked == [distant.WAIT_SECONDS]
        distant.begin_run()
        assert not reading.is_file(far / "x") and len(asked) == 2
        for _ in range(15):  # looks of the watchdog, one after the other
            clock.now += distant.SILENT_SECONDS / 10
            distant.begin_run()
            reading.is_file(far / "x")
        assert len(asked) == 3
    clock.now += distant.SILENT_SECONDS
    distant.begin_run()
    (far / "x").touch()
    assert reading.is_file(far / "x")


def test_one_run_waits_for_a_slow_file_system_only_so_long(far: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten files, each after nine tenths of the time that an answer may take; one that answers at once never is slow."""
    clock, in_fork = Clock(monkeypatch), distant._in_fork
    late = 0.0

    def slow(work: Callable[[], object], wait: float) -> bytes | None:
        clock.now += late
        return in_fork(work, 60)

    monkeypatch.setattr(distant, "_in_fork", slow)
    for late in (0.0, distant.SWIFT_SECONDS):  # noqa: B007
        assert all(reading.status(far) for _ in range(20))
    late, began = 0.9 * distant.WAIT_SECONDS, clock.now
    found = [reading.is_directory(far) for _ in range(100)]
    assert found[0] and not found[-1]
    assert clock.now - began < distant.RUN_SECONDS + 3 * distant.WAIT_SECONDS


def test_what_is_left_behind_holds_nothing_of_ours(far: Path, tmp_path: Path) -> None:
    """No lock stays locked by it, and nobody who reads to the end of a pipe of ours waits for it."""

    def hang() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])  # as one that can't be ended
        time.sleep(600)

    reader, writer = os.pipe()
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SecregError):
            distant.ask(far, hang, wait=0.05)
    os.close(writer)
    (left,) = distant._left
    try:
        with (tmp_path / "lock").open() as again:
            fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.set_blocking(reader, False)
        assert os.read(reader, 1) == b""
        assert os.waitpid(left, os.WNOHANG) == (0, 0), "it is still there"
    finally:
        os.close(reader)
        os.kill(left, signal.SIGKILL)


def test_a_bug_in_the_fork_is_a_bug_here(far: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        distant.ask(far, lambda: 1 // 0)


def test_mount_points_are_read_as_the_kernel_writes_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Blanks as octal numbers, all other bytes as they are: a name in another encoding is no reason to fail."""
    table = tmp_path / "mountinfo"
    table.write_bytes(
        "31 1 0:2 / /srv/ä\\040b ro,nosuid shared:1 - nfs4 server:/x rw,vers=4.2\n".encode()
        + b"32 1 0:2 / /srv/\xff rw - tmpfs tmpfs rw\n33 1 0:2 / /srv/\xff ro,noexec - ext4 /dev/sda errors=x,ro\n"
    )
    monkeypatch.setattr(distant, "MOUNTINFO", table)
    assert distant.mounts() == {
        "/srv/ä b": distant.Mount("nfs4", frozenset({"ro", "nosuid"}), "server:/x"),
        os.fsdecode(b"/srv/\xff"): distant.Mount("ext4", frozenset({"ro", "noexec"}), "/dev/sda", read_only=True),
    }
