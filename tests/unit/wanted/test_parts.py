"""What parts have in common: they come back from a manifest as they were, and each is listed."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from secreg_host.base.errors import BadInput
from secreg_host.formats.listening import Listen
from secreg_host.formats.serverblocks import Door
from secreg_host.generation import generations
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host
from secreg_host.images.marker import Store
from secreg_host.wanted import parts as room
from secreg_host.wanted.parts import access, kinds
from secreg_host.wanted.parts.access import AccessPart
from secreg_host.wanted.parts.certificate import CertificatePart
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.parts.part import FilePart, Part, Parts, Reading, guarded
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.parts.settings import SettingsPart
from tests import made

TLS = Listen("", 443)
EVERY = (
    made.settings(server_names=("a.example", "b.example"), port=5000, password="secret"),
    made.certificate({"front/pair": b"x"}, ("a.example", "::1"), ("/etc/crt", "/etc/key")),
    RegistryPart(
        files={"registry/yml": b"y"}, sources=("/etc/yml",), root="/srv/link", real="/srv/images", more="proxy",
        headers=(("X-Name", "value"),), debug=Listen("127.0.0.1", 5001, tls=False),
        readonly=True, store=Store("1" * 32, "/srv"),
    ),
    NginxPart(
        files={"front/nginx.conf": b"z"}, sources=("/etc/nginx.conf",), doors=(Door(TLS, "a.example"),),
        answering=(TLS,), listens=(TLS, Listen("::", 80, tls=False)), origin={"front/nginx.conf": "/etc/nginx.conf"},
        own_pair=False, outside={"/usr/share/x": "digest"}, watched=("/etc/conf.d/*.conf",),
        sized=("map_hash_max_size",),
    ),
    AccessPart(files={access.YML: b"repositories: {a: {defaultPolicy: [read]}}"}, sources=("/etc/access.yml",)),
)  # fmt: skip


@pytest.mark.parametrize("part", EVERY, ids=lambda part: part.NAME)
def test_a_manifest_brings_a_part_back(part: Part) -> None:
    facts = json.loads(json.dumps(part.facts))
    assert type(part).restored(part.files, part.sources, facts) == part
    assert "secret" not in json.dumps(facts)


def test_each_part_is_listed() -> None:
    found = set()
    for module in pkgutil.iter_modules(room.__path__):
        values = vars(importlib.import_module(f"{room.__name__}.{module.name}")).values()
        found |= {value for value in values if isinstance(value, type) and issubclass(value, Part)}
    assert found - {Part, FilePart} == set(kinds.ALL)
    assert set(kinds.REVERTIBLE) == set(kinds.ALL) - {SettingsPart}
    assert len({kind.NAME for kind in kinds.ALL}) == len(kinds.ALL)


def test_parts_are_found_by_their_class() -> None:
    parts = Parts(*EVERY)
    assert parts[RegistryPart].storage == "/srv/images" and parts[NginxPart] is EVERY[3]
    other = parts.having(RegistryPart(root=None))
    assert other != parts and other[RegistryPart].places == () and parts[RegistryPart].root == "/srv/link"
    assert NginxPart not in Parts() and Parts().get(NginxPart) is None


def test_a_record_of_an_earlier_version_says_nothing_of_patience() -> None:
    """Its nginx.conf may, for all that is known: nginx takes one `client_header_timeout` of a block."""
    facts = {name: value for name, value in EVERY[3].facts.items() if name != "patience"}
    found = NginxPart.restored(EVERY[3].files, EVERY[3].sources, facts)
    assert found.patience and not EVERY[3].patience


def later(generation: Generation, change: Any) -> dict[str, Any]:
    """The manifest of `generation` as a later version might have written it."""
    manifest: dict[str, Any] = json.loads(generation.manifest)
    change(manifest)
    return manifest


def test_what_a_later_version_knows_besides_keeps_nothing_from_serving(host: Host) -> None:
    """After a downgrade: one more part, one more fact; its name is the digest of what it is, all the same."""
    host.paths.generations.mkdir(parents=True)

    def change(manifest: dict[str, Any]) -> None:
        manifest["parts"]["motd"] = {"files": ["front/motd"], "facts": {"lines": 3}, "sources": []}
        manifest["parts"]["registry"]["facts"]["quota"] = 5

    manifest = later(Generation(Parts(*EVERY), "a", {}), change)
    files = {path: data for part in EVERY for path, data in part.files.items()} | {"front/motd": b"lines"}
    listing = {name: value for name, value in manifest.items() if name != "version"}
    name = generations._name(listing, files)
    for path, data in {**files, generations.MANIFEST: json.dumps(manifest).encode()}.items():
        target = host.paths.generations / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    found = generations.load(host, name)
    assert found is not None and found.name == name and found.parts == Parts(*EVERY)
    assert found.files == files
    (host.paths.generations / name / "front/motd").write_bytes(b"other lines")
    assert generations.load(host, name) is None, "damaged"


@dataclass(frozen=True, kw_only=True)
class NewPart(Part):
    NAME = "new"

    lines: int = 0

    @classmethod
    def restored(cls, files: Mapping[str, bytes], sources: tuple[str, ...], facts: Mapping[str, Any]) -> Self:
        return cls(files=files, sources=sources, lines=facts.get("lines", 0))


def test_a_part_that_an_earlier_version_had_not(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an upgrade that brings one, what served before is still known: a bad file holds back itself alone."""
    host.paths.generations.mkdir(parents=True)
    before = Generation(Parts(*EVERY), "a", {})
    generations.stage(host, before, {})
    monkeypatch.setattr(kinds, "ALL", (*kinds.ALL, NewPart))
    found = generations.load(host, before.name)
    assert found is not None and found.parts == Parts(*EVERY, NewPart()) and found.name == before.name


@pytest.mark.parametrize("kind", [SettingsPart, CertificatePart, RegistryPart, NginxPart], ids=lambda kind: kind.NAME)
def test_a_part_that_every_version_had_is_not_left_out(kind: type[Part]) -> None:
    absent = generations.ABSENT
    with pytest.raises(LookupError):
        kind.restored({}, (), absent["facts"])


def test_what_a_part_raises_is_its_problem() -> None:
    def refuse() -> Reading[Part]:
        raise BadInput([])

    assert guarded(Path("/x"), refuse).part is None
    with pytest.raises(KeyboardInterrupt):
        guarded(Path("/x"), lambda: (_ for _ in ()).throw(KeyboardInterrupt))
