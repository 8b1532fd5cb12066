"""What a service wants beside its processes runs after a reload: it was stopped, or came with a newer version."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from secreg_host.base.systemd import Systemd
from secreg_host.host.host import Host
from secreg_host.services import sockets, units, unitservices
from secreg_host.services.unitservices import UnitServices
from secreg_host.wanted.parts.part import Parts
from tests import made

UNIT = (Path(__file__).resolve().parents[3] / "units" / units.MAIN).read_text()
WANTS = " ".join(re.findall("^Wants=(.*)", UNIT, re.MULTILINE)).split()
BESIDE = (
    "apply.socket",
    "apply.service",
    "queue.socket",
    "manifests.socket",
    "watchdog.service",
    "observer.service",
    "audit.service",
    "renew.timer",
    "trust.path",
    "gc.timer",
)


class Manager(Systemd):
    """systemd on which these units do not run; started: which are asked for."""

    def __init__(self, stopped: dict[str, str], *, main: str = "active") -> None:
        self.stopped = {f"secure-registry-{name}": load for name, load in stopped.items()}
        self.main = main
        self.started: list[str] = []

    def properties(self, name: str, *wanted: str) -> dict[str, object]:
        found = {"Wants": WANTS, "LoadState": self.stopped.get(name, "loaded")}
        return {one: found[one] for one in wanted}

    def actives(self, names: object) -> dict[str, tuple[str, str]]:
        assert isinstance(names, list)
        dead, alive = ("inactive", "dead"), ("active", "running")
        states = {name: dead if name in self.stopped else alive for name in names}
        return {**states, units.MAIN: (self.main, "")}

    def job(self, method: str, unit: str, **how: object) -> bool:
        assert (method, how["mode"]) == ("StartUnit", "fail"), "a stop that is under way goes on"
        assert how["wait"] == (self.main == "active"), "what is started waits for a reload that is under way"
        self.started.append(unit.removeprefix("secure-registry-"))
        return True


@pytest.fixture(autouse=True)
def lost(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Units of sockets where nobody gets to."""
    found: list[str] = []
    monkeypatch.setattr(sockets, "lost", lambda *_: found)
    return found


def started(host: Host, manager: Manager) -> list[str]:
    services = UnitServices(host)
    services.__dict__["systemd"] = manager
    services.complete()
    return manager.started


def test_what_belongs_to_the_service_beside_its_processes() -> None:
    assert tuple(unit.removeprefix("secure-registry-") for unit in units.companions(WANTS)) == BESIDE


@pytest.mark.promise("reload-completes")
@pytest.mark.parametrize("name", BESIDE)
def test_what_does_not_run_is_started(host: Host, name: str) -> None:
    """Seen: after an upgrade from 0.1, which had none, the observer did not run until the next restart."""
    assert started(host, Manager({name: "loaded", "nginx.service": "loaded"})) == [name], "processes are an apply's"


def test_a_reload_of_systemds_starts_it_too(host: Host) -> None:
    """Seen: it was `systemctl reload` that an upgrade's own reload waited for, and both left it to the other."""
    assert started(host, Manager({"observer.service": "loaded"}, main="reloading")) == ["observer.service"]


@pytest.mark.parametrize("main", ["active", "reloading"])
def test_a_socket_that_was_removed_is_made_again(
    host: Host, lost: list[str], monkeypatch: pytest.MonkeyPatch, main: str
) -> None:
    """Seen: its unit was active, so a reload passed it over."""
    lost.append(sockets.QUEUE)
    asked: list[object] = []
    monkeypatch.setattr(sockets, "reopen", lambda _, unit, **how: asked.append((unit, how)))
    assert started(host, Manager({}, main=main)) == []
    assert asked == [(sockets.QUEUE, {"wait": main == "active"})]
    assert started(host, Manager({}, main="inactive")) == [] and len(asked) == 1


@pytest.mark.promise("reload-completes")
def test_what_is_masked_or_not_to_run_is_left(host: Host) -> None:
    assert started(host, Manager({})) == []
    assert started(host, Manager({"watchdog.service": "masked", "observer.service": "loaded"})) == ["observer.service"]
    for main in ("inactive", "deactivating", "failed"):
        assert started(host, Manager({"observer.service": "loaded"}, main=main)) == []


class Starting(Systemd):
    """systemd that starts nginx, which after some looks at its state is there, and has read what was there before."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def properties(self, name: str, *wanted: str) -> dict[str, object]:
        return {"MainPID": 0 if self.looks else 4711}

    def active(self, name: str) -> tuple[str, str]:
        self.looks -= 1
        return ("active", "running") if self.looks <= 0 else ("activating", "start")


@pytest.mark.promise("back-to-proven")
@pytest.mark.parametrize("looks", [1, 5])
def test_an_nginx_that_just_came_up_is_told(host: Host, monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    """Seen, twice: it had read what was there before, came up between two looks, or was told too early by a job of
    systemd's, and was asked for 10 s in vain."""
    seen: list[int] = []
    monkeypatch.setattr("secreg_host.services.nginxmaster.reload", lambda pid, _: seen.append(pid))
    services = UnitServices(host)
    services.__dict__["systemd"] = Starting(looks)
    assert services.reload("nginx")
    assert seen == [4711]


@pytest.mark.promise("manifest-service-away")
@pytest.mark.parametrize(
    ("there", "load", "asked"), [(True, "loaded", []), (False, "loaded", ["manifests.socket"]), (False, "masked", [])]
)
def test_manifests_are_taken_before_a_front_passes_them_on(
    host: Host, monkeypatch: pytest.MonkeyPatch, there: bool, load: str, asked: list[str]
) -> None:
    """After an upgrade from a version that had no such service."""
    monkeypatch.setattr(sockets, "leads", lambda _: there)
    monkeypatch.setattr(unitservices.units, "render", lambda *_: {})
    services, manager = UnitServices(host), Taking(load)
    services.__dict__["systemd"] = manager
    services.prepare(Parts(made.settings()), "a")
    assert manager.started == asked


class Taking(Manager):
    """systemd on which the socket of the manifest service is not there yet."""

    def __init__(self, load: str) -> None:
        super().__init__({"manifests.socket": load})

    def job(self, method: str, unit: str, **how: object) -> bool:
        assert (method, how["mode"]) == ("StartUnit", "fail")
        self.started.append(unit.removeprefix("secure-registry-"))
        return True
