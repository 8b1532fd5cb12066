"""Which robots count at a moment, when that is another time, and what is told of it."""

from __future__ import annotations

import os

import pytest

from secreg_host.base import reading
from secreg_host.formats import robots
from secreg_host.formats.robots import Robot
from secreg_host.host.host import Host
from secreg_host.wanted import robots as robots_now
from secreg_host.wanted.parts import users as part
from secreg_host.wanted.robots import NOTHING, SOON_SECONDS

NOW = 1_796_000_000
DAY = 86400
HASH, OLD = robots.hash_of("secret"), robots.hash_of("before")
ALICE = f"alice:$6$salt${'A' * 86}\n".encode()


def robot(name: str, seconds: int | None = 90 * DAY, old: int = 0) -> Robot:
    """One whose end is in so many `seconds`; the secret before ends in `old`."""
    expires = None if seconds is None else NOW + seconds
    return Robot(name, HASH, NOW, expires, OLD if old else "", NOW + old if old else 0, (("read", "a/**"),), 3)


def counting(*found: Robot, people: tuple[str, ...] = (), now: float = NOW) -> robots_now.Counting:
    return robots_now.counting(found, "/etc/robots", people, now)


@pytest.mark.promise("robots-end")
def test_what_counts_and_when_that_is_another_time() -> None:
    found = counting(robot("a"), robot("b", old=10), robot("c", 20), robot("d", 0), robot("e", None), robot("f", -5))
    names = [line.partition(b":")[0] for line in found.lines.splitlines()]
    assert names == [b"robot-a", b"robot-b", b"robot-c", b"robot-e"]
    assert found.beside.second == f"robot-b:{OLD}\n".encode()
    assert found.beside.until == str(NOW + 10).encode() and found.again == NOW + 10
    assert dict(robots_now.rights_of(found.beside.rights)["robot-a"]) == {"a/**": {"read"}}
    later = counting(robot("a"), robot("b", old=10), robot("c", 20), now=NOW + 10)
    assert (later.beside.second, later.beside.until, later.again) == (b"", str(NOW + 20).encode(), NOW + 20)


def test_what_ends_soon_is_told_then_and_not_before() -> None:
    one = robot("a", SOON_SECONDS + 100)
    before = counting(one)
    assert (before.warnings, before.again) == ((), NOW + 100) and before.beside.until == str(one.expires).encode()
    (warning,) = counting(one, now=NOW + 100).warnings
    assert warning.where == "/etc/robots:3" and "comes to its end at 2026-" in warning.what
    assert "token renew a" in warning.hint and counting(one, now=NOW + DAY).warnings == (warning,), "it stays the same"
    (over,) = counting(one, now=NOW + SOON_SECONDS + 100).warnings
    assert "came to its end" in over.what and counting(one, now=NOW + 100 * DAY).again == 0


def test_of_many_the_first_are_told() -> None:
    found = counting(*(robot(f"r{number}", 5) for number in range(1000)))
    assert len(found.warnings) == robots_now.TOLD + 1 and "980 more robots" in found.warnings[-1].what


@pytest.mark.promise("robots-fail-closed")
def test_who_is_called_like_a_robot_stays_and_the_robot_is_none() -> None:
    found = counting(robot("a"), robot("b"), people=("robot-a",))
    assert found.lines.startswith(b"robot-b:") and list(robots_now.rights_of(found.beside.rights)) == ["robot-b"]
    assert "htpasswd has a user 'robot-a'" in found.problems[0].what


def test_nothing_is_beside_nobody() -> None:
    assert counting().beside == NOTHING and counting(robot("a", -1)).beside == NOTHING


@pytest.fixture
def etc(host: Host) -> Host:
    host.paths.etc.mkdir(parents=True)
    host.paths.htpasswd.write_bytes(ALICE)
    host.paths.robots.write_bytes(robots.render(robot("ci")) + b"\n")
    return host


def test_both_files_are_read(etc: Host) -> None:
    found = part.read(etc.paths, NOW)
    assert found.htpasswd == ALICE + f"robot-ci:{HASH}\n".encode() and found.problems == found.warnings == ()
    assert found.again == NOW + 90 * DAY - SOON_SECONDS


def test_robots_alone_are_somebody(etc: Host) -> None:
    etc.paths.htpasswd.write_bytes(b"")
    assert part.read(etc.paths, NOW).problems == ()
    etc.paths.robots.unlink()
    assert "holds no user" in part.read(etc.paths, NOW).problems[0].what


@pytest.mark.promise("robots-fail-closed")
@pytest.mark.parametrize("how", ["a directory", "a pipe", "a link to nothing", "UTF-16", "too large"])
def test_a_file_that_can_not_be_read_keeps_out_no_user(etc: Host, how: str) -> None:
    path = etc.paths.robots
    data = path.read_bytes()
    path.unlink()
    if how == "a directory":
        path.mkdir()
    elif how == "a pipe":
        os.mkfifo(path)
    elif how == "a link to nothing":
        path.symlink_to("nowhere")
    else:
        path.write_bytes(data.decode().encode("utf-16") if how == "UTF-16" else data + b"#" * reading.HTPASSWD)
    found = part.read(etc.paths, NOW)
    assert (found.htpasswd, found.beside, len(found.problems)) == (ALICE, NOTHING, 1)
    assert str(path) in found.problems[0].where


@pytest.mark.promise("robots-fail-closed")
def test_without_a_file_of_users_nobody_is_let_in(etc: Host) -> None:
    """To take it away is how an administrator keeps everybody out."""
    etc.paths.htpasswd.unlink()
    found = part.read(etc.paths, NOW)
    assert (found.htpasswd, found.beside) == (b"", NOTHING)


def test_a_user_of_before_stays_with_a_warning(etc: Host) -> None:
    etc.paths.htpasswd.write_bytes(ALICE.replace(b"alice", b"robot-ci"))
    found = part.read(etc.paths, NOW)
    assert [line.partition(b":")[0] for line in found.htpasswd.splitlines()] == [b"robot-ci"]
    assert b"$6$" in found.htpasswd, "it is the user's password"
    assert "is called as robots are" in found.warnings[0].what and "can't log in" in found.problems[0].what


def test_rights_that_changed_are_named() -> None:
    one, other = counting(robot("a"), robot("b")).beside, counting(robot("b")).beside
    assert robots_now.changed(one.rights, other.rights) == []
    wider = Robot("b", HASH, NOW, None, rights=(("push", "**"),))
    assert robots_now.changed(one.rights, counting(wider).beside.rights) == [b"robot-b"]
