"""The roll: in the place of a name that nobody has, a decoy is checked."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from secreg_host.base import files
from secreg_host.formats import decoy, users
from secreg_host.generation.liveusers import LiveUsers
from secreg_host.host.host import Host
from secreg_host.queue import roll
from secreg_host.queue.roll import Asked, Login, Roll

SHA, OTHER = b"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n", b"{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=\n"


@pytest.fixture
def live(host: Host) -> LiveUsers:
    files.make_directory(host.paths.run, 0o755)
    found = LiveUsers(host)
    found.write(b"alice:" + SHA + b"bob:" + OTHER)
    return found


def basic(said: bytes) -> bytes:
    return b"Basic " + base64.b64encode(said)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"Basic YTpi", Login(b"a", b"b")),
        (b"bAsIc   YTpi", Login(b"a", b"b")),
        (b"Basic YTpiOmM=", Login(b"a", b"b:c")),
        (b"Basic YTpiOmM", Login(b"a", b"b:c")),
        (b"Basic YTpi=anything at all", Login(b"a", b"b")),
        (b"Basic YTo", Login(b"a", b"")),
        (b"Basic OmI", Login(b"", b"b")),
        (b"Basic YTpiY", None),  # five characters are no bytes
        (b"Basic YWI", None),
        (b"Basic YT-i", None),
        (b"Basic YTpi YTpi", None),
        (b"Basic", None),
        (b"BasicYTpi", None),
        (b"Bearer YTpi", None),
        (b"", None),
    ],
)
def test_a_header_is_read_as_nginx_does(header: bytes, said: Login | None) -> None:
    assert roll.login(header) == said


@pytest.mark.promise("names-take-the-same-time")
def test_a_name_that_nobody_has_is_asked_for_by_a_decoy(live: LiveUsers) -> None:
    found = Roll(live)
    for said in (b"alice:x", b"bob:", f"{users.PROBE}:x".encode(), b"no colon"):
        assert found.asked(basic(said)) == Asked(basic(said)), "as it is"
    asked = found.asked(basic(b"carol:pass:word"))
    instead = roll.login(asked.authorization)
    assert asked.decoy and instead is not None and decoy.is_one(instead.user) and instead.password == b"pass:word"
    assert {found.asked(basic(b"carol:pass:word")) for _ in range(30)} == {asked}, "the same one each time"
    assert len({found.asked(basic(b"%d:x" % number)).authorization for number in range(64)}) == 2


def decoys(found: Roll) -> list[bytes]:
    """Whose hash is asked for, by what it is like, for some names that nobody has."""
    headers = [found.asked(basic(b"nobody-%d:x" % number)) for number in range(200)]
    names = [said.user for asked in headers if asked.decoy and (said := roll.login(asked.authorization))]
    likes = dict(found.decoys)
    return [likes[name] for name in names]


@pytest.mark.promise("names-take-the-same-time")
def test_a_name_keeps_its_decoy(live: LiveUsers) -> None:
    """At a restart, and when others come, go or have another password: else its time tells that nobody has it."""
    lines = [b"u%d:$1$s%07d$%s\n" % (number, number, b"x" * 22) for number in range(20)]
    live.write(b"".join(lines))
    found = Roll(live)
    before = decoys(found)
    assert len(before) == 200 and len(set(before)) == 20, "each stands for some"
    live.write(b"".join(lines))
    assert decoys(Roll(live)) == decoys(found) == before
    live.write(b"first:" + SHA + b"".join(lines))
    new = decoy.lasting(SHA.strip())
    assert {now for now, was in zip(decoys(found), before, strict=True) if now != was} == {new}
    live.write(b"".join(lines[:7] + lines[8:]))
    gone = decoy.lasting(lines[7].strip().partition(b":")[2])
    assert {was for now, was in zip(decoys(found), before, strict=True) if now != was} == {gone}


@pytest.mark.promise("names-take-the-same-time")
def test_users_that_change_are_seen(live: LiveUsers) -> None:
    found = Roll(live)
    assert found.asked(basic(b"carol:x")).decoy
    live.write(b"carol:" + SHA)
    assert not found.asked(basic(b"carol:x")).decoy and found.asked(basic(b"alice:x")).decoy
    live.shut()
    assert not found.asked(basic(b"alice:x")).decoy, "the password check says that nobody is let in"


@pytest.mark.promise("names-take-the-same-time")
def test_what_is_asked_instead_is_taken_where_the_header_is(live: LiveUsers) -> None:
    """A line above its buffer is 400 for the password check, told as 503: that tells the names in one request each."""
    template = (Path(roll.__file__).parents[2] / "templates/auth/nginx.conf.j2").read_text()
    said = re.search(r"large_client_header_buffers +[0-9]+ +([0-9]+)k;", template)
    taken = 1024 * (int(said[1]) if said else 8)
    header = basic(b"x:" + b"p" * 6114)
    line = b"Authorization: %s\r\n"
    assert 8000 < len(line % header) <= 8192, "the front takes it"
    assert len(line % Roll(live).asked(header).authorization) <= taken


@pytest.mark.promise("names-take-the-same-time")
def test_users_that_can_not_be_read_are_looked_at_again(live: LiveUsers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as when there is no descriptor left for a moment: not for as long as these users count."""
    found = Roll(live)
    with monkeypatch.context() as patched:
        patched.setattr(LiveUsers, "lines", lambda _: Path("/none/htpasswd").read_bytes())
        assert not found.asked(basic(b"carol:x")).decoy
    assert found.asked(basic(b"carol:x")).decoy


@pytest.mark.promise("names-take-the-same-time")
def test_in_the_place_of_a_robot_stands_a_robot(live: LiveUsers) -> None:
    """Its hash costs nothing, and a user's does; what is called like neither is taken for a user."""
    found = Roll(live)
    assert decoy.is_one(asked_for(found, b"robot-x")) and not asked_for(found, b"robot-x").startswith(decoy.ROBOT)
    live.write(b"alice:" + SHA + b"robot-ci:" + OTHER)
    for name, robot in ((b"robot-x", True), (b"bob", False), (b"Robot-x", False), (b"robot", False)):
        instead = asked_for(found, name)
        assert decoy.is_one(instead) and instead.startswith(decoy.ROBOT) == robot
    assert asked_for(found, b"robot-ci") == b"robot-ci"
    live.write(b"robot-ci:" + OTHER)
    assert asked_for(found, b"bob").startswith(decoy.ROBOT)


def asked_for(found: Roll, name: bytes) -> bytes:
    said = roll.login(found.asked(basic(name + b":x")).authorization)
    assert said is not None
    return said.user
