"""Users that count: written as one, on room that is kept for them, proven; and what happens when that can't be."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from secreg_host.apply import usersfirst
from secreg_host.apply.usersfirst import Users
from secreg_host.base import files, journal, marks, reserve
from secreg_host.base.errors import SecregError
from secreg_host.base.reserve import Reserve
from secreg_host.formats import robots
from secreg_host.formats import users as formats
from secreg_host.generation import liveusers
from secreg_host.generation.liveusers import LiveUsers
from secreg_host.host.host import Host
from secreg_host.watchdog import ends
from tests import made
from tests.world import World

ALICE, BOB = (f"{name}:$6$salt${'A' * 86}\n".encode() for name in ("alice", "bob"))


@pytest.fixture
def front(world: World) -> World:
    """nginx serves, and answers for the users who were live when it was told to reload, unless it is stuck."""
    world.serving(made.parts())
    world.host.paths.etc.mkdir(parents=True)
    world.host.paths.htpasswd.write_bytes(ALICE + BOB)
    return world


def reloads(front: World) -> int:
    return front.asked.count("reload nginx")


def remembered(host: Host) -> Path:
    path = host.paths.front_run / "auth-cache/1/entry"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"bob")
    return path


def test_nobody_counts_before_something_begins(host: Host, front: World) -> None:
    Users(host, front).take_over()
    assert (LiveUsers(host).read(), reloads(front)) == (None, 0)


@pytest.mark.promise("names-take-the-same-time")
def test_decoys_stand_beside_users_and_are_none(host: Host, front: World) -> None:
    """One for each hash; they change when users do, and count as nobody."""
    users = Users(host, front)
    users.take_over(begin=True)
    names = [line.partition(b":")[0].decode() for line in users.live.lines()]
    decoys = [f"{formats.DECOY}-{number}" for number in range(2)]
    assert names == [formats.PROBE, decoys[0], "alice", decoys[1], "bob"] and users.live.count() == 2
    host.paths.htpasswd.write_bytes(b"")
    users.take_over()
    assert (users.live.lines(), users.live.count()) == ([], 0)


@pytest.mark.promise("epochs")
def test_a_removed_user_is_out_and_that_is_proven(host: Host, front: World) -> None:
    users = Users(host, front)
    users.take_over(begin=True)
    live = users.live
    assert live.read() == ALICE + BOB and live.proven == live.epoch == front.epoch and live.count() == 2
    before = live.epoch
    users.take_over()
    assert (live.epoch, reloads(front)) == (before, 1)  # the same bytes, no action
    host.paths.htpasswd.write_bytes(ALICE)
    users.refresh()
    assert live.read() == ALICE and live.proven == live.epoch == front.epoch != before
    assert not (live.directory / before).exists()
    host.paths.htpasswd.write_bytes(ALICE + BOB)
    users.refresh()
    assert live.epoch != before  # an epoch never comes back, not even with its users


def test_debugging_does_not_show_the_number_of_the_users(
    host: Host, front: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is part of the key of remembered passwords."""
    journal.start(debug=True)
    users, epochs = Users(host, front), set()
    for data in (ALICE + BOB, ALICE):
        host.paths.htpasswd.write_bytes(data)
        users.take_over(begin=True)
        epochs |= {users.live.epoch, users.live.proven}
    said = capsys.readouterr().err
    assert len(epochs) == 2 and f"linked {host.paths.users_live}\n" in said
    assert [epoch for epoch in epochs if epoch in said] == []


def test_one_that_changes_meanwhile_is_read_again(host: Host, front: World, monkeypatch: pytest.MonkeyPatch) -> None:
    users = Users(host, front)
    users.take_over(begin=True)
    changes = iter([ALICE])
    real = usersfirst.users_part.read

    def read(paths: object) -> object:
        found = real(host.paths)
        for data in changes:
            host.paths.htpasswd.write_bytes(data)
        return found

    monkeypatch.setattr(usersfirst.users_part, "read", read)
    host.paths.htpasswd.write_bytes(ALICE + BOB + b"carol" + BOB[3:])
    users.take_over()
    assert users.live.read() == ALICE


def test_one_that_changes_while_it_is_made_to_count_is_read_again(
    host: Host, front: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for a lock: of several that do it at once, the last one has read the last file."""
    users = Users(host, front)
    reload = front.reload

    def and_then(name: str) -> bool:
        host.paths.htpasswd.write_bytes(ALICE)
        return reload(name)

    monkeypatch.setattr(front, "reload", and_then)
    users.take_over(begin=True)
    assert users.live.read() == ALICE and users.live.proven == users.live.epoch


@pytest.mark.promise("users-fail-closed")
def test_a_front_that_does_not_take_it_over_loses_what_it_remembers(host: Host, front: World) -> None:
    users = Users(host, front)
    users.take_over(begin=True)
    entry = remembered(host)
    front.stuck = True
    host.paths.htpasswd.write_bytes(ALICE)
    users.take_over()
    assert not entry.exists() and users.live.read() == ALICE and users.live.proven != users.live.epoch
    assert [finding.kind for finding in users.findings] == ["unproven"]
    front.stuck = False
    users.take_over()  # an apply that finds it so tries again
    assert users.live.proven == users.live.epoch and users.findings == ()


@pytest.mark.promise("users-fail-closed")
def test_what_can_not_be_written_lets_nobody_in(host: Host, front: World, monkeypatch: pytest.MonkeyPatch) -> None:
    users = Users(host, front)
    users.take_over(begin=True)
    entry = remembered(host)

    def full(path: Path, *_: object) -> None:
        with files.explained(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(liveusers.files, "create", full)
    users.take_over()
    assert users.live.read() == ALICE + BOB and entry.exists()  # nothing differs: everything goes on
    host.paths.htpasswd.write_bytes(ALICE)
    users.take_over()
    assert users.live.read() is None and users.live.epoch == "" and not entry.exists()
    (finding,) = users.findings
    assert finding.kind == "unproven" and "nobody can log in" in finding.problem.what


@pytest.mark.promise("users-come-first")
def test_what_is_reserved_goes_first(host: Host, front: World, monkeypatch: pytest.MonkeyPatch) -> None:
    users = Users(host, front)
    users.take_over(begin=True)
    room = users.live.directory / "reserve"
    assert room.is_dir()
    create = files.create

    def full(path: Path, data: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
        with files.explained(path):
            if room.exists():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        create(path, data, mode, owner)

    monkeypatch.setattr(liveusers.files, "create", full)
    host.paths.htpasswd.write_bytes(ALICE)
    users.take_over()
    assert users.live.read() == ALICE and users.live.proven == users.live.epoch
    assert room.is_dir()  # made anew


def test_a_reserve_holds_bytes_and_inodes(tmp_path: Path) -> None:
    kept = Reserve(tmp_path / "reserve", 10_000)
    kept.keep()
    kept.keep()
    found = sorted((tmp_path / "reserve").iterdir())
    assert len(found) == reserve.INODES and found[0].stat().st_blocks * 512 >= 10_000
    tried = []

    def write() -> str:
        tried.append(kept.directory.exists())
        if kept.directory.exists():
            with files.explained(tmp_path):
                raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        return "written"

    assert kept.use(write) == "written" and tried == [True, False]

    def denied() -> None:
        with files.explained(tmp_path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    kept.keep()
    with pytest.raises(SecregError):
        kept.use(denied)
    assert kept.directory.exists()  # room is not what is missing


def test_a_file_is_shortened_in_place(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_bytes(ALICE + BOB)
    inode = path.stat().st_ino
    files.shorten(path, BOB)
    assert path.read_bytes() == BOB and path.stat().st_ino == inode
    with pytest.raises(SecregError):
        files.shorten(path, ALICE + BOB)
    assert path.read_bytes() == BOB


@pytest.mark.promise("secret-modes")
def test_the_front_reads_what_it_needs_by_a_pattern(host: Host, front: World) -> None:
    """nginx runs as a user of its own: it may list the directory of an epoch, and find it only by the link."""
    Users(host, front).take_over(begin=True)
    live = LiveUsers(host)
    assert live.directory.stat().st_mode & 0o777 == 0o711
    assert (live.directory / live.epoch).stat().st_mode & 0o777 == 0o755
    modes = {path.name: path.stat().st_mode & 0o777 for path in (live.directory / live.epoch).iterdir()}
    assert modes == {"htpasswd": 0o400, "epoch.conf": 0o400, "answer.conf": 0o400, "probe": 0o600}


def test_our_own_probe_may_log_in_where_others_may(host: Host, front: World) -> None:
    """It counts as nobody, is another one with each change, and where nobody is let in, it is not either."""
    users = Users(host, front)
    users.take_over(begin=True)
    live, seen = users.live, set()
    for data in (ALICE, ALICE + BOB):
        host.paths.htpasswd.write_bytes(data)
        users.refresh()
        line = (live.directory / "live/htpasswd").read_bytes().partition(b"\n")[0].decode()
        assert line.startswith(f"{formats.PROBE}:") and formats.verify(live.probe, line.partition(":")[2])
        assert (live.read(), live.count()) == (data, data.count(b"\n"))
        seen.add(live.probe)
    assert len(seen) == 2
    host.paths.htpasswd.write_bytes(b"")
    users.refresh()
    assert ((live.directory / "live/htpasswd").read_bytes(), live.probe, live.count()) == (b"", "", 0)
    live.shut()
    assert (live.read(), live.probe) == (None, "")


def test_users_of_a_version_without_a_probe_are_written_anew(host: Host, front: World) -> None:
    users = Users(host, front)
    users.take_over(begin=True)
    live = users.live
    before = live.epoch
    (live.directory / before / "probe").unlink()
    users.take_over()
    assert (live.epoch != before, live.read(), len(live.probe)) == (True, ALICE + BOB, 64)


@pytest.mark.parametrize(
    ("path", "named"),
    [("/var/lib/x/.stage-1/auth/nginx.conf", "/var/lib/x"), ("/etc/x/.htpasswd", "/etc/x"), ("/etc/x/y", "/etc/x")],
)
def test_a_full_disk_is_named_by_a_directory_that_stays(path: str, named: str) -> None:
    """The remedy is typed when what was being written is gone again."""
    with pytest.raises(SecregError) as raised, files.explained(Path(path)):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert raised.value.problems[0].hint.endswith(f"(see: df -h {named})")


def robot(front: World, name: str, seconds: int, word: str = "read=a/**", old: int = 0) -> bytes:
    """A line of robots: one that ends in so many `seconds`, the secret before in `old`."""
    now = int(time.time())
    more = f" old={HASH} until={robots.time_text(now + old)}" if old else ""
    times = f"made={robots.time_text(now)} expires={robots.time_text(now + seconds)}"
    return f"{name}:{HASH} {times}{more} {word}\n".encode()


HASH = robots.hash_of("secret")


@pytest.mark.promise("robots-end")
def test_robots_count_as_users_do_and_go_when_their_time_is_over(
    host: Host, front: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.paths.robots.write_bytes(robot(front, "a", 100) + robot(front, "b", 10**6, old=50))
    users = Users(host, front)
    users.take_over(begin=True)
    live, now = users.live, time.time()
    assert (live.read() or b"").count(b"\nrobot-") == 2 and live.count() == 4
    folder = live.directory / live.epoch
    assert (folder / "second").read_bytes() == f"robot-b:{HASH}\n".encode()
    assert {name: stat.S_IMODE((folder / name).stat().st_mode) for name in ("second", "robots", "until")} == {
        "second": 0o400,
        "robots": 0o600,
        "until": 0o600,
    }
    assert now + 45 < ends.load(host.paths) < now + 55 and not users.changed and not ends.come(host.paths)
    before = live.epoch
    monkeypatch.setattr(time, "time", lambda: now + 60)
    assert users.changed and ends.come(host.paths)
    users.refresh()
    assert live.epoch != before and live.proven == live.epoch and not (live.directory / live.epoch / "second").exists()
    assert live.count() == 4 and not users.changed
    monkeypatch.setattr(time, "time", lambda: now + 200)
    users.refresh()
    assert b"robot-a:" not in (live.read() or b"") and b"robot-b:" in (live.read() or b"")
    assert [finding.problem.what[:33] for finding in users.findings] == [
        "robot 'b' comes to its end at 202",
        "robot 'a' came to its end at 2026",
    ]


def test_other_rights_are_a_change_and_told(host: Host, front: World, caplog: pytest.LogCaptureFixture) -> None:
    """The front decides by them: what it remembers of before is forgotten, as with another password."""
    host.paths.robots.write_bytes(robot(front, "a", 1000))
    users = Users(host, front)
    users.take_over(begin=True)
    before, digest = users.live.epoch, users.digest
    with caplog.at_level("INFO"):
        host.paths.robots.write_bytes(robot(front, "a", 1000, "push=a/**"))
        users.refresh()
    assert users.live.epoch != before and users.digest != digest
    assert "users: other rights of robot-a" in caplog.text and HASH not in caplog.text


def test_a_host_without_robots_has_nothing_of_them(host: Host, front: World) -> None:
    """And the digest of its users is that of earlier versions."""
    users = Users(host, front)
    users.take_over(begin=True)
    names = {path.name for path in (users.live.directory / users.live.epoch).iterdir()}
    assert names == {"htpasswd", "epoch.conf", "answer.conf", "probe"}
    assert users.digest == marks.digest(ALICE + BOB)


def test_a_file_of_robots_that_is_away_for_a_moment_is_waited_for(
    host: Host, front: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.paths.robots.write_bytes(data := robot(front, "a", 1000))
    users = Users(host, front)
    users.take_over(begin=True)
    before = users.live.epoch
    host.paths.robots.unlink()
    looks = usersfirst.waiting.looks

    def and_then(seconds: float) -> Iterator[None]:
        for number, _ in enumerate(looks(seconds)):
            if number == 1:
                host.paths.robots.write_bytes(data)
            yield

    monkeypatch.setattr(usersfirst.waiting, "looks", and_then)
    users.take_over()
    assert users.live.epoch == before and users.live.count() == 3
    host.paths.robots.unlink()
    monkeypatch.setattr(usersfirst.waiting, "looks", looks)
    users.take_over()
    assert users.live.epoch != before and users.live.count() == 2, "nobody put it back"


@pytest.mark.promise("robots-own-rights")
def test_the_front_is_told_of_rights_by_what_lies_beside(host: Host, front: World) -> None:
    host.paths.robots.write_bytes(robot(front, "a", 1000, "push=t/*") + robot(front, "b", -5))
    old = b"robot-old" + BOB[3:]
    host.paths.htpasswd.write_bytes(ALICE + old)
    users = Users(host, front)
    users.take_over(begin=True)
    live = users.live
    folder = live.directory / live.epoch
    assert (folder / "robots.conf").read_text() == '"=robot-a=" " u#t/* ";\n"=robot-old=" "";\n'
    assert (folder / "globs.conf").read_text().endswith('u#t/\\\\* " rcu;\n')
    assert stat.S_IMODE((folder / "robots.conf").stat().st_mode) == 0o400
    assert live.own("robot-a") == (("t/*", robots.ACTIONS["push"]),)
    assert [live.own(name) for name in ("robot-b", "robot-x", "robot-old", "alice")] == [(), (), None, None]


@pytest.mark.parametrize("name", [b"robot-old", b"robot-Old"])
def test_who_is_called_like_a_robot_since_before_is_told_to_the_front(host: Host, front: World, name: bytes) -> None:
    """Once: an earlier version wrote nothing of it, and without that the front takes such a user for a robot."""
    host.paths.htpasswd.write_bytes(ALICE + name + BOB[3:])
    users = Users(host, front)
    users.take_over(begin=True)
    before = users.live.epoch
    users.take_over()
    assert users.live.epoch == before
    (users.live.directory / before / "robots.conf").unlink(missing_ok=True)
    users.take_over()
    assert (users.live.epoch != before) == (name == b"robot-old") and users.live.whole
