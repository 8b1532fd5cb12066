"""Images beside those that serve, and how they take their place: old ones or new ones, whatever happens."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from secreg_host.base.errors import BadInput, SecregError
from secreg_host.host.host import Host
from secreg_host.images import marker, site
from secreg_host.images.site import Found, Site
from tests.stores import Store

NAME, MARKER = "20261130T051500Z", f"{marker.PREFIX}{'a' * 32}"


@pytest.fixture
def store(host: Host) -> Store:
    """A store that serves."""
    host.paths.storage.mkdir(parents=True)
    found = Store(host.paths.storage)
    found.push("old", "one", "1")
    (host.paths.storage / MARKER).write_bytes(marker.TEXT)
    return found


@pytest.fixture
def built(host: Host, store: Store) -> Site:
    """Other images, which are put together beside."""
    found = site.begin(host, site.known(host.paths, NAME, host.paths.storage, "sha256:x"))
    other = Store(host.paths.lib / "other")
    other.push("new", "two", "1")
    shutil.copytree(other.tree.root / "docker/registry", found.path / "registry")
    return found


def names(host: Host) -> list[str]:
    return sorted(path.name for path in host.paths.storage.iterdir())


def tags(path: Path) -> list[str]:
    return sorted(one.name for one in (path / "registry/v2/repositories").iterdir())


@pytest.mark.promise("restore-loses-nothing")
def test_it_takes_the_place_of_what_serves(host: Host, built: Site) -> None:
    storage = host.paths.storage
    assert site.place(host, built) == storage / f"docker.{NAME}"
    assert names(host) == [MARKER, "docker", f"docker.{NAME}"]
    assert tags(storage / "docker") == ["new"] and tags(storage / f"docker.{NAME}") == ["old"]
    assert site.look(host, built) == Found(placed=True)
    site.done(host, built)
    assert not (storage / "docker" / site.MARK).exists() and not (host.paths.state / "restore.json").exists()
    assert site.look(host, built) == Found()
    site.done(host, built)


def test_what_is_aside_is_never_written_over(host: Host, built: Site) -> None:
    (host.paths.storage / f"docker.{NAME}").mkdir()
    assert site.place(host, built) == host.paths.storage / f"docker.{NAME}-2"


def test_a_registry_that_never_stored_anything_leaves_nothing_aside(host: Host, built: Site) -> None:
    shutil.rmtree(host.paths.storage / "docker")
    (host.paths.storage / "docker/registry/v2/repositories/x").mkdir(parents=True)
    assert site.place(host, built) is None
    assert names(host) == [MARKER, "docker"] and tags(host.paths.storage / "docker") == ["new"]


@pytest.mark.promise("restore-loses-nothing")
def test_what_fails_leaves_what_serves_where_it_is(host: Host, built: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen red: without the way back, nothing was in its place."""
    real = Path.rename

    def rename(path: Path, target: str) -> Path:
        if path.name == built.folder:
            raise OSError(5, "Input/output error", str(path))
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(SecregError, match="Input/output error"):
        site.place(host, built)
    assert names(host) == [MARKER, "docker", built.folder] and tags(host.paths.storage / "docker") == ["old"]


@pytest.mark.promise("restore-loses-nothing")
def test_one_that_is_killed_between_the_renames_is_finished(
    host: Host, built: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then nothing empty serves, for the marker is away. Seen red: a registry without images would have."""
    storage, real = host.paths.storage, Path.rename
    before = marker.Store("a" * 32, marker.look(str(storage)).base)

    def rename(path: Path, target: str) -> Path:
        done = real(path, target)
        if path.name == "docker":
            os.kill(os.getpid(), 9)
        return done

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        with pytest.raises(SecregError, match="was ended"):
            site.place(host, built)
    assert names(host) == [f"docker.{NAME}", built.folder] and tags(storage / f"docker.{NAME}") == ["old"]
    assert marker.lost(before, marker.look(str(storage))), "it does not serve"
    assert site.unplaced(host, storage) == NAME
    site.finish(host)
    assert names(host) == ["docker", f"docker.{NAME}"] and tags(storage / "docker") == ["new"]
    assert site.look(host, built).placed and not marker.lost(before, marker.look(str(storage)))
    site.finish(host)
    assert site.unplaced(host, storage) == ""


def test_what_is_only_half_there_is_not_put_in_its_place(host: Host, built: Site) -> None:
    shutil.rmtree(host.paths.storage / "docker")
    site.finish(host)
    assert names(host) == [MARKER, built.folder]


@pytest.mark.promise("restore-loses-nothing")
def test_what_nobody_here_has_begun_is_not_gone_on_with(host: Host, built: Site) -> None:
    """Seen red: what was called so was taken for ours, with all that was in it."""
    assert site.look(host, built) == Found(begun=True)
    again = site.known(host.paths, NAME, host.paths.storage, "sha256:x")
    assert again == built and site.begin(host, again) == built
    for other in (("20261130T061500Z", "sha256:x"), (NAME, "sha256:y")):
        assert site.known(host.paths, other[0], host.paths.storage, other[1]).id == ""
    stranger = site.known(host.paths, NAME, host.paths.storage, "sha256:y")
    with pytest.raises(BadInput, match="no restore of this backup") as caught:
        site.look(host, stranger)
    assert f"rm -rf {built.path}" in caught.value.hint
    shutil.rmtree(built.path / "registry")
    assert site.look(host, stranger) == Found(), "nothing is in it"
    assert site.begin(host, stranger).id not in ("", built.id)


def test_what_was_given_up_is_named(host: Host, built: Site) -> None:
    other = site.known(host.paths, "20261130T061500Z", host.paths.storage, "sha256:x")
    assert site.look(host, other).others == (built.folder,)
    assert site.look(host, Site(NAME, host.paths.lib / "nowhere", "")) == Found()


def test_a_link_is_no_mark(host: Host, built: Site) -> None:
    mark = built.path / site.MARK
    mark.rename(built.images / "id")
    mark.symlink_to(built.images / "id")
    with pytest.raises(BadInput):
        site.look(host, built)
