"""A store that is not there any more is never served, nor filled; all else is. Here a directory is moved away, in the
place of a disk that is not mounted."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.real.conftest import new_instance
from tests.real.program import NOBODY, Instance
from tests.real.test_life import children

MARKER = ".secure-registry-store-*"


def upload(instance: Instance, data: bytes) -> str:
    """The path of a blob with this `data`."""
    begun = instance.ask("/v2/some/blob/blobs/uploads/", "POST", "docker")
    assert begun.status == 202, begun
    place, digest = urlsplit(begun.headers["Location"]), f"sha256:{hashlib.sha256(data).hexdigest()}"
    done = instance.ask(f"{place.path}?{place.query}&digest={digest}", "PUT", "docker", body=data)
    assert done.status == 201, done
    return f"/v2/some/blob/blobs/{digest}"


def storage(instance: Instance) -> Path:
    return instance.lib / "storage"


def empty(instance: Instance) -> Path:
    """The store is moved away, and something empty is in its place; where it is now."""
    place, aside = storage(instance), instance.root / "aside"
    place.rename(aside)
    place.mkdir()
    if os.geteuid() == 0:
        os.chown(place, NOBODY, NOBODY)
    return aside


def back(instance: Instance, aside: Path) -> None:
    storage(instance).rmdir()  # nothing was put there
    aside.rename(storage(instance))


@pytest.fixture
def watched(program: Path) -> Iterator[Instance]:
    with new_instance(program, Instance) as found:
        found.start("--watch")
        yield found


def status_says(instance: Instance, text: str) -> bool:
    done = instance.run("status")
    return done.returncode == 3 and text in done.stdout


@pytest.mark.promise("store-away")
def test_a_store_that_goes_away_and_comes_back(watched: Instance) -> None:
    path = upload(watched, b"image")
    (marker,) = storage(watched).glob(MARKER)
    assert marker.stat().st_mode & 0o777 == 0o644
    assert watched.ask("/v2/_catalog", user="docker").json == {"repositories": ["some/blob"]}
    assert watched.ask(f"/v2/{marker.name}/tags/list", user="docker").status in (400, 404)

    aside = empty(watched)
    watched.wait_for("it is known", lambda: not children(watched, "registry serve"))
    watched.wait_for("it is told", lambda: status_says(watched, "setup --new-store"))
    assert "it is empty" in watched.run("status").stdout
    assert watched.ask("/v2/").status == 401 and watched.ask("/v2/", user="docker", password="wrong").status == 401
    assert watched.ask(path, user="docker").status in (502, 503)
    assert watched.run("htpasswd", "-b", str(watched.etc / ".htpasswd"), "bob", "secret").returncode == 0
    watched.wait_for("bob", lambda: watched.ask("/v2/", user="bob", password="secret").status in (502, 503))
    watched.edit("docker-registry.yml", "version: 0.1", "version: 0.1\n# edited")
    assert "not the store that served before" in watched.reload()
    assert list(storage(watched).iterdir()) == []

    back(watched, aside)
    watched.wait_for("it serves by itself", lambda: watched.ask(path, user="docker").body == b"image")
    watched.wait_for("nothing is held back", lambda: watched.run("status").returncode == 0)
    assert [one.name for one in storage(watched).glob(MARKER)] == [marker.name]

    # the same while nothing runs
    watched.stop()
    aside = empty(watched)
    done = watched.run("setup")
    assert done.returncode == 2 and "setup --new-store" in done.stderr, done
    watched.start("--watch")
    assert not children(watched, "registry serve") and watched.ask("/v2/").status == 401
    assert list(storage(watched).iterdir()) == []
    back(watched, aside)
    watched.wait_for("it serves by itself", lambda: watched.ask(path, user="docker").body == b"image")


def test_what_stands_in_the_place_of_the_marker(instance: Instance) -> None:
    """What runs serves on; what is not there is told by name, and what was put right serves."""
    instance.start()
    path = upload(instance, b"image")
    (marker,) = storage(instance).glob(MARKER)
    marker.unlink()
    os.mkfifo(marker)
    pids = children(instance, "registry serve")
    assert f"{marker}: rootdirectory" in instance.reload() and status_says(instance, f"touch {marker}")
    assert instance.ask(path, user="docker").body == b"image" and children(instance, "registry serve") == pids
    marker.unlink()
    marker.touch()
    assert "rejected" not in instance.reload() and instance.run("status").returncode == 0
    assert instance.ask(path, user="docker").body == b"image" and marker.stat().st_size == 0


@pytest.mark.promise("new-store")
def test_a_new_store_in_its_place(instance: Instance) -> None:
    instance.start()
    path = upload(instance, b"image")
    aside = empty(instance)
    said = instance.reload()
    assert "away: " in said and "rejected" not in said, said
    assert "the images are not in rootdirectory" in said and "setup --new-store" in said
    done = instance.run("setup", "--new-store")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the changes serve: registry\n"), done.stdout
    assert "away: " not in instance.reload()
    assert instance.ask(path, user="docker").status == 404 and instance.run("status").returncode == 0
    other = upload(instance, b"other")

    # now this one counts: another one with images is served, and told once; an empty one is not
    aside.rename(instance.root / "first")
    second = empty(instance)
    storage(instance).rmdir()
    (instance.root / "first").rename(storage(instance))
    assert "holds another store than the one that served" in instance.reload()
    assert instance.ask(path, user="docker").body == b"image" and instance.ask(other, user="docker").status == 404
    assert instance.reload().count("another store") == 0
    assert second.exists()


def test_images_without_a_marker_get_one_silently(instance: Instance) -> None:
    """Those of version 0.1, or moved in by hand."""
    instance.start()
    path = upload(instance, b"image")
    (marker,) = storage(instance).glob(MARKER)
    marker.unlink()
    assert "store" not in instance.reload()
    assert marker.exists() and instance.ask(path, user="docker").body == b"image"


def test_stores_that_are_not_marked(instance: Instance) -> None:
    instance.run("setup", PORT=str(instance.port))
    readonly = "  maintenance:\n    readonly:\n      enabled: true\n"
    before = instance.edit("docker-registry.yml", "  maintenance:\n", readonly)
    for path in storage(instance).glob(MARKER):
        path.unlink()
    instance.start()
    assert list(storage(instance).glob(MARKER)) == [] and instance.ask("/v2/", user="docker").status == 200
    instance.write("docker-registry.yml", before)
    instance.reload()
    assert len(list(storage(instance).glob(MARKER))) == 1
