"""Bringing a generation to life, and the way back. What runs is in memory (tests/world.py); real ones: tests/real."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from secreg_host.apply import activate, clientproof, probe
from secreg_host.apply.portconflicts import Conflict
from secreg_host.base.errors import BadInput, Problem, SecregError
from secreg_host.formats.listening import Listen
from secreg_host.formats.serverblocks import Door
from secreg_host.generation import generations
from secreg_host.wanted.parts.registry import RegistryPart
from tests import made
from tests.world import World

OLD, NEW = made.parts(), made.parts(made.nginx("# two"))
OTHER_STORE = made.parts(made.registry("version: 0.1\n# two"))


def kinds(found: object) -> list[tuple[str, str]]:
    assert isinstance(found, tuple)
    return [(finding.kind, finding.part) for finding in found]


def test_the_first_one(world: World) -> None:
    new = world.staged(OLD)
    serving, found = activate.activate(world.stage, new, None)
    assert (serving, found, world.names) == (new, (), (new.name,) * 3)
    assert world.asked == ["start registry@a", "start auth", "start nginx"]
    assert world.prepared == world.ready["a"] == OLD
    assert world.host.paths.slot("a").readlink().parts[:2] == ("..", "current")
    assert world.host.paths.http_secret.exists()


def test_a_first_one_that_can_not_be_proven(world: World) -> None:
    """There is nothing to go back to: it is said, and nothing counts as proven."""
    new = world.staged(OLD)
    world.unserved[new.front] = "no answer"
    with pytest.raises(SecregError, match="no answer"):
        activate.activate(world.stage, new, None)
    assert generations.proven_name(world.host) is None


def test_only_what_changed_is_told(world: World) -> None:
    old = world.serving(OLD)
    new = world.staged(NEW)
    assert activate.activate(world.stage, new, old) == (new, ())
    assert (world.asked, world.names) == (["reload nginx"], (new.name,) * 3)


def test_what_can_not_be_proven_goes_back(world: World) -> None:
    """With the findings of what had changed; a later apply begins with what serves."""
    old = world.serving(OLD)
    new = world.staged(made.parts(made.nginx("# two"), made.registry("version: 0.1\n# two")), "b")
    world.unserved[new.front] = "it serves another certificate"
    serving, found = activate.activate(world.stage, new, old)
    assert serving.parts == world.prepared == OLD and world.names == (old.name,) * 3
    assert kinds(found) == [("unproven", "nginx"), ("unproven", "registry")] and world.ready["b"] == new.parts
    assert [finding.problem.where for finding in found] == ["nginx.conf", "docker-registry.yml"]
    assert "another certificate" in found[0].problem.what
    assert world.slots() == {"a"}, "the registry that came with it has ended"


def test_a_way_back_that_is_none_is_told(world: World) -> None:
    old = world.serving(OLD)
    new = world.staged(NEW)
    world.unserved |= {new.front: "broken", old.front: "broken, too"}
    with pytest.raises(SecregError, match="broken, too"):
        activate.activate(world.stage, new, old)
    assert generations.proven_name(world.host) == old.name


def test_where_nothing_changed_nothing_is_done(world: World) -> None:
    """One look, that is all."""
    old = world.serving(OLD)
    assert activate.activate(world.stage, old, old) == (old, ())
    assert (world.asked, world.proofs) == ([], [1])


def test_what_changed_is_looked_at_more_than_once(world: World) -> None:
    """Old workers of nginx answer beside the new ones for a moment."""
    old = world.serving(OLD)
    activate.activate(world.stage, world.staged(NEW), old)
    assert world.proofs == [probe.IN_A_ROW] and probe.IN_A_ROW >= 3


def test_a_run_that_was_killed_before_its_reload(world: World) -> None:
    """It had flipped, and nginx was never told."""
    world.serving(OLD)
    new = world.staged(NEW)
    generations.flip(world.host, new.name)
    assert activate.activate(world.stage, new, new) == (new, ())
    assert world.asked == ["reload auth", "reload nginx"] and world.names == (new.name,) * 3


def test_what_is_open_is_not_reloaded_but_told(world: World) -> None:
    old = world.serving(OLD)
    world.unserved[old.front] = probe.Open("/v2/ is answered without a password")
    with pytest.raises(SecregError, match="without a password"):
        activate.activate(world.stage, old, old)
    assert world.asked == []


@pytest.mark.parametrize(
    ("unheard", "helps"), [("", "secure-registry-auth"), ("nobody listens", "secure-registry-queue.socket")]
)
@pytest.mark.parametrize("unchanged", [True, False])
def test_a_password_check_that_hangs_keeps_nothing_from_serving(
    world: World, monkeypatch: pytest.MonkeyPatch, unchanged: bool, unheard: str, helps: str
) -> None:
    """Seen: in a flood, without the queue, the remedy was to restart the password check."""
    monkeypatch.setattr(clientproof, "unheard", lambda _: unheard)
    old = world.serving(OLD)
    new = old if unchanged else world.staged(NEW)
    world.login = clientproof.Late("the password check does not answer within 10 s")
    serving, found = activate.activate(world.stage, new, old)
    assert (serving, world.names) == (new, (new.name,) * 3)
    assert kinds(found) == [("unproven", "users")] and found[0].problem.hint.endswith(f"systemctl restart {helps}")
    assert unheard in found[0].problem.what


def test_who_can_not_log_in_is_a_reason_to_go_back(world: World) -> None:
    old = world.serving(OLD)
    world.login = "a right password is answered by HTTP 500"
    with pytest.raises(SecregError, match="HTTP 500"):
        activate.activate(world.stage, world.staged(NEW), old)
    assert generations.proven_name(world.host) == old.name and generations.current_name(world.host) == old.name


def test_another_registry_takes_over(world: World) -> None:
    """It is up before anything changes; the old one finishes what nginx's old workers ask of it, and ends."""
    old = world.serving(OLD)
    new = world.staged(OTHER_STORE, "b")
    world.workers = [{1, 2}, {1, 2}, {1, 2, 3}, {1, 3}]
    serving, found = activate.activate(world.stage, new, old)
    assert (serving, found) == (new, ())
    assert world.asked == ["start registry@b", "reload nginx", "stop registry@a"]
    assert world.workers == [{1, 3}], "it was waited for"
    assert not world.host.paths.slot("a").is_symlink() and world.host.paths.slot("b").is_symlink()


def test_a_new_registry_that_does_not_answer(world: World) -> None:
    """Nothing changed when that is found, and it does not go on being started."""
    old = world.serving(OLD)
    new = world.staged(OTHER_STORE, "b")
    world.mute.add("registry@b")
    serving, found = activate.activate(world.stage, new, old)
    assert serving.parts == OLD and world.names == (old.name,) * 3
    assert kinds(found) == [("unproven", "registry")] and world.slots() == {"a"}


@pytest.mark.parametrize("killed", [False, True])
def test_a_registry_that_served_may_be_away(world: World, killed: bool) -> None:
    """All else changes and serves; it is told, and tried again by others."""
    old = world.serving(OLD)
    world.mute.add("registry@a")
    if killed:
        world.die("registry@a")
        world.crashes["registry@a"] = ["no such bucket"]
    serving, found = activate.activate(world.stage, world.staged(NEW), old)
    assert serving.parts == NEW and kinds(found) == [("away", "registry")]
    assert world.names == (serving.name,) * 3
    assert world.asked == ["reload nginx", *(["start registry@a", "stop registry@a"] if killed else [])]


def test_a_process_that_died_is_brought_back(world: World) -> None:
    old = world.serving(OLD)
    world.die("nginx", "auth")
    assert activate.activate(world.stage, old, old) == (old, ())
    assert world.asked == ["start auth", "start nginx"]


def test_one_that_is_killed_while_it_is_proven_is_brought_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    old = world.serving(OLD)
    killed = iter(["auth"])

    def entered(_: object, __: object, ___: float, alive: object) -> str:
        for name in killed:
            world.die(name)
        assert callable(alive)
        return (alive() or "no answer") if world.died("auth") else ""

    monkeypatch.setattr(clientproof, "entered", entered)
    new = world.staged(NEW)
    assert activate.activate(world.stage, new, old) == (new, ())
    assert world.asked == ["reload nginx", "start auth", "reload nginx"]


def test_a_program_that_was_replaced_is_renewed(world: World) -> None:
    old = world.serving(OLD)
    activate.activate(world.stage, old, old, ("nginx", "auth"))
    assert world.asked == ["renew auth", "renew nginx"]


def test_another_program_named_is_renewed_and_so_is_the_way_back(world: World) -> None:
    old = world.serving(OLD)
    new = world.staged(made.parts(nginx_binary="/opt/nginx"))
    activate.activate(world.stage, new, old)
    assert world.asked == ["renew auth", "renew nginx"]


def test_users_are_looked_at_while_a_registry_is_waited_for(world: World) -> None:
    looked = list[str]()
    stage = activate.Stage(world.host, world, lambda: looked.append("users"))
    world.mute.add("registry@a")
    problems = activate.bring_up_registry(stage, world.staged(OLD))
    assert problems and len(looked) > 10


def test_a_registry_that_ends_at_once_is_not_waited_for(world: World) -> None:
    world.crashes["registry@a"] = ["configuration error: no storage"]
    (problem,) = activate.bring_up_registry(world.stage, world.staged(OLD))
    assert problem == Problem("docker-registry.yml", "configuration error: no storage")
    assert world.asked == ["start registry@a", "stop registry@a"]


@pytest.mark.parametrize("runs", [True, False])
def test_a_store_that_is_away_is_not_filled(world: World, runs: bool) -> None:
    """A disk is not mounted: the registry does not run upon what is in its place."""
    one = world.serving(OLD) if runs else world.staged(OLD)
    world.away = (Problem("docker-registry.yml", "the images are not there"),)
    assert activate.bring_up_registry(world.stage, one, proven=True) == world.away
    assert world.asked == (["stop registry@a"] if runs else []) and world.slots() == set()


def test_what_was_never_proven_is_left_for_what_was(world: World) -> None:
    """A run was cut between the flip and the proof."""
    old, new = world.serving(OLD), world.staged(NEW)

    def last() -> str | None:
        found = activate.last_good(world.stage)
        return found.name if found else None

    assert last() == old.name
    generations.flip(world.host, new.name)
    assert last() == old.name, "nginx serves it still"
    world.reload("nginx")
    assert last() == new.name, "it serves, all that is missing is that somebody said so"
    world.unserved[new.front] = "no answer"
    assert last() == old.name
    generations.mark_proven(world.host, new.name)
    assert last() == new.name, "what was proven and is broken now has nothing before it"
    generations.mark_proven(world.host, old.name)
    shutil.rmtree(world.host.paths.generations / new.name)
    assert last() == old.name, "the link leads nowhere"


def test_registries_that_nobody_needs_end_once_it_serves(world: World) -> None:
    old = world.serving(OLD)
    world.start("registry@c")
    for slot in "bc":
        world.host.paths.slot(slot).symlink_to("../current/registry")
    world.mute.add("nginx")
    activate.retire_strays(world.stage, old)
    links = world.host.paths.slot("a").parent
    assert (world.slots(), {link.name for link in links.iterdir()}) == ({"a", "c"}, {"a", "c"}), "one of them may serve"
    world.mute.clear()
    activate.retire_strays(world.stage, old)
    assert (world.slots(), {link.name for link in links.iterdir()}) == ({"a"}, {"a"})


def test_all_ends_with_the_front_first(world: World) -> None:
    world.serving(OLD)
    activate.stop_all(world.stage)
    assert world.asked == ["stop nginx", "stop auth", "stop registry@a"]


def test_a_port_that_is_taken(world: World) -> None:
    """Nothing is started for it, and nothing flipped."""
    world.taken = Conflict(Listen("", 443), "port 443 is used by apache2", "another", "or stop it")
    with pytest.raises(SecregError, match="apache2") as caught:
        activate.activate(world.stage, world.staged(OLD), None)
    assert [one.where for one in caught.value.problems] == ["nginx.conf"]
    assert generations.current_name(world.host) is None and world.asked == []


def test_a_first_registry_that_does_not_start(world: World) -> None:
    world.crashes["registry@a"] = ["no storage"]
    with pytest.raises(BadInput, match="no storage"):
        activate.activate(world.stage, world.staged(OLD), None)
    assert generations.current_name(world.host) is None


def test_the_front_sees_the_images_of_a_registry_that_is_up(world: World) -> None:
    one = world.staged(made.parts(made.registry(root="/srv/images")))
    assert one.parts[RegistryPart].root and activate.bring_up_registry(world.stage, one) == ()
    assert world.asked == ["start registry@a", "show a"]


def test_a_way_back_by_another_version_of_this_program(world: World) -> None:
    """What it renders of the old parts is proven then."""
    parts = world.serving(OLD)
    known = replace(parts, rendered={**parts.rendered, "auth/nginx.conf": b"of 0.1"}, label="", said=None)
    generations.stage(world.host, known, {})
    generations.flip(world.host, known.name)
    generations.mark_proven(world.host, known.name)
    new = world.staged(NEW)
    world.unserved[new.front] = "no answer"
    back, _ = activate.activate(world.stage, new, known)
    assert back.parts == OLD and back.name == parts.name != known.name and world.names == (back.name,) * 3


def test_what_is_open_behind_another_door_goes_back(world: World) -> None:
    old = world.serving(OLD)
    new = world.staged(made.parts(made.nginx("# two", doors=(Door(made.AT, "other.example"),))))
    world.open_door = probe.Open("/v2/ is answered without a password")
    back, found = activate.activate(world.stage, new, old)
    assert back.parts == OLD and kinds(found) == [("unproven", "nginx")] and world.names == (old.name,) * 3


def test_users_are_looked_at_while_something_is_proven(world: World) -> None:
    old = world.serving(OLD)
    looked = list[str]()
    new = world.staged(NEW)
    world.unserved[new.front] = "no answer"
    activate.activate(activate.Stage(world.host, world, lambda: looked.append("users")), new, old)
    assert looked
