"""What status says where not all is known."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from secreg_host.apply.report import Report
from secreg_host.base import systemd
from secreg_host.base.errors import Exit
from secreg_host.generation import generations, health
from secreg_host.host import sandbox
from secreg_host.host.host import Host
from secreg_host.observe import kept, state, store, views
from secreg_host.observe import look as looks
from secreg_host.observe.state import Component
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import RegistryPart
from tests import made


@pytest.fixture
def damaged(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host without systemd whose current generation is damaged."""
    monkeypatch.setattr(looks, "BACK_SECONDS", 0.0)
    host.paths.lib.mkdir(parents=True)
    host.paths.current.symlink_to("generations/0123")
    return host


@pytest.fixture
def with_unit(damaged: Host, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Host]:
    """That host with systemd, where nginx's unit is in the state that is given."""

    def is_in(active: str, sub: str) -> Host:
        state = SimpleNamespace(active=active, sub=sub, since=0.0, status_text="")
        manager: Any = SimpleNamespace(state=lambda _: state, active=lambda _: ("inactive", 0))
        monkeypatch.setattr(systemd, "Systemd", lambda: manager)
        return replace(damaged, by_systemd=True)

    return is_in


@pytest.mark.parametrize(
    ("unit", "known"),
    [
        (None, "what runs may still answer"),
        (("active", "running"), "nginx is active (running)"),
        (("reloading", "reload"), "nginx is reloading (reload)"),
    ],
)
def test_what_runs_by_a_damaged_generation_may_serve(
    damaged: Host, with_unit: Callable[[str, str], Host], unit: tuple[str, str] | None, known: str
) -> None:
    host = with_unit(*unit) if unit else damaged
    found = looks.look(host)
    assert found.code is Exit.DEGRADED and not found.down
    assert known in found.unknown and "0123 is damaged" in found.unknown and "secure-registry reload" in found.unknown
    assert views.as_text(found) == f"secure-registry may serve: {found.unknown}"
    assert views.as_json(found)["serving"] is None and views.as_json(found)["unknown"] == found.unknown


def test_what_is_stopped_does_not_serve(with_unit: Callable[[str, str], Host]) -> None:
    host = with_unit("inactive", "dead")
    found = looks.look(host)
    assert not found.unknown and views.as_json(found)["serving"] is False
    assert views.as_text(found).startswith("secure-registry does not serve: it is stopped; start it: systemctl start")
    host.paths.current.unlink()
    assert "nothing was ever set up" in looks.look(host).down


@pytest.mark.promise("sandboxes-are-told")
def test_what_only_seems_so_from_a_sandbox_is_not_kept(
    with_unit: Callable[[str, str], Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: an agent for monitoring, without a network of its own, made everybody be told that it does not serve."""
    host = with_unit("inactive", "dead")
    host.paths.run.mkdir(parents=True)
    monkeypatch.setattr(sandbox, "inside", lambda: True)
    found = views.asked(host)
    assert found.down and kept.told(host.paths) is None and not kept.load(host.paths).taken
    assert views.SEEN in views.as_text(found) and views.check(found)[1].endswith(f"({views.SEEN})")
    assert views.as_json(found)["sandboxed"]
    monkeypatch.setattr(sandbox, "inside", lambda: False)
    assert views.SEEN not in views.as_text(views.asked(host))
    told = kept.told(host.paths)
    assert told is not None and not told.json["sandboxed"]


WELL = (state.ok(Component.FRONT, "answers"), state.ok(Component.STORE, "on /"))
DOWN = (WELL[0], state.down(Component.STORE, "it is full", "free some"))
NOBODY = (*WELL, state.down(Component.USERS, "nobody can log in", "add a user"))


def test_whoever_looks_tells_balancers_the_same(host: Host) -> None:
    """Seen: /healthz said 503 while root's status said that it serves, and 200 while it said that it does not."""
    host = replace(host, by_systemd=True)
    host.paths.run.mkdir(parents=True)
    first = looks.Look(host, None, Report("", 0.0), WELL, "", "active (running)", 1.0, 2.0)
    for taken, components, away in [(3.0, DOWN, True), (4.0, WELL, False), (5.0, NOBODY, False), (6.0, DOWN, True)]:
        views.keep(replace(first, components=components, taken=taken))
        assert health.flag(host.paths).exists() is away
    views.keep(replace(first, taken=5.5))  # one that took long, and began before
    assert health.flag(host.paths).exists() and kept.load(host.paths).taken == 6.0
    views.keep(replace(first, taken=7.0, sandboxed=True))
    assert health.flag(host.paths).exists()
    views.keep(replace(first, components=DOWN, unit="inactive (dead)", taken=7.0))  # when it is started, it is not away
    assert not health.flag(host.paths).exists()
    health.tell(host.paths, away=True)
    alone = replace(first, host=replace(host, by_systemd=False), components=DOWN, taken=8.0)
    views.keep(alone)  # nobody looks by himself there
    assert not health.flag(host.paths).exists()
    views.keep(replace(first, taken=time.time() + 1e6))
    views.keep(replace(first, components=DOWN, taken=9.0))  # the clock was set back
    assert health.flag(host.paths).exists()


def test_no_password_of_a_url_is_shown(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    images = RegistryPart(root="/srv/https:/me:hunter2@host")
    parts = Parts(made.settings(), made.certificate(), images, NginxPart())
    generation = generations.Generation(parts, "a", {})
    monkeypatch.setattr(store, "_measure", lambda _: None)
    scene: Any = SimpleNamespace(generation=generation, host=host, manager=None)
    found = looks.Look(host, generation, Report("", 0.0), (store.store(scene),), "it is stopped", "", 0.0, 0.0)
    assert "/srv/https:/xxxxx@host" in views.as_text(found) and "hunter2" not in views.as_text(found)
    assert views.as_json(found)["storage"] == "/srv/https:/xxxxx@host" and "hunter2" not in str(views.as_json(found))
