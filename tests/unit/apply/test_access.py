"""The part of access.yml: once one has served, it is never gone by accident."""

from __future__ import annotations

import contextlib
import random
import shutil
from pathlib import Path

import pytest

from secreg_host.apply import activate, apply, seen
from secreg_host.apply.report import Report
from secreg_host.base import records
from secreg_host.base.errors import BadInput, Problem, SecregError
from secreg_host.generation.generations import Generation
from secreg_host.host import host as hosts
from secreg_host.wanted.access.policy import Policy
from secreg_host.wanted.parts import access
from secreg_host.wanted.parts.access import AccessPart
from tests import made
from tests.unit.apply.test_seen import RELOAD, SETUP, told
from tests.world import World

POLICY = b'repositories:\n  "team-a/**": {defaultPolicy: [read]}\n'
PART = AccessPart(files={access.YML: POLICY}, sources=("access.yml",))


@pytest.fixture
def serving(world: World, monkeypatch: pytest.MonkeyPatch) -> Generation:
    for find in ("nginx", "registry"):
        monkeypatch.setattr(hosts, find, lambda _="": Path("/bin/true"))
    return world.serving(seen.read(world.stage, SETUP, None, Report()).parts)


@pytest.fixture
def yml(world: World, serving: Generation) -> Path:
    return world.host.paths.access_yml


def read(world: World, current: Generation) -> seen.Seen:
    return seen.read(world.stage, RELOAD, current, Report())


@pytest.mark.promise("access-as-shipped")
def test_as_shipped_nothing_of_it_counts(world: World, serving: Generation, yml: Path) -> None:
    assert yml.read_bytes().startswith(b"# ")
    one = read(world, serving)
    assert one.parts[AccessPart].policy is None and told(one) == []
    yml.unlink()
    assert read(world, serving).parts[AccessPart].policy is None


def test_what_stands_there_counts(world: World, serving: Generation, yml: Path) -> None:
    yml.write_bytes(POLICY)
    part = read(world, serving).parts[AccessPart]
    assert isinstance(part.policy, Policy) and part.policy.repositories[0].pattern == "team-a/**"


@pytest.mark.parametrize("data", [None, b"", b"# nothing\n", b"{}"])
def test_one_that_is_gone_is_a_broken_one(world: World, serving: Generation, yml: Path, data: bytes | None) -> None:
    current = Generation(serving.parts.having(PART), serving.slot, serving.rendered)
    yml.write_bytes(data or b"")
    if data is None:
        yml.unlink()
    one = read(world, current)
    assert told(one) == [("rejected", "access")] and one.parts[AccessPart] == PART
    assert "secure-registry access off --yes" in one.findings[0].problem.hint


def test_it_is_a_broken_one_also_where_what_served_is_lost(world: World, serving: Generation, yml: Path) -> None:
    access.remember(world.host.paths, PART)
    assert told(read(world, serving)) == [("rejected", "access")]
    world.host.paths.access_served.write_bytes(b"broken")
    assert told(read(world, serving)) == [("rejected", "access")]


def test_it_can_be_given_up_and_taken_up_again(world: World, serving: Generation, yml: Path) -> None:
    paths = world.host.paths
    current = Generation(serving.parts.having(PART), serving.slot, serving.rendered)
    access.remember(paths, PART)
    access.give_up(paths)
    one = read(world, current)
    assert told(one) == [] and one.parts[AccessPart].policy is None
    access.remember(paths, PART)
    assert told(read(world, current)) == [("rejected", "access")]


def test_a_part_without_a_policy_is_not_remembered(world: World) -> None:
    access.remember(world.host.paths, AccessPart())
    assert not world.host.paths.access_served.exists()


def test_it_is_remembered_before_it_serves(world: World) -> None:
    new = world.staged(made.parts(PART))
    world.crashes["nginx"] = ["no"]
    with pytest.raises(Exception, match="no"):
        activate.activate(world.stage, new, None)
    assert records.load(world.host.paths.access_served, access.SERVED)["off"] is False


def test_users_that_there_are_none_of_are_told(world: World, serving: Generation, yml: Path) -> None:
    yml.write_bytes(b"adminPolicy: {users: [eve], actions: [read]}\n")
    one = read(world, serving)
    assert [(each.kind, each.problem.where) for each in one.findings] == [("warning", f"{yml}:1")]
    assert "'eve'" in one.findings[0].problem.what


TEXTS = (
    POLICY,
    b'repositories: {"**": {policies: [{users: [a], actions: [read, delete]}]}}\n',
    b"adminPolicy: {users: [docker], actions: [read]}\n",
)
BAD = (None, b"", b"# nothing\n", b"{}", b"repositories: [", b"repositorys: {}\n", b"repositories: {}\n")


@pytest.mark.promise("access-lasts")
@pytest.mark.parametrize("seed", range(4))
def test_nothing_ever_widens_what_served(world: World, serving: Generation, yml: Path, seed: int) -> None:
    """Whatever is edited, fails, is lost or cut: what serves is what served, or what the file says."""
    draw, last, failed = random.Random(seed), AccessPart(), 0
    for _ in range(25):
        data = draw.choice((*TEXTS, *BAD))
        yml.unlink(missing_ok=True)
        if data is not None:
            yml.write_bytes(data)
        world.login = draw.choice(("", "", "a right password is answered by HTTP 500"))
        world.bad = draw.choice((lambda _: (), lambda _: (Problem("nginx.conf", "no", "mend it"),)))
        if draw.random() < 0.2:
            world.host.paths.access_served.unlink(missing_ok=True)
        with contextlib.suppress(SecregError):
            apply.apply(world.stage, RELOAD)
        world.login, world.bad = "", lambda _: ()
        assert world.served is not None
        now = world.served.parts[AccessPart]
        said = now.files.get(access.YML)
        assert said in (last.files.get(access.YML), data if data in TEXTS else last.files.get(access.YML))
        failed += said != data
        last = now
    assert failed > 5 and last.policy is not None


def test_where_all_that_served_is_lost_a_missing_file_lets_nothing_serve(
    world: World, serving: Generation, yml: Path
) -> None:
    yml.write_bytes(POLICY)
    apply.apply(world.stage, RELOAD)
    shutil.rmtree(world.host.paths.generations)
    yml.unlink()
    with pytest.raises(BadInput, match=r"access\.yml"):
        apply.apply(world.stage, RELOAD)
