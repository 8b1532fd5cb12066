"""Who holds a port, while our nginx comes and goes. Its moments are forced; all else is tested on hosts."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from secreg_host.apply import activate, choice, portconflicts, rehearsal
from secreg_host.formats.listening import Listen
from secreg_host.host import ports
from secreg_host.wanted.parts.part import Parts
from tests import made
from tests.world import World


class Moments:
    """nginx that becomes another process each time it is looked at: its children, which is what it is there."""

    def __init__(self, *seen: set[int]) -> None:
        self.seen = list(seen)

    def pids(self, _: str) -> set[int]:
        return self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Any:
    with socket.create_server(("127.0.0.1", 0)) as server:
        holders: list[int | None] = []
        monkeypatch.setattr(ports, "holder", lambda _: holders.pop(0) if len(holders) > 1 else holders[0])
        yield Listen("127.0.0.1", server.getsockname()[1], tls=True), holders


def test_nginx_that_just_starts_is_no_stranger(listening: Any) -> None:
    """It binds its ports, then goes on as another process (daemon(3)): seen at a boot, as `used by nginx`."""
    listen, holders = listening
    holders += [177, 178]
    services: Any = Moments({177, 178}, {178})
    assert portconflicts._occupant(services, listen, set()) == ""
    holders[:] = [177, 178, 178]
    services = Moments({178})
    assert portconflicts._occupant(services, listen, set()) == ""


def test_a_stranger_is_named_even_if_it_can_not_be_seen(listening: Any) -> None:
    listen, holders = listening
    holders += [177, None]
    services: Any = Moments({178})
    assert portconflicts._occupant(services, listen, set()) == "another process"
    holders[:] = [1]
    assert "(process 1" in portconflicts._occupant(services, listen, set())


ALL, ALL6, ONE, TWO = Listen("", 443), Listen("::", 443), Listen("192.0.2.1", 443), Listen("192.0.2.2", 443)


@pytest.mark.promise("one-address")
@pytest.mark.parametrize(
    ("new", "held", "stuck"),
    [
        ([ALL, ALL6], [ALL, ALL6], None),
        ([ALL], [ONE], (ALL, ONE)),  # an address that went away, and the line that was to mend it
        ([ONE], [ALL], (ONE, ALL)),
        ([ONE, TWO], [ONE], None),
        ([ONE, ALL], [ALL], None),  # nginx holds the one for all addresses alone
        ([ONE], [ONE, ALL], (ONE, ALL)),
        ([ONE], [ALL6], None),
        ([Listen("2001:db8::1", 443)], [ALL6], (Listen("2001:db8::1", 443), ALL6)),
        ([Listen("", 8443)], [ONE], None),
    ],
)
def test_what_nginx_can_not_take_beside_what_it_holds(new: Any, held: Any, stuck: Any) -> None:
    assert ports.kept_from(new, held) == stuck


def at(listen: Listen) -> Parts:
    """Parts that serve there."""
    return made.parts(made.nginx(f"# {listen}", listens=(listen,), answering=(listen,)))


@pytest.mark.parametrize(("up", "reached", "held"), [(True, True, True), (True, False, False), (False, True, False)])
def test_only_a_front_that_serves_keeps_another_address_from_serving(
    world: World, up: bool, reached: bool, held: bool
) -> None:
    """Seen: with `listen 10.9.9.9:443` and that address gone, `listen 443` could not serve without a restart, which
    nothing said; and where the old one served, each later edit took 20 s and was back."""
    old, new = world.serving(at(ONE)), world.staged(at(ALL))
    if not up:
        world.stop("nginx")
    if not reached:
        world.mute.add("nginx")
    problems = choice._port_problems(world.stage, new, old)
    assert [(one.where, "systemctl restart secure-registry" in one.hint) for one in problems] == (
        [("nginx.conf", True)] if held else []
    )


@pytest.mark.parametrize(
    ("old", "new", "did"), [(ONE, ALL, ["stop nginx", "start nginx"]), (TWO, ONE, ["reload nginx"])]
)
def test_an_address_that_is_in_the_way_is_let_go_first(world: World, old: Listen, new: Listen, did: list[str]) -> None:
    before, after = world.serving(at(old)), world.staged(at(new))
    assert activate.activate(world.stage, after, before) == (after, ()) and world.asked == did
    assert world.names == (after.name,) * 3


def test_of_what_serves_by_now_nothing_is_known(world: World) -> None:
    """The generation that nginx serves is damaged: it is told, not stopped."""
    world.serving(at(ONE))
    after = world.staged(at(ALL))
    assert activate.activate(world.stage, after, None) == (after, ())
    assert world.asked == ["reload auth", "reload nginx"]


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("bind() to unix:/run/x.sock failed (13: Permission denied)", "name a socket in a directory that user"),
        ("bind() to 10.9.9.9:80 failed (99: Cannot assign requested address)", "it is tried again by itself"),
        ('host not found in upstream "s3.lan:80"', "(getent hosts NAME): it is tried again by itself"),
        ('open() "/root/x" failed (13: Permission denied)', "put the file into /etc/secure-registry"),
    ],
)
def test_what_helps_when_nginx_can_not_bind(said: str, remedy: str) -> None:
    """Seen: a socket was to be put into /etc/secure-registry, where nginx can't make it either."""
    assert remedy in rehearsal.hint_for(said)
