"""What serves knows its store: what is made, tried and told while that is away."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from secreg_host.apply import apply, store
from secreg_host.apply.report import Report
from secreg_host.base.errors import SecregError
from secreg_host.base.snapshot import Snapshot
from secreg_host.generation import generations
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host
from secreg_host.images import marker
from secreg_host.images.marker import Store
from secreg_host.wanted.parts.part import Context, Parts, Reading
from secreg_host.wanted.parts.registry import RegistryPart
from tests import made
from tests.world import World

YML = "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {root}}}}}\n"


def read(host: Host, root: Path, known: RegistryPart | None = None, more: str = "") -> Reading[RegistryPart]:
    """The part of a docker-registry.yml with this `root`, while `known` serves."""
    host.paths.etc.mkdir(parents=True, exist_ok=True)
    host.paths.registry_yml.write_text(YML.format(root=root) + more)
    settings = made.settings(registry_binary="/usr/bin/registry")
    parts = Parts(*([known] if known else []))
    context = Context(host, Snapshot(host.paths), datetime.now(UTC), Parts(settings), parts)
    return RegistryPart.read(context)


def served(host: Host, root: Path) -> RegistryPart:
    part = read(host, root).part
    assert part is not None
    return part


def test_a_store_that_is_away_is_not_made_anew(host: Host, tmp_path: Path) -> None:
    root = tmp_path / "disk/images"
    part = served(host, root)
    assert part.store.id and [path.name for path in root.iterdir()] == [part.store.name]
    assert read(host, root, part).part == part, "nothing changed"

    root.rename(tmp_path / "aside")
    for more in ("", "# edited\n"):
        found = read(host, root, part, more)
        assert found.part is None and not root.exists()
        assert "setup --new-store" in found.problems[0].hint and str(root) in found.problems[0].what
    elsewhere = read(host, tmp_path / "new", part).part
    assert elsewhere is not None and elsewhere.store.id not in ("", part.store.id), (
        "another rootdirectory is one's wish"
    )

    link = tmp_path / "link"
    link.symlink_to(tmp_path / "aside")
    moved = read(host, link, part).part
    assert moved is not None and moved.store == part.store
    link.unlink()
    link.symlink_to(tmp_path / "empty")
    assert read(host, link, moved).part is None and not (tmp_path / "empty").exists()
    assert read(host, tmp_path / "aside", moved).part is not None, "the same by its own name"
    (tmp_path / "aside").rename(tmp_path / "away")
    assert read(host, tmp_path / "aside", moved).part is None


def test_another_store_with_images_is_told_once(host: Host, tmp_path: Path) -> None:
    root = tmp_path / "images"
    part = served(host, root)
    (root / part.store.name).unlink()
    (root / f".secure-registry-store-{'1' * 32}").touch()
    (root / "docker/registry/v2/blobs/sha256/ab").mkdir(parents=True)
    found = read(host, root, part)
    assert found.part is not None and found.part.store.id == "1" * 32
    assert "another store" in found.warnings[0].what
    assert read(host, root, found.part).warnings == ()
    assert not found.part.runs_as(part), "what runs may still see the one before"


def test_a_registry_that_only_reads_gets_no_marker(host: Host, tmp_path: Path) -> None:
    readonly = "  maintenance: {readonly: {enabled: true}}\n"
    host.paths.etc.mkdir(parents=True)
    root = tmp_path / "images"
    host.paths.registry_yml.write_text(f"version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {root}}}\n{readonly}")
    settings = made.settings(registry_binary="/usr/bin/registry")
    context = Context(host, Snapshot(host.paths), datetime.now(UTC), Parts(settings), Parts())
    part = RegistryPart.read(context).part
    assert part is not None and part.readonly and part.store.id == "" and list(root.iterdir()) == []


def test_a_store_that_is_away(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "images"
    part = served(host, root)
    generation = Generation(Parts(made.settings(), part), "a", {})
    assert store.away(generation) == ()
    (root / part.store.name).unlink()
    (away,) = store.away(generation)
    assert away.where == part.place and "it is empty" in away.what
    root.rmdir()
    assert store.away(generation)
    assert store.away(Generation(Parts(made.settings(), RegistryPart(root=None)), "a", {})) == ()

    def silent(place: str) -> None:
        raise SecregError(f"{place} does not answer", "see to it")

    monkeypatch.setattr(marker, "look", silent)
    assert store.away(generation) == (), "what does not answer is not taken as lost: it may just be slow"


def test_a_forgotten_store(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The generation that serves is another one, which serves the same."""
    part = RegistryPart(root="/srv/images", store=Store("1" * 32, "/srv"))
    before = Generation(Parts(made.settings(), part), "a", {"front/x": b"y"})
    monkeypatch.setattr(store.assemble, "assemble", lambda _, parts, slot: Generation(parts, slot, before.rendered))
    monkeypatch.setattr(store.assemble, "generation_conf", lambda _: {})
    found = store.forget(host, before)
    assert found.parts[RegistryPart].store == marker.ANY and found.name != before.name and found.slot == "a"
    assert generations.current_name(host) == generations.proven_name(host) == found.name


def test_another_store_is_a_change_of_the_registry_alone(world: World) -> None:
    """Seen: "the changes serve: users, certificate, nginx, registry, settings"."""
    old = world.serving(made.parts(made.registry(root="/srv/images", store=Store("one"))))
    forgotten = store.forget(world.host, old)
    new = world.staged(old.parts.having(made.registry(root="/srv/images", store=Store("two"))))
    before = Report(generation=old.name, since=1.0, users="digest")
    changes = apply._changes(new, forgotten, "digest", before, 2.0)
    assert {name for name, at in changes.items() if at == 2.0} == {"registry"}
    assert set(apply._changes(new, world.staged(made.parts()), "digest", before, 2.0).values()) == {2.0}
