"""Components by what the last report and systemd say of them; the world they ask is forced."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from secreg_host.apply import clientproof, probe, pushproof
from secreg_host.apply import store as stores
from secreg_host.apply.report import Finding, Report, findings
from secreg_host.base.errors import Problem
from secreg_host.formats.listening import Listen
from secreg_host.observe import components
from secreg_host.observe.state import Condition
from secreg_host.services import units
from secreg_host.wanted import defaults
from secreg_host.wanted.parts.certificate import EXPIRES, REFUSE, CertificatePart
from secreg_host.wanted.parts.part import Parts
from secreg_host.watchdog import watch
from tests import made

CRT = "/etc/secure-registry/docker-registry.crt"
DUE = Problem(CRT, f"{EXPIRES} 2027-01-01, in 3 days", "renew it")
PSS = Problem(CRT, f"its key is for RSASSA-PSS alone; clients in Go {REFUSE}", "have it issued anew")
ALONE = Problem(CRT, f"it comes without its issuer; clients that don't have that {REFUSE}", "append it")
ODD = Problem(CRT, "1 of its names are neither host names nor addresses, and passed over", "issue it without")
RENAMED = Problem("secure-registry.conf", f"{defaults.CALLED} b now, and its certificate is for a", "gencert")
LOST = Problem("secure-registry.conf", "this host has not the address 192.0.2.7 any more", "gencert")


def scene(*found: Finding, **facts: Any) -> Any:
    """What there is to judge by, with what the last apply `found`, and other `facts`."""
    part = replace(made.certificate(), not_after=datetime.now(UTC) + timedelta(days=99))
    return SimpleNamespace(generation=SimpleNamespace(parts=Parts(part)), report=Report("", 0.0, found), **facts)


@pytest.mark.parametrize(
    ("told", "condition", "event", "words", "remedy"),
    [
        ((), Condition.OK, "", (), ""),
        ((ODD, LOST), Condition.OK, "", (), ""),
        ((RENAMED,), Condition.WARNING, "", (RENAMED.what,), RENAMED.hint),
        ((DUE,), Condition.WARNING, "expiring", (), DUE.hint),
        ((ODD, PSS, ALONE), Condition.WARNING, "", (PSS.what, ALONE.what), PSS.hint),
        ((PSS, DUE), Condition.WARNING, "expiring", (PSS.what,), DUE.hint),
    ],
)
def test_what_clients_refuse_is_a_warning(
    told: tuple[Problem, ...], condition: Condition, event: str, words: tuple[str, ...], remedy: str
) -> None:
    """Seen: --check said OK while every client in Go refused the certificate, and of a host with another name."""
    found = components.certificate(scene(*findings("warning", CertificatePart.NAME, told)))
    assert (found.condition, found.event, found.remedy) == (condition, event, remedy)
    assert all(one in found.said for one in words) and found.said.count(REFUSE) == sum(REFUSE in one for one in words)


def test_a_registry_whose_store_is_away_waits_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: the first remedy was to restart it, which does not help; to mount the disk came second."""
    stopped = {"stopped": lambda _: "registry@b is inactive (dead)"}
    here = scene(**stopped)
    here.generation.settings, here.generation.slot = None, "b"
    monkeypatch.setattr(stores, "away", lambda _: ())
    assert "systemctl restart secure-registry-registry@b" in components.registry(here).remedy
    gone = Problem("docker-registry.yml:7", "nothing is mounted at /srv", "mount it")
    monkeypatch.setattr(stores, "away", lambda _: (gone,))
    found = components.registry(here)
    assert (found.said, found.remedy) == ("registry@b is inactive (dead); nothing is mounted at /srv", "mount it")


@pytest.mark.parametrize(
    ("names", "wished", "address"),
    [
        (("*.example.org", "10.0.0.1"), ("reg.example.org",), "https://reg.example.org:444"),
        (("*.example.org",), (), "https://NAME.example.org:444"),
        (("*.example.org", "b.example.org"), (), "https://b.example.org:444"),
        ((), (), "https://localhost:444"),
    ],
)
def test_what_is_served_is_an_address(names: tuple[str, ...], wished: tuple[str, ...], address: str) -> None:
    """Seen: "serves https://*.example.org"."""
    settings: Any = SimpleNamespace(server_names=wished)
    parts, listens = Parts(made.certificate(names=names)), (Listen("", 444, tls=True),)
    generation: Any = SimpleNamespace(parts=parts, settings=settings, listens=listens)
    assert components.address(generation) == address
    assert set(names) <= {one.removeprefix("https://").removesuffix(":444") for one in components.addresses(generation)}


@pytest.mark.parametrize(
    ("main", "epoch", "data", "remedy"),
    [
        ("inactive", "", None, components.START),  # uninstalled
        ("inactive", "e", b"a:x\n", ""),  # stopped: who may log in is known
        ("active", "", None, "add a user"),
        ("active", "e", b"", "add a user"),
    ],
)
def test_nobody_can_log_in_to_what_is_stopped(
    monkeypatch: pytest.MonkeyPatch, main: str, epoch: str, data: bytes | None, remedy: str
) -> None:
    """Seen: after an uninstall, to add a user, though .htpasswd had two."""
    live = SimpleNamespace(epoch=epoch, read=lambda: data, count=lambda: (data or b"").count(b"\n"))
    monkeypatch.setattr(components, "LiveUsers", lambda _: live)
    found = components.users(scene(host=None, states={watch.MAIN: (main, "dead")}))
    assert found.remedy.startswith(remedy) and bool(found.remedy) == bool(remedy)


def test_a_queue_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever logs in waits for it, though the password check itself answers."""
    monkeypatch.setattr(components.clientproof, "login", lambda *_: "")
    said = {components.QUEUE: "the processes of it are stopped by a signal (SIGSTOP)"}
    monkeypatch.setattr(components.clientproof, "queued", lambda _: "")
    found = components.logged_in(scene(host=None, stopped=lambda unit: said.get(unit, "")))
    assert (found.condition, found.remedy) == (Condition.DOWN, f"systemctl restart {components.QUEUE}")
    assert components.logged_in(scene(host=None, stopped=lambda _: "")).condition is Condition.OK


LATE = clientproof.Late("it does not answer within 10 s")
UNHEARD = clientproof.Unheard("nobody listens at /run/queue.sock")
REOPEN = "systemctl restart secure-registry-queue.socket"
RESTART = f"systemctl restart {components.QUEUE}"


@pytest.mark.promise("status-asks")
@pytest.mark.parametrize(
    ("login", "queued", "load", "condition", "said", "remedy"),
    [
        ("", "", "loaded", Condition.OK, "a right one is let in", ""),
        ("", UNHEARD, "loaded", Condition.WARNING, UNHEARD, REOPEN),
        ("", "the queue answers by HTTP 503", "loaded", Condition.WARNING, "HTTP 503", RESTART),
        ("", LATE, "loaded", Condition.OK, "a right one is let in", ""),  # a flood
        ("", UNHEARD, "masked", Condition.OK, "the queue is masked", ""),
        (LATE, UNHEARD, "masked", Condition.DOWN, f"{LATE}: {UNHEARD}", REOPEN),
        (LATE, LATE, "loaded", Condition.DOWN, LATE, RESTART),
        (LATE, "", "loaded", Condition.DOWN, LATE, "systemctl restart secure-registry-auth"),
        (probe.Open("open"), UNHEARD, "loaded", Condition.DOWN, "open", "systemctl restart secure-registry-auth"),
        (clientproof.Nobody("no user"), clientproof.Nobody("no user"), "loaded", Condition.OK, "none to check", ""),
    ],
)
def test_a_queue_that_is_passed_by_is_told(
    monkeypatch: pytest.MonkeyPatch,
    login: str,
    queued: str,
    load: str,
    condition: Condition,
    said: str,
    remedy: str,
) -> None:
    """Seen: with its socket removed, all was well; in a flood, the remedy was to restart the password check."""
    monkeypatch.setattr(components.clientproof, "login", lambda *_: login)
    monkeypatch.setattr(components.clientproof, "queued", lambda _: queued)
    manager = SimpleNamespace(properties=lambda *_: {"LoadState": load})
    host = SimpleNamespace(paths=SimpleNamespace(root="/srv/registry"))
    found = components.logged_in(scene(host=host, stopped=lambda _: "", manager=manager))
    assert found.condition is condition and said in found.said
    assert found.remedy.startswith(remedy) and bool(found.remedy) == bool(remedy)
    if queued is UNHEARD and not login and load == "loaded":
        unit = "secure-registry-queue.socket is inactive (dead)"
        stopped = scene(host=host, stopped=lambda one: unit if unit.startswith(one) else "", manager=manager)
        assert unit in components.logged_in(stopped).said
        foreground = components.logged_in(scene(host=host, stopped=lambda _: "", manager=None))
        assert foreground.condition is condition and foreground.remedy.startswith("secure-registry stop --root /srv/")


@pytest.mark.parametrize(
    ("wrong", "unheard", "remedy"),
    [
        (LATE, UNHEARD, REOPEN),
        (LATE, "", "systemctl restart secure-registry-auth"),
        ("HTTP 500", UNHEARD, "systemctl restart secure-registry-auth"),
    ],
)
def test_a_flood_past_the_queue_is_not_the_checks_fault(
    monkeypatch: pytest.MonkeyPatch, wrong: str, unheard: str, remedy: str
) -> None:
    """Seen: of two looks in a flood, one named the queue's socket, and one had the check started anew, in vain."""
    monkeypatch.setattr(components.clientproof, "checked", lambda _: wrong)
    monkeypatch.setattr(components.clientproof, "unheard", lambda _: unheard)
    manager, host = SimpleNamespace(), SimpleNamespace(paths=SimpleNamespace(root="/"))
    found = components.passwords(scene(host=host, stopped=lambda _: "", manager=manager))
    assert found.condition is Condition.DOWN and found.remedy.startswith(remedy)


@pytest.mark.parametrize("said", ["", "the processes of it are stopped by a signal (SIGSTOP)", "it is failed (failed)"])
def test_an_observer_that_hangs_is_told(said: str) -> None:
    """Seen: stopped by a signal it was in no status, and nobody told hooks of what broke."""
    running = SimpleNamespace(active="active", status_text="")
    stopped = {components.OBSERVER: said}
    manager = SimpleNamespace(state=lambda _: running)
    found = components.watchdog(scene(manager=manager, states={}, stopped=lambda unit: stopped.get(unit, "")))
    assert (found.condition is Condition.WARNING) == bool(said) and said in found.said


NOBODY = pushproof.Unheard("nobody listens at /run/manifests.sock")


@pytest.mark.promise("manifest-service-away", "status-asks")
@pytest.mark.parametrize(
    ("wrong", "load", "stopped", "condition", "said", "remedy"),
    [
        ("", "loaded", {}, Condition.OK, "is passed on", ""),
        ("HTTP 500", "loaded", {}, Condition.DOWN, "HTTP 500: nothing can be pushed", "systemctl restart {service}"),
        (NOBODY, "loaded", {}, Condition.DOWN, "nobody listens", "systemctl restart {socket}"),
        (NOBODY, "loaded", {"socket"}, Condition.DOWN, "{socket} is dead", "systemctl restart {socket}"),
        ("", "loaded", {"service"}, Condition.DOWN, "{service} is dead", "systemctl restart {service}"),
        (NOBODY, "masked", {}, Condition.WARNING, "is masked", "systemctl unmask {socket} {service}"),
    ],
)
def test_whether_manifests_are_taken(
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
    load: str,
    stopped: set[str],
    condition: Condition,
    said: str,
    remedy: str,
) -> None:
    names = {"service": components.MANIFESTS, "socket": units.MANIFESTS}
    dead = {names[one]: f"{names[one]} is dead" for one in stopped}
    monkeypatch.setattr(components.pushproof, "wrong", lambda _: wrong)
    manager = SimpleNamespace(properties=lambda *_: {"LoadState": load})
    host = SimpleNamespace(paths=SimpleNamespace(root="/srv/registry"))
    found = components.manifests(scene(host=host, stopped=lambda unit: dead.get(unit, ""), manager=manager))
    assert found.condition is condition and said.format(**names) in found.said
    assert found.remedy.startswith(remedy.format(**names)) and bool(found.remedy) == bool(remedy)
    if wrong is NOBODY and load == "loaded" and not stopped:
        alone = components.manifests(scene(host=host, stopped=lambda _: "", manager=None))
        assert alone.condition is condition and alone.remedy.startswith("secure-registry stop --root /srv/")
