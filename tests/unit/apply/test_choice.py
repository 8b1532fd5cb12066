"""As much of what /etc says as is good together. What runs is in memory (tests/world.py); real ones: tests/real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from secreg_host.apply import choice, portconflicts, storeproof
from secreg_host.apply.portconflicts import Conflict
from secreg_host.apply.report import Finding
from secreg_host.base.errors import BadInput, Problem, SecregError
from secreg_host.formats.listening import Listen
from secreg_host.generation import generations
from secreg_host.generation.generations import Generation
from secreg_host.host import processes
from secreg_host.images.marker import Store
from secreg_host.wanted.parts.certificate import CRT, KEY, CertificatePart
from secreg_host.wanted.parts.nginx import CONF, NginxPart
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.parts.settings import SettingsPart
from tests import made
from tests.world import World

PAIR = made.certificate({CRT: b"new", KEY: b"new"}, (), ("crt", "key"))
NGINX, REGISTRY = made.nginx("# two"), made.registry("version: 0.1\n# two")
OLD = made.parts()
ALL = made.parts(PAIR, NGINX, REGISTRY)
BROKEN = Problem("nginx.conf:1", "unknown directive", "correct it")


def chosen(
    world: World, parts: Parts, current: Generation | None, **given: Any
) -> tuple[Generation, tuple[Finding, ...]]:
    known: dict[str, Any] = {"tried": None, "checked": "", "live": True, "renew": False}
    return choice.choose(world.stage, parts, current, **known | given)


def broken_nginx(generation: Generation) -> tuple[Problem, ...]:
    return (BROKEN,) if b"two" in generation.files[CONF] else ()


def places(found: tuple[Finding, ...]) -> list[tuple[str, str, str]]:
    return [(one.kind, one.part, one.problem.where) for one in found]


def test_what_is_good_is_chosen_as_a_whole(world: World) -> None:
    """Staged, and its registry up beside the one that serves."""
    old = world.serving(OLD)
    new, found = chosen(world, ALL, old)
    assert (new.parts, new.slot, found) == (ALL, "b", ())
    assert (world.rehearsed, world.asked) == ([new.name], ["start registry@b"])
    assert (world.host.paths.generations / new.name).is_dir() and world.names == (old.name,) * 3


def test_what_serves_already_is_not_tried(world: World) -> None:
    old = world.serving(OLD)
    assert chosen(world, OLD, old) == (old, ())
    assert (world.rehearsed, world.asked) == ([], [])


def test_what_was_good_a_moment_ago_is_not_tried(world: World) -> None:
    old = world.serving(OLD)
    new = world.staged(made.parts(NGINX))
    assert chosen(world, new.parts, old, checked=new.name, live=False)[0].name == new.name and world.rehearsed == []


def test_a_bad_part_holds_back_only_itself(world: World) -> None:
    old = world.serving(OLD)
    world.bad = broken_nginx
    new, found = chosen(world, ALL, old)
    assert new.parts == made.parts(PAIR, REGISTRY)
    assert places(found) == [("rejected", "nginx", "nginx.conf:1")] and found[0].problem.hint == "correct it"
    assert {path.name for path in world.host.paths.generations.iterdir()} >= {new.name, old.name}
    assert len(list(world.host.paths.generations.iterdir())) == 3, "the whole and nginx.conf alone are not kept"


def test_a_certificate_that_nginx_can_not_use_is_at_fault_itself(world: World) -> None:
    old = world.serving(OLD)
    world.bad = lambda one: (BROKEN,) if one.parts[CertificatePart] == PAIR else ()
    new, found = chosen(world, ALL, old)
    assert new.parts == made.parts(NGINX, REGISTRY) and places(found) == [("rejected", "certificate", "crt")]


def test_what_is_good_alone_and_not_together(world: World) -> None:
    """The certificate is changed first, and nginx.conf does not go with it."""
    old = world.serving(OLD)
    world.bad = lambda one: (BROKEN,) if one.parts[CertificatePart] == PAIR and one.parts[NginxPart] == NGINX else ()
    new, found = chosen(world, ALL, old)
    assert new.parts == made.parts(PAIR, REGISTRY) and places(found) == [("rejected", "nginx", "nginx.conf:1")]


def test_all_of_it_bad(world: World) -> None:
    """What serves goes on, and every part is named."""
    old = world.serving(OLD)
    world.bad = lambda _: (BROKEN,)
    new, found = chosen(world, ALL, old)
    assert new.name == old.name and [one.part for one in found] == ["certificate", "nginx", "registry"]
    assert world.names == (old.name,) * 3 and (world.host.paths.generations / old.name).is_dir()


def test_nothing_ever_served_and_it_is_bad(world: World) -> None:
    world.bad = broken_nginx
    with pytest.raises(BadInput, match="unknown directive"):
        chosen(world, ALL, None)
    assert world.asked == []


def test_a_registry_that_does_not_start_is_tried_once(world: World) -> None:
    """Not again with another certificate."""
    old = world.serving(OLD)
    world.crashes["registry@b"] = ["no storage"]
    new, found = chosen(world, ALL, old)
    assert new.parts == made.parts(PAIR, NGINX)
    assert places(found) == [("rejected", "registry", "docker-registry.yml")]
    assert world.asked == ["start registry@b", "stop registry@b"]


def test_a_program_of_the_settings_stands_and_falls_alone(world: World) -> None:
    old = world.serving(OLD)
    world.bad = lambda one: (BROKEN,) if one.settings.nginx_binary else ()
    new, found = chosen(world, made.parts(NGINX, nginx_binary="/opt/nginx", server_names=("new.example",)), old)
    assert new.parts == made.parts(NGINX, server_names=("new.example",))
    assert [(one.kind, one.part) for one in found] == [("rejected", "settings")]
    assert "NGINX_BINARY=/opt/nginx" in found[0].problem.what and found[0].problem.where.startswith(
        str(world.host.paths.conf)
    )


def test_of_what_does_not_run_nothing_is_started(world: World) -> None:
    new, found = chosen(world, ALL, None, live=False)
    assert (new.parts, found, world.asked, world.rehearsed) == (ALL, (), [], [new.name])


def stored(world: World, root: Path, **given: Any) -> Parts:
    """Parts whose images are in `root`."""
    yml = f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {root}\n"
    part = made.registry(yml, root=str(root), store=Store("1" * 32, str(root)))
    return made.parts(part, **given)


def test_a_storage_that_can_not_be_used_is_told(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry answers, and can't write: it is not taken, and does not go on running."""
    old = world.serving(OLD)
    monkeypatch.setattr(storeproof, "wrong", lambda *_: "an upload is answered by HTTP 500")
    new, found = chosen(world, stored(world, tmp_path), old)
    assert (new.name, world.slots()) == (old.name, {"a"})
    assert places(found) == [("rejected", "registry", "docker-registry.yml:4")]
    assert "HTTP 500" in found[0].problem.what and str(tmp_path) in found[0].problem.what


def test_a_registry_that_was_killed_while_it_stored_is_asked_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = world.serving(OLD)
    said = iter([storeproof.Unreached("an upload is not answered"), ""])
    monkeypatch.setattr(storeproof, "wrong", lambda *_: next(said))
    assert chosen(world, stored(world, tmp_path), old)[1] == ()


def test_a_full_disk_holds_back_nothing_of_the_same_store(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storeproof, "wrong", lambda *_: "")
    old = world.serving(stored(world, tmp_path))
    monkeypatch.setattr(storeproof, "wrong", lambda *_: "no space left")
    part = old.parts[RegistryPart]
    same = made.registry(part.yml.decode() + "# more\n", root=part.root, store=part.store)
    new, found = chosen(world, old.parts.having(same), old)
    assert (new.parts[RegistryPart], found) == (same, ())
    program = made.settings(registry_binary="/opt/registry")
    assert chosen(world, old.parts.having(program), old)[0].name == old.name, "another program must show that it can"


def test_a_port_that_somebody_has_holds_back_nginx_conf(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    old = world.serving(OLD)
    asked = list[tuple[Listen, ...]]()

    def problem(_: object, listens: tuple[Listen, ...]) -> SecregError | None:
        asked.append(listens)
        taken = Conflict(Listen("", 8443), "port 8443 is used by apache2", "another", "or stop it")
        return taken if 8443 in {one.port for one in listens} else None

    monkeypatch.setattr(portconflicts, "problem", problem)
    other = Listen("", 8443)
    new, found = chosen(world, made.parts(PAIR, made.nginx("# two", listens=(other,), answering=(other,))), old)
    assert new.parts == made.parts(PAIR) and places(found) == [("rejected", "nginx", "nginx.conf")]
    assert asked and (made.AT,) not in asked, "what it has is not asked for"


def test_metrics_at_an_address_of_somebody_else_are_the_registry_s_fault(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = world.serving(OLD)
    debug = Listen("127.0.0.1", 5001, tls=False)
    taken = Conflict(debug, "port 5001 is used by prometheus", "another", "or stop it")
    monkeypatch.setattr(portconflicts, "problem", lambda _, listens: taken if debug in listens else None)
    yml = "version: 0.1\nhttp:\n  debug:\n    addr: 127.0.0.1:5001\n"
    new, found = chosen(world, made.parts(NGINX, made.registry(yml, debug=debug)), old)
    assert new.parts == made.parts(NGINX) and places(found) == [("rejected", "registry", "docker-registry.yml:4")]


def test_users_are_looked_at_before_each_trial(world: World) -> None:
    old = world.serving(OLD)
    looked = list[str]()
    world.bad = broken_nginx
    stage = choice.Stage(world.host, world, lambda: looked.append("users"))
    choice.choose(stage, ALL, old, None, "", live=True, renew=False)
    assert len(looked) >= 4


def renewed(world: World, parts: Parts, current: Generation, *outdated: str, live: bool = True) -> Any:
    world.old |= set(outdated)
    return choice.choose_renewed(world.stage, parts, current, outdated, "", live=live)


def test_a_registry_whose_program_was_replaced_moves(world: World) -> None:
    old = world.serving(OLD)
    new, found, held = renewed(world, OLD, old, "registry@a")
    assert (new.parts, new.slot, found, held) == (OLD, "b", (), {})
    assert world.slots() == {"a", "b"}


def test_a_new_registry_that_does_not_start_is_waited_for(world: World) -> None:
    """Its package may be half installed; what serves goes on, and docker-registry.yml is not to blame."""
    old = world.serving(OLD)
    world.crashes["registry@b"] = ["error while loading shared libraries"]
    new, found, held = renewed(world, made.parts(NGINX), old, "registry@a")
    assert (new.parts, new.slot, found) == (made.parts(NGINX), "a", ())
    assert {part: [one.what for one in problems] for part, problems in held.items()} == {
        "registry": ["error while loading shared libraries"]
    }


def test_a_new_nginx_that_can_not_do_what_serves(world: World) -> None:
    old = world.serving(OLD)
    world.bad = lambda _: (BROKEN,)
    new, found, held = renewed(world, OLD, old, "nginx")
    assert (new.name, found, held) == (old.name, (), {"nginx": (BROKEN,)})
    new, found, held = renewed(world, ALL, old, "nginx", "auth")
    assert new.name == old.name and held == {"nginx": (BROKEN,)}


def test_settings_that_name_no_program_are_taken_at_once(world: World) -> None:
    old = world.serving(OLD)
    new, found = chosen(world, made.parts(server_names=("new.example",)), old)
    assert new.parts[SettingsPart].settings.server_names == ("new.example",) and found == ()


def test_what_is_good_together_only(world: World) -> None:
    """Half of it is no reason to start the registry once more, which does not start."""
    old = world.serving(OLD)
    pairs = (CertificatePart, PAIR), (NginxPart, NGINX)
    world.bad = lambda one: (BROKEN,) if len({one.parts[kind] == new for kind, new in pairs}) == 2 else ()
    world.crashes["registry@b"] = ["no storage"]
    new, found = chosen(world, ALL, old)
    assert (new.name, len(found)) == (old.name, 3)
    assert world.asked == ["start registry@b", "stop registry@b"]


def test_what_the_link_leads_to_stays_whatever_is_found(world: World) -> None:
    """A run that was killed had flipped to it: nginx may be reading it."""
    old, new = world.serving(OLD), world.staged(made.parts(NGINX))
    generations.flip(world.host, new.name)
    world.bad = broken_nginx
    assert chosen(world, new.parts, old)[0].name == old.name
    assert (world.host.paths.generations / new.name).is_dir()


def test_a_registry_that_finishes_what_it_had_begun_keeps_its_slot(world: World) -> None:
    old = world.serving(OLD)
    for slot in "bc":
        world.start(f"registry@{slot}")
    assert chosen(world, made.parts(REGISTRY), old)[0].slot == "d"
    with pytest.raises(SecregError, match="every slot"):
        chosen(world, made.parts(made.registry("version: 0.1\n# three")), old)


@pytest.mark.promise("crashes")
def test_a_slot_that_is_about_to_be_free_is_waited_for(world: World) -> None:
    """Seen: after twenty killed reloads each registry was just ending, and the next reload failed for that."""
    old = world.serving(OLD)
    world.up_now |= {f"registry@{slot}" for slot in processes.SLOTS}
    looks = iter(range(100))
    stage = choice.Stage(world.host, world, lambda: world.up_now.discard("registry@c") if next(looks) == 3 else None)
    new, _ = choice.choose(stage, OLD, old, None, "", live=True, renew=True)
    assert new.slot == "c"
    world.up_now |= {f"registry@{slot}" for slot in processes.SLOTS}
    with pytest.raises(SecregError, match="every slot"):
        choice.choose(world.stage, OLD, old, None, "", live=True, renew=True)
