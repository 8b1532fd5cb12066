"""The token command: a secret is told once and to nobody else, and what it writes never gives more than was asked."""

from __future__ import annotations

import errno
import io
import os
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest

from secreg_host.base import files, reserve
from secreg_host.base.errors import BadInput, SecregError
from secreg_host.base.paths import Paths
from secreg_host.command import htpasswd, tokens
from secreg_host.command.tokens import Outlet, Wanted
from secreg_host.formats import robots, users
from secreg_host.formats.robots import Robot
from secreg_host.wanted.access import globs
from tests.unit.command.test_htpasswd import call as call_htpasswd

DAY = 86400
NOW = 1_796_000_000
WANTED = Wanted("ci", (("read", "a/**"),), 90 * DAY)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = Paths(tmp_path)
    found.etc.mkdir(parents=True)
    return found


def known(paths: Paths) -> dict[str, Robot]:
    found, problems = tokens.known(paths)
    assert problems == ()
    return {robot.name: robot for robot in found}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


HERE = Outlet(None, Terminal(), asked=False)


def test_a_robot_is_made_with_what_was_asked_for(paths: Paths) -> None:
    robot, secret = tokens.create(paths, WANTED, HERE)
    made = known(paths)["ci"]
    assert replace(made, line=0) == robot and made.own == (("a/**", robots.ACTIONS["read"]),)
    assert users.verify(secret, made.hash) and secret not in paths.robots.read_text()
    assert made.expires == made.made + 90 * DAY and abs(made.made - time.time()) < 60
    assert stat.S_IMODE(paths.robots.stat().st_mode) == 0o640


def test_one_that_is_there_is_not_made_again_nor_one_of_a_users_name(paths: Paths) -> None:
    tokens.create(paths, WANTED, HERE)
    before = paths.robots.read_bytes()
    with pytest.raises(SecregError, match="robot ci already"):
        tokens.create(paths, replace(WANTED, rights=(("push", "**"),)), HERE)
    paths.htpasswd.write_text(f"robot-old:{users.make_hash('x', users.Scheme.SHA)}\n")
    with pytest.raises(SecregError, match="user robot-old already"):
        tokens.create(paths, replace(WANTED, name="old"), HERE)
    paths.robots.write_bytes(before + b"cut:{SSHA}\n")
    with pytest.raises(SecregError, match="robot cut already"):
        tokens.create(paths, replace(WANTED, name="cut"), HERE)
    assert paths.robots.read_bytes() == before + b"cut:{SSHA}\n"


def test_other_lines_stay_as_they_are(paths: Paths) -> None:
    paths.robots.write_bytes(b"# ours\r\nnonsense\n")
    tokens.create(paths, WANTED, HERE)
    tokens.create(paths, replace(WANTED, name="b"), HERE)
    tokens.renew(paths, "ci", lambda robot, _: robot, HERE)
    tokens.revoke(paths, "b")
    lines = paths.robots.read_bytes().split(b"\n")
    assert lines[:2] == [b"# ours\r", b"nonsense"] and lines[2].startswith(b"ci:") and lines[3:] == [b""]


@pytest.mark.promise("robots-secrets")
def test_a_secret_goes_to_no_pipe_unless_asked_for(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="standard output is none"):
        tokens.outlet(None, io.StringIO()).check()
    tokens.outlet(None, Terminal()).check()
    tokens.outlet(tokens.HERE, io.StringIO()).check()
    tokens.outlet(str(tmp_path / "new"), io.StringIO()).check()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "there").touch()
    for name in ("link", "there"):
        with pytest.raises(BadInput, match="is there already"):
            tokens.outlet(str(tmp_path / name), io.StringIO()).check()


@pytest.mark.promise("robots-secrets")
def test_a_file_of_a_secret_is_private_from_its_first_byte_and_there_before_the_robot_is(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret"
    seen: list[tuple[str, int]] = []
    write = files.rewrite

    def watched(target: Path, data: bytes) -> None:
        seen.append((path.read_text(), stat.S_IMODE(path.stat().st_mode)))
        write(target, data)

    monkeypatch.setattr(files, "rewrite", watched)
    os.umask(0)
    try:
        _, secret = tokens.create(paths, WANTED, Outlet(path, io.StringIO(), asked=False))
    finally:
        os.umask(0o022)
    assert seen == [(f"{secret}\n", 0o600)]


@pytest.mark.promise("robots-secrets")
def test_what_can_not_be_made_leaves_no_secret_behind(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise SecregError("no room")

    monkeypatch.setattr(files, "rewrite", full)
    with pytest.raises(SecregError, match="no room"):
        tokens.create(paths, WANTED, Outlet(tmp_path / "secret", io.StringIO(), asked=False))
    assert not (tmp_path / "secret").exists() and not paths.robots.exists()


CI = Robot("ci", robots.hash_of("x"), NOW - 30 * DAY, NOW + 60 * DAY, rights=(("read", "a/**"),))


@pytest.mark.promise("robots-fail-closed")
@pytest.mark.parametrize(
    ("robot", "overlap", "until"),
    [
        (CI, DAY, NOW + DAY),
        (CI, 0, 0),
        (CI, 90 * DAY, NOW + 60 * DAY),  # it never counts for longer than it did
        (replace(CI, expires=NOW - 1), DAY, 0),
        (replace(CI, expires=NOW), DAY, 0),
        (replace(CI, expires=None), DAY, NOW + DAY),
    ],
)
def test_the_secret_before_counts_for_the_overlap_and_not_longer(robot: Robot, overlap: int, until: int) -> None:
    found = tokens.renewed(robot, overlap, None, NOW, as_before=True)
    assert (found.old, found.until) == ((robot.hash, until) if until else ("", 0))
    assert found.made == NOW and found.rights == robot.rights
    assert found.expires == (None if robot.expires is None else NOW + robot.expires - robot.made)
    assert tokens.renewed(robot, overlap, 5, NOW, as_before=False).expires == NOW + 5
    assert tokens.renewed(robot, overlap, None, NOW, as_before=False).expires is None


def test_renewing_twice_lets_the_first_secret_go(paths: Paths) -> None:
    _, first = tokens.create(paths, WANTED, HERE)

    def change(robot: Robot, now: int) -> Robot:
        return tokens.renewed(robot, DAY, None, now, as_before=True)

    _, after, second = tokens.renew(paths, "ci", change, HERE)
    assert users.verify(first, after.old) and users.verify(second, after.hash)
    before, after, third = tokens.renew(paths, "ci", change, HERE)
    assert before.has_old(time.time()) and users.verify(second, after.old) and users.verify(third, after.hash)
    assert not any(users.verify(first, value) for value in (after.old, after.hash))


def test_what_is_not_there_or_broken_is_told(paths: Paths) -> None:
    paths.robots.write_bytes(b"cut:{SSHA}\n")
    for name in ("ci", "cu"):
        with pytest.raises(SecregError, match=f"no robot {name}"):
            tokens.revoke(paths, name)
        with pytest.raises(SecregError, match=f"no robot {name}"):
            tokens.renew(paths, name, lambda robot, _: robot, HERE)
    with pytest.raises(BadInput, match="a hash of it is none"):
        tokens.renew(paths, "cut", lambda robot, _: robot, HERE)
    tokens.revoke(paths, "cut")
    assert paths.robots.read_bytes() == b""


@pytest.mark.promise("robots-out-on-a-full-disk")
def test_revoking_needs_no_room(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place then, no line of another robot elsewhere than it was."""
    for name in ("a", "b", "c"):
        tokens.create(paths, replace(WANTED, name=name), HERE)
    before = paths.robots.read_bytes()
    real, kept = files.shorten, reserve.of_state(paths)
    kept.keep()

    def full(path: Path, data: bytes) -> None:
        error = SecregError("no room")
        error.__cause__ = OSError(errno.ENOSPC, "no room")
        if (kept.directory / "0").exists():
            raise error
        real(path, data)

    def never(path: Path, data: bytes) -> None:
        raise SecregError("no room")

    monkeypatch.setattr(files, "rewrite", never)
    monkeypatch.setattr(files, "shorten", full)
    tokens.revoke(paths, "b")
    assert set(known(paths)) == {"a", "c"} and not (kept.directory / "0").exists()
    after = paths.robots.read_bytes()
    assert len(after) == len(before) and after.index(b"\nc:") == before.index(b"\nc:")


@pytest.mark.parametrize("name", ["", "CI", "robot-ci", "a b", "a:b", "-a", "../x", "a\n", "ü", "a" * 33])
def test_names_that_no_robot_has(name: str) -> None:
    with pytest.raises(BadInput):
        tokens.wanted(name, {}, "90d")


@pytest.mark.parametrize("glob", ["", "a b", "a/[", "{a", "A/**", "ä", "a\n", "a\t", "\\"])
def test_patterns_that_are_none(glob: str) -> None:
    with pytest.raises(BadInput, match="--push"):
        tokens.wanted("ci", {"push": [glob]}, "90d")


@pytest.mark.parametrize("expires", ["0d", "21y", "x", "-1d", "", "1"])
def test_times_that_are_none(expires: str) -> None:
    with pytest.raises(BadInput, match="--expires"):
        tokens.wanted("ci", {}, expires)


@pytest.mark.parametrize("glob", ["**", "a/**", "a-{b,c}/?", "[a-c]*", "[!a]", "a/\\{x", "a=b"])
def test_what_is_taken_is_read_again(paths: Paths, glob: str) -> None:
    if not globs.possible(glob):
        return
    tokens.create(paths, tokens.wanted("ci", {"read": [glob], "push": ["x"]}, "never"), HERE)
    assert known(paths)["ci"].rights == (("read", glob), ("push", "x"))


def test_what_is_listed_has_no_hash(paths: Paths) -> None:
    robot, _ = tokens.create(paths, WANTED, HERE)
    said = f"{tokens.as_json(robot, time.time())} {tokens.state_of(robot, 0)} {tokens.rights_said(robot)}"
    assert "SSHA" not in said and robot.hash not in said and "a/**" in said


def test_names_of_robots_are_for_no_new_user(paths: Paths) -> None:
    """One that is there may have another password; and go."""
    line = f"robot-old:{users.make_hash('x', users.Scheme.SHA)}\n"
    paths.htpasswd.write_text(line)
    own = htpasswd.Place(paths.etc)
    for name in ("robot-new", "Robot-New"):
        with pytest.raises(BadInput, match="those of robots"):
            run(paths, own, "-b", name, "secret")
        with pytest.raises(BadInput, match="those of robots"):
            call_htpasswd("-nb", name, "secret")
    run(paths, own, "-b", "robot-old", "secret")
    assert paths.htpasswd.read_text() != line
    run(paths, own, "-D", "robot-old")
    other = paths.etc / "other"
    call_htpasswd("-cb", str(other), "robot-new", "secret")  # which is not ours
    assert other.read_text().startswith("robot-new:")


def run(paths: Paths, own: htpasswd.Place, *argv: str) -> None:
    import argparse

    from secreg_host.formats.hashoptions import HashChoice

    parser = argparse.ArgumentParser()
    htpasswd.build_parser(parser)
    args = parser.parse_args(argv)
    request = htpasswd.request_of(args, paths.htpasswd, "", "")
    choice = HashChoice(users.Scheme.SHA512, 1000)
    htpasswd.run(args, request, lambda: choice, io.StringIO(), io.StringIO(), own)
