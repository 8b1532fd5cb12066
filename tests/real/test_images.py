"""Images are looked at, tagged, deleted, brought back and mended while a real registry serves them over TLS."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from secreg_host.images.layout import Repository, Tree
from tests.real.conftest import new_instance
from tests.real.program import Instance

KIND = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture
def started(program: Path) -> Iterator[Instance]:
    with new_instance(program, Instance) as found:
        found.start()
        yield found


def blob(instance: Instance, name: str, data: bytes) -> dict[str, Any]:
    begun = instance.ask(f"/v2/{name}/blobs/uploads/", "POST", "docker")
    place, digest = urlsplit(begun.headers["Location"]), f"sha256:{hashlib.sha256(data).hexdigest()}"
    done = instance.ask(f"{place.path}?{place.query}&digest={digest}", "PUT", "docker", body=data)
    assert done.status == 201, done
    return {"mediaType": "x/y", "size": len(data), "digest": digest}


def push(instance: Instance, name: str, tag: str, words: bytes) -> str:
    """An image; its digest."""
    parts = [blob(instance, name, data) for data in (b"{}", words)]
    body = json.dumps({"schemaVersion": 2, "mediaType": KIND, "config": parts[0], "layers": parts[1:]}).encode()
    path, headers = f"/v2/{name}/manifests/{tag}", {"Content-Type": KIND}
    assert instance.ask(path, "PUT", "docker", body=body, headers=headers).status == 201
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def status(instance: Instance, name: str, reference: str) -> int:
    return instance.ask(f"/v2/{name}/manifests/{reference}", "GET", "docker", headers={"Accept": KIND}).status


def catalog(instance: Instance) -> list[str]:
    return list(instance.ask("/v2/_catalog", "GET", "docker").json["repositories"])


def images(instance: Instance, *words: str, code: int = 0) -> str:
    done = instance.run("images", *words)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return done.stdout + done.stderr


@pytest.mark.promise("deleted-comes-back", "one-more-tag")
def test_the_registry_gives_out_what_is_tagged_deleted_and_brought_back(started: Instance) -> None:
    one, two = push(started, "team/app", "1", b"one"), push(started, "team/app", "2", b"two")
    push(started, "other", "1", b"other")
    assert f"team/app:stable is {one}" in images(started, "tag", "team/app:1", "stable")
    assert status(started, "team/app", "stable") == 200
    images(started, "rm", "team/app:1", "--yes")
    assert (status(started, "team/app", "1"), status(started, "team/app", one)) == (404, 200)
    images(started, "undelete", "team/app:1")
    assert status(started, "team/app", "1") == 200
    images(started, "rm", f"team/app@{one}", "--yes")
    assert status(started, "team/app", one) == 404 and catalog(started) == ["other", "team/app"]
    images(started, "rm", f"team/app@{two}", "--yes")
    assert catalog(started) == ["other"], "the last one went"
    images(started, "undelete", "team/app")
    assert [status(started, "team/app", tag) for tag in ("1", "2", "stable")] == [200, 200, 200]
    assert catalog(started) == ["other", "team/app"]
    images(started, "rm", "--all", "team/app", "--yes")
    assert catalog(started) == ["other"]
    push(started, "team/app", "1", b"one")
    assert status(started, "team/app", "1") == 200 and images(started, "check", "--read-data").startswith("whole: ")


@pytest.mark.promise("emptied-links-are-mended")
def test_what_the_registry_can_not_give_out_any_more_is_mended(started: Instance) -> None:
    """Links that a full disk emptied. Seen red: without those of blobs and manifests."""
    digest = push(started, "team/app", "1", b"one")
    one = Repository(Tree(started.lib / "storage"), "team/app")
    for link in (one.layer(f"sha256:{hashlib.sha256(b'one').hexdigest()}"), one.revision(digest), one.current("1")):
        Path(link).write_text("")
    assert status(started, "team/app", "1") != 200 and status(started, "team/app", digest) != 200
    images(started, "check", code=3)
    said = images(started, "check", "--repair")
    assert said.count("mended: ") == 3 and "whole: " in said
    assert status(started, "team/app", "1") == status(started, "team/app", digest) == 200
