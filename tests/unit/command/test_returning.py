"""A restore says which robots it brings back that this host does not know any more."""

from __future__ import annotations

import tarfile
from types import SimpleNamespace
from typing import Any

import pytest

from secreg_host.command import restoring
from secreg_host.command.restoring import Plan
from secreg_host.formats import robots
from secreg_host.host.host import Host
from secreg_host.upkeep.archived import Item

NAME = "etc/secure-registry/robots"


def line(name: str) -> bytes:
    return robots.render(robots.Robot(name, robots.hash_of("x"), 0, None)) + b"\n"


@pytest.mark.parametrize(
    ("here", "back"),
    [(None, []), (b"", ["a", "b", "cut"]), (line("a"), ["b", "cut"]), (b"".join(map(line, "ab")) + b"cut:", [])],
)
def test_robots_that_would_be_back_are_named(host: Host, here: bytes | None, back: list[str]) -> None:
    host.paths.etc.mkdir(parents=True)
    if here is not None:
        host.paths.robots.write_bytes(here)
    data = b"# ours\n" + line("a") + line("b") + b"cut:{SSHA}\nno line\n"
    found = Plan({}, {NAME: Item(NAME, tarfile.REGTYPE, 0o640, ("root", "root"), data)})
    one: Any = SimpleNamespace(host=host)
    assert restoring._returning(one, found) == back
    assert restoring._returning(one, Plan({})) == []
