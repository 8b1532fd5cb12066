"""Reading what /etc says: each part as it is, or as it was when it was good."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from secreg_host.apply import seen
from secreg_host.apply.report import Report
from secreg_host.apply.seen import Seen
from secreg_host.apply.wish import Wish
from secreg_host.base.errors import BadInput
from secreg_host.base.paths import Paths
from secreg_host.generation.generations import Generation
from secreg_host.host import host as hosts
from secreg_host.wanted import authority, exposure, sources
from secreg_host.wanted.parts import kinds
from secreg_host.wanted.parts.access import AccessPart
from secreg_host.wanted.parts.certificate import CertificatePart
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.parts.part import Context, FilePart, Part, Reading
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.parts.settings import SettingsPart
from tests.unit.pki.test_clientrules import OTHER, Leaf
from tests.world import World

SETUP = Wish("setup", {"OPT": "-5 -r 1000", "SERVER_NAME": "a.example"}, create=True)
RELOAD = Wish("reload", {})


@pytest.fixture
def serving(world: World, monkeypatch: pytest.MonkeyPatch) -> Generation:
    """A host that was set up, and serves."""
    for find in ("nginx", "registry"):
        monkeypatch.setattr(hosts, find, lambda _="": Path("/bin/true"))
    taken = seen.read(world.stage, SETUP, None, Report())
    assert {"nginx.conf", "docker-registry.crt"} <= {path.name for path in taken.provisioned.written}
    assert taken.fingerprint, "what it wrote itself it has seen"
    return world.serving(taken.parts)


def read(world: World, current: Generation, before: Report | None = None) -> Seen:
    return seen.take(world.stage, RELOAD, current, before or Report())


def told(one: Seen) -> list[tuple[str, str]]:
    return [(finding.kind, finding.part) for finding in one.findings]


def test_what_is_as_it_was_is_what_serves(world: World, serving: Generation) -> None:
    one = read(world, serving)
    assert (one.parts, told(one), one.provisioned.written) == (serving.parts, [], ())
    assert one.fingerprint == sources.fingerprint(world.host.paths, one.sources) and one.again > 0
    assert one.users and one.waiting == {}


@pytest.mark.parametrize("known", [True, False])
def test_images_that_come_while_they_are_looked_for_are_looked_for_again(
    world: World, serving: Generation, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """Seen: a disk was mounted just after an apply had looked for it, which then started the registry and went on
    holding the file back: the watchdog was told that all had been seen as it was. known: to the apply before."""
    before = Report(sources=read(world, serving).sources if known else ())
    root, really, looks = serving.parts[RegistryPart].root, RegistryPart.read, list[bool]()
    assert root is not None

    def looking(context: Context) -> Reading[RegistryPart]:
        found = really(context)
        if not looks:
            Path(root).rename(f"{root}.below")
            Path(root).mkdir()
        looks.append(True)
        return found

    monkeypatch.setattr(RegistryPart, "read", looking)
    one = read(world, serving, before)
    assert root in one.sources and len(looks) == 2
    assert one.fingerprint == sources.fingerprint(world.host.paths, one.sources)


BREAK: dict[type[Part], Callable[[Paths], object]] = {
    AccessPart: lambda paths: paths.access_yml.write_text("repositories: {a: {anonymousPolicy: [create]}}"),
    CertificatePart: lambda paths: paths.crt.write_bytes(b"no certificate\n"),
    NginxPart: lambda paths: paths.nginx_conf.write_text("http { server { listen 443 ssl;"),
    RegistryPart: lambda paths: paths.registry_yml.write_text("version: [0.1"),
    SettingsPart: lambda paths: paths.conf.write_text("PORT=none\n"),
}


@pytest.mark.parametrize("kind", kinds.ALL)
def test_each_part_is_held_back_alone(world: World, serving: Generation, kind: type[Part]) -> None:
    """The others change; a broken one is told, and what it was goes on."""
    paths = world.host.paths
    others: dict[type[Part], Path] = {NginxPart: paths.nginx_conf, RegistryPart: paths.registry_yml}
    for path in others.values():
        path.write_bytes(path.read_bytes() + b"# more\n")
    BREAK[kind](paths)
    one = read(world, serving)
    assert told(one) == [("rejected", kind.NAME)] and one.findings[0].problem.hint
    assert one.parts[kind] == serving.parts[kind]
    changed = {other for other in kinds.ALL if one.parts[other] != serving.parts[other]}
    assert changed == set(others) - {kind}


@pytest.mark.parametrize("kind", [CertificatePart, NginxPart, RegistryPart])
def test_a_part_that_is_gone_is_held_back_alone(world: World, serving: Generation, kind: type[FilePart]) -> None:
    kind.where(world.host.paths).unlink()
    one = read(world, serving)
    assert told(one) == [("rejected", kind.NAME)] and one.parts == serving.parts


@pytest.mark.parametrize("kind", kinds.ALL)
def test_what_never_was_good_is_an_error_that_names_it(world: World, serving: Generation, kind: type[Part]) -> None:
    BREAK[kind](world.host.paths)
    with pytest.raises(BadInput) as caught:
        seen.read(world.stage, RELOAD, None, Report())
    assert caught.value.problems and all(one.where for one in caught.value.problems)


def test_a_reader_that_raises_is_one_part(world: World, serving: Generation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug is one finding, and all else counts."""
    monkeypatch.setattr(NginxPart, "read", lambda _: [].pop())
    one = read(world, serving)
    assert told(one) == [("rejected", "nginx")] and "a bug in secure-registry" in one.findings[0].problem.what
    assert one.parts == serving.parts


def test_half_a_pair_is_waited_for_and_then_told(
    world: World, serving: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who replaces both files leaves a moment in which they do not go together."""
    world.host.paths.crt.write_bytes(Leaf(by=OTHER).pair().crt)
    now = 1_800_000_000.0
    monkeypatch.setattr(seen.time, "time", lambda: now)
    one = read(world, serving)
    assert told(one) == [("waiting", "certificate")] and one.waiting == {"certificate": now}
    assert one.parts == serving.parts
    before = Report(waiting=one.waiting)
    now += seen.WAIT_SECONDS - 1
    assert told(read(world, serving, before)) == [("waiting", "certificate")]
    now += 2
    later = read(world, serving, before)
    assert told(later) == [("rejected", "certificate")] and later.waiting == one.waiting


Change = Callable[[World], object]
MEANWHILE: dict[str, Change] = {
    "one is edited": lambda world: world.host.paths.nginx_conf.write_bytes(b"# other\n"),
    "one is new": lambda world: (world.host.paths.etc / "new.conf").touch(),
    "one goes": lambda world: world.host.paths.openssl_cnf.unlink(),
    "its mode is another one": lambda world: world.host.paths.registry_yml.chmod(0o604),
    "users are others": lambda world: world.host.paths.htpasswd.write_bytes(b""),
}


@pytest.mark.parametrize("what", MEANWHILE)
def test_what_changes_meanwhile_counts_as_unseen(
    world: World, serving: Generation, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The watchdog asks again."""
    outside, really = read(world, serving).sources, RegistryPart.read

    def and_then(context: object) -> object:
        found = really(context)  # type: ignore[arg-type]
        MEANWHILE[what](world)
        return found

    monkeypatch.setattr(RegistryPart, "read", and_then)
    assert seen.read(world.stage, RELOAD, serving, Report(), outside).fingerprint == ""
    monkeypatch.setattr(RegistryPart, "read", really)
    assert read(world, serving, Report(sources=outside)).fingerprint != ""


def test_what_turns_up_while_something_is_written_counts_as_unseen(
    world: World, serving: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, paths = RegistryPart.read, world.host.paths
    paths.nginx_conf.unlink()
    monkeypatch.setattr(RegistryPart, "read", lambda context: ((paths.etc / "new.conf").touch(), really(context))[1])
    taken = seen.read(world.stage, SETUP, serving, Report())
    assert paths.nginx_conf in taken.provisioned.written and taken.fingerprint == ""


def test_what_others_can_write_is_told(world: World, serving: Generation) -> None:
    """It serves all the same."""
    world.host.paths.nginx_conf.chmod(0o666)
    one = read(world, serving)
    assert told(one) == [("warning", exposure.PART)] and str(world.host.paths.nginx_conf) in str(
        one.findings[0].problem
    )
    assert one.parts == serving.parts


def test_a_renewal_needs_no_settings(world: World, serving: Generation, monkeypatch: pytest.MonkeyPatch) -> None:
    """While secure-registry.conf is broken the last good ones count."""
    BREAK[SettingsPart](world.host.paths)
    monkeypatch.setattr(authority, "due", lambda *_: True)
    one = read(world, serving)
    assert "docker-registry.crt" in {path.name for path in one.provisioned.written}
    assert told(one) == [("rejected", "settings")] and one.parts[CertificatePart] != serving.parts[CertificatePart]
    assert one.fingerprint
