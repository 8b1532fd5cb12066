"""Forks that are another user: what they tell and open, and what becomes of them."""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from secreg_host.base import deputies, distant, paths
from secreg_host.base.errors import SecregError
from secreg_host.base.process import Account

ME = Account("me", os.geteuid(), os.getegid())
NOBODY = Account("nobody", 65534, 65534)


def test_lines_are_told_in_the_place(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with deputies.telling(ME, tmp_path, lambda: map(str, Path().iterdir())) as lines:
        assert list(lines) == ["a"]
    with deputies.telling(ME, tmp_path, lambda: (str(number) for number in range(50_000))) as lines:
        assert list(lines) == [str(number) for number in range(50_000)]


def test_what_went_wrong_is_raised(tmp_path: Path) -> None:
    def broken() -> Iterator[str]:
        yield "one"
        raise ZeroDivisionError

    def told() -> Iterator[str]:
        yield "one"
        raise SecregError("what", "do")

    with deputies.telling(ME, tmp_path, told) as lines, pytest.raises(SecregError, match="what") as caught:
        list(lines)
    assert caught.value.hint == "do"
    with (
        deputies.telling(ME, tmp_path / "gone", lambda: ["x"]) as lines,
        pytest.raises(FileNotFoundError, match="gone"),
    ):
        list(lines)
    with deputies.telling(ME, tmp_path, broken) as lines, pytest.raises(SecregError, match="(?s)a bug.*ZeroDivision"):
        list(lines)
    with deputies.telling(ME, tmp_path, lambda: os.kill(os.getpid(), 9) or []) as lines:  # type: ignore[func-returns-value]
        with pytest.raises(SecregError, match="was ended"):
            list(lines)


def test_who_does_not_listen_any_more_leaves_nobody_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    real = os.fork
    monkeypatch.setattr(os, "fork", lambda: made.append(real()) or made[-1])
    with deputies.telling(ME, tmp_path, lambda: iter(lambda: "x", "y")) as lines:
        assert next(lines) == "x"
    with pytest.raises(ChildProcessError):
        os.waitpid(made[0], os.WNOHANG)


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot(2) is root's")
def test_no_link_leads_out_of_where_one_is_shut_in(tmp_path: Path) -> None:
    """What a service has put there may lead to whatever its user may write outside of its own sandbox."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "file").touch()
        os.chown(folder, NOBODY.uid, NOBODY.gid)
    tmp_path.chmod(0o711)
    (inside / "whole").symlink_to("/etc")
    (inside / "relative").symlink_to("../outside")
    (inside / "own").symlink_to("/file")
    paths = ("whole/passwd", "relative/file", "../outside/file", "own", "../../file")

    def work(ask: deputies.Ask | None = None) -> Iterator[str]:
        yield ask("heard") if ask is not None else "alone"
        yield from filter(os.path.exists, paths)  # not even where nobody may look

    with deputies.telling(NOBODY, inside, work) as lines:
        assert list(lines) == ["alone", *paths[:3]], "it is as it was where nobody shuts it in"
    with deputies.telling(NOBODY, inside, work, shut=lambda: Path("whole").is_symlink()) as lines:
        assert list(lines) == ["alone", *paths[3:]]
    with deputies.conversing(NOBODY, inside, work, str.upper, shut=lambda: True) as lines:
        assert list(lines) == ["HEARD", *paths[3:]]


def test_one_that_is_gentle_comes_last_in_whatever_session(tmp_path: Path) -> None:
    """Seen red: of the idle class alone, which counts for nothing beside what has a session of its own."""
    here = os.sched_getscheduler(0), os.getsid(0)

    def work(_: deputies.Ask) -> Iterator[str]:
        yield f"{os.sched_getscheduler(0)} {os.getsid(0)} {os.getpid()}"
        yield paths.AUTOGROUP.read_text().strip() if paths.AUTOGROUP.exists() else ""

    with deputies.conversing(ME, tmp_path, work, str, gentle=True) as lines:
        (said, group) = lines
    scheduler, session, process = map(int, said.split())
    assert (scheduler, session) == (os.SCHED_IDLE, process)
    assert group == "" or os.geteuid() != 0 or group.endswith(f" nice {deputies.NICE}"), (
        "others may set it now and then"
    )
    with deputies.conversing(ME, tmp_path, work, str) as lines:
        scheduler, session, _ = map(int, next(lines).split())
    assert (scheduler, session) == here == (os.sched_getscheduler(0), os.getsid(0))


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot(2) is root's")
def test_which_mounts_may_not_answer_is_known_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By paths as they are seen there. Seen red: it was a local disk whatever was mounted."""
    table = tmp_path / "mountinfo"
    table.write_text(f"1 1 0:1 / / rw - ext4 x rw\n2 1 0:2 / {tmp_path}/inside/far rw - nfs4 x rw\n")
    monkeypatch.setattr(distant, "MOUNTINFO", table)
    monkeypatch.setattr(distant, "_table", (0, -1))
    (tmp_path / "inside/near").mkdir(parents=True)

    def work() -> Iterator[str]:
        yield from (path for path in ("/far/a", "/near", "/") if distant.below(Path(path)))
        yield distant.mount_of("near/../far/b")

    with deputies.telling(NOBODY, tmp_path / "inside", work, shut=lambda: True) as lines:
        assert list(lines) == ["/far/a", f"{tmp_path}/inside/far"]


def test_what_is_opened_is_handed_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    wrong = {
        "link": errno.EINVAL,
        "pipe": errno.EINVAL,
        "gone": errno.ENOENT,
        ".": errno.EINVAL,
        "file/x": errno.ENOTDIR,
    }
    with deputies.opening(ME, tmp_path) as opened:
        for path, number in wrong.items():
            with pytest.raises(OSError) as caught:
                opened(path)
            assert (caught.value.errno, caught.value.filename) == (number, path)
        descriptor = opened("file")
        assert os.read(descriptor, 10) == b"bytes"
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)


def test_one_that_was_ended_is_no_file_that_can_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    made: list[int] = []
    real = os.fork
    monkeypatch.setattr(os, "fork", lambda: made.append(real()) or made[-1])
    with deputies.opening(ME, tmp_path) as opened:
        os.kill(made[0], 9)
        for _ in range(2):
            with pytest.raises(SecregError, match="was ended"):
                opened("file")
    with deputies.opening(ME, tmp_path / "gone") as opened, pytest.raises(SecregError, match="was ended"):
        opened("file")


def test_one_may_open_for_another(tmp_path: Path) -> None:
    """What is asked by somebody else is nothing but what it is there for."""
    (tmp_path / "file").write_bytes(b"bytes")
    (tmp_path / "secret").write_bytes(b"bytes")
    with deputies.opening(ME, tmp_path, re.compile("fil.")) as opened:

        def work() -> Iterator[str]:
            yield str(os.read(opened("file"), 10))
            for path in ("secret", "./file", "file/../secret", "file\n"):
                try:
                    opened(path)
                except PermissionError as error:
                    yield str(error.filename == path)

        account = NOBODY if os.geteuid() == 0 else ME
        with deputies.telling(account, Path("/"), work, by=opened) as lines:
            assert list(lines) == ["b'bytes'", "True", "True", "True", "True"]


def test_what_libraries_still_write_gets_into_no_file(tmp_path: Path) -> None:
    """GLib wrote to the number of an eventfd, which was that of a blob by then."""
    reader, writer = os.pipe()

    def work() -> Iterator[str]:
        opened = [os.open(tmp_path / str(number), os.O_WRONLY | os.O_CREAT) for number in range(20)]
        for number in (0, 1, 2, reader, writer):
            os.write(number, b"stray")
        yield from map(str, opened)

    with deputies.telling(ME, Path("/"), work) as lines:
        numbers = set(map(int, lines))
    os.close(writer)
    assert os.read(reader, 10) == b"", "nor to where it led before"
    os.close(reader)
    assert {0, 1, 2, reader, writer}.isdisjoint(numbers)
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b""}


def test_threads_may_share_it(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / str(number)).write_bytes(str(number).encode())
    found: set[tuple[int, int]] = set()

    def read(part: int) -> None:
        for number in range(part, 50, 4):
            descriptor = opened(str(number))
            found.add((number, int(os.read(descriptor, 10))))
            os.close(descriptor)

    with deputies.opening(ME, tmp_path) as opened:
        threads = [threading.Thread(target=read, args=(part,)) for part in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    assert found == {(number, number) for number in range(50)}


def test_root_is_the_other_user(tmp_path: Path) -> None:
    """And goes where that one is not let in: below /root, say."""
    account = NOBODY if os.geteuid() == 0 else ME
    place = tmp_path / "closed/open"
    place.mkdir(parents=True)
    (place / "secret").write_text("x")
    if os.geteuid() == 0:
        (place / "secret").chmod(0o600)
        (tmp_path / "closed").chmod(0o700)
    with deputies.telling(
        account, place, lambda: [f"{os.geteuid()} {os.getgroups()}", *map(str, Path().iterdir())]
    ) as lines:
        said, name = lines
    assert said.startswith(f"{account.uid} ") and name == "secret" and " 0" not in said
    if os.geteuid() == 0:
        with deputies.opening(account, place) as opened, pytest.raises(PermissionError):
            opened("secret")


def test_who_is_asked_answers_and_what_is_kept_stays_open(tmp_path: Path) -> None:
    """A lock, say, which is held as long as either of the two is there."""
    reader, writer = os.pipe()

    def work(ask: deputies.Ask) -> Iterator[str]:
        os.write(writer, b"!")
        for number in range(3):
            yield f"{number}: {ask(str(number))}"

    with deputies.conversing(ME, tmp_path, work, lambda said: said * 2, writer) as lines:
        assert list(lines) == ["0: 00", "1: 11", "2: 22"]
    assert os.read(reader, 1) == b"!"
    for one in (reader, writer):
        os.close(one)


def test_what_looks_like_a_question_is_a_line_where_nobody_asks(tmp_path: Path) -> None:
    with deputies.telling(ME, tmp_path, lambda: ["?a"]) as lines:
        assert list(lines) == ["?a"]


def test_a_deputy_whose_question_nobody_hears_ends(tmp_path: Path) -> None:
    def answer(_: str) -> str:
        raise KeyboardInterrupt

    def work(ask: deputies.Ask) -> Iterator[str]:
        yield ask("")
        (tmp_path / "went-on").touch()

    with deputies.conversing(ME, tmp_path, work, answer) as lines, pytest.raises(KeyboardInterrupt):
        list(lines)
    assert not (tmp_path / "went-on").exists()
