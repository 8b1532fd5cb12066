"""Images are seen, tagged, deleted, brought back and mended by commands, over a store that serves real clients."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.booted.registry import Registry
from tests.booted.test_gc import STORAGE, blobs, keeper, missing, owned, whole
from tests.hosts import docker

PAGE = Path(__file__).resolve().parents[2] / "docs/images.md"
TREE = f"{STORAGE}/docker/registry/v2"


def images(registry: Registry, *words: str, code: int = 0) -> str:
    done = registry.command("images", *words)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return done.stdout + done.stderr


def listed(registry: Registry, *words: str) -> dict[str, dict[str, Any]]:
    """By REPO:TAG."""
    return {f"{one['repository']}:{one['tag']}": one for one in json.loads(images(registry, "list", *words, "--json"))}


def catalog(registry: Registry) -> list[str]:
    return list(json.loads(registry.curl("/v2/_catalog", user="docker").stdout.rpartition("\n")[0])["repositories"])


def pushed(registry: Registry, name: str, *layers: tuple[int, int]) -> str:
    """A real image, pushed by docker; its address."""
    ref = f"127.0.0.1/{name}"
    docker.make_image(registry.machine, ref, list(layers) or [(300_000, 1)])
    assert docker.push(registry.machine, ref).returncode == 0
    docker.remove_image(registry.machine, ref)
    return ref


def pulls(registry: Registry, ref: str) -> bool:
    done = docker.pull(registry.machine, ref).returncode == 0
    if done:
        docker.remove_image(registry.machine, ref)
    return done


@pytest.mark.one_release(0)
@pytest.mark.promise("lines-to-type")
def test_what_the_page_tells_to_type(registry: Registry) -> None:
    """Each line of each block of commands of docs/images.md, in order."""
    assert registry.login().returncode == 0
    ref = pushed(registry, "team/app:1.0")
    blocks = re.findall(r"(?ms)^```(\w+)\n(.*?)^```$", PAGE.read_text())
    assert {kind for kind, _ in blocks} == {"sh"}
    for line in [line for _, block in blocks for line in block.splitlines()]:
        registry.machine.run("sh", "-c", line, timeout=120)
    assert {*listed(registry)} == {"team/app:1.0", "team/app:stable"} and pulls(registry, ref)
    owned(registry)


@pytest.mark.promise("deleted-comes-back", "what-is-needed-stays", "one-more-tag", "as-the-registrys-user")
def test_images_go_and_come_back(registry: Registry) -> None:
    """Multi-arch, attested, signed; by their tags, by their digests, in whole repositories."""
    assert registry.login().returncode == 0
    ref, kept = pushed(registry, "real/app:1", (2_000_000, 1), (500_000, 2)), keeper(registry, "push")
    found = listed(registry)
    assert found["keep/x:multi"]["platforms"] == ["linux/amd64", "linux/arm64"]
    digest = found["real/app:1"]["digest"]
    assert digest in images(registry, "show", "real/app:1") and "referrer" in images(registry, "show", "keep/x:signed")
    images(registry, "tag", "real/app:1", "stable")
    assert pulls(registry, "127.0.0.1/real/app:stable"), "it is an image like any other"
    assert "add --yes" in images(registry, "tag", "keep/x:multi", "signed", code=2)
    for said in ("real/app:1", "keep/x:multi"):
        images(registry, "rm", said, "--yes")
    assert not pulls(registry, ref) and pulls(registry, f"127.0.0.1/real/app@{digest}")
    child = next(one for name, one, _ in kept if one.startswith("sha256:"))
    assert "is a part of the image" in images(registry, "rm", f"keep/x@{child}", "--yes", code=1)
    images(registry, "undelete", "real/app:1")
    images(registry, "undelete", "keep/x:multi")
    assert pulls(registry, ref) and missing(registry, kept) == []
    assert "there is no such tag" in images(registry, "rm", "real/app:2", "--yes", code=1)
    images(registry, "rm", "real/app", code=2)
    owned(registry)
    whole(registry)


@pytest.mark.promise("deleted-comes-back", "what-is-in-the-trash-is-said")
def test_a_repository_leaves_the_catalog_and_its_space_comes_back(registry: Registry) -> None:
    """With its last image, and as a whole."""
    assert registry.login().returncode == 0
    ref = pushed(registry, "gone/app:1", (2_000_000, 1))
    pushed(registry, "stays/app:1", (300_000, 2))
    digest = listed(registry)["gone/app:1"]["digest"]
    for words, back in (((f"gone/app@{digest}",), "gone/app:1"), (("--all", "gone/app"), "gone/app")):
        images(registry, "rm", *words, "--yes")
        assert catalog(registry) == ["stays/app"] and not pulls(registry, ref)
        usage = json.loads(images(registry, "usage", "--json"))
        assert 1_900_000 < usage["trash"] <= usage["unnamed"]
        images(registry, "undelete", back)
        assert catalog(registry) == ["gone/app", "stays/app"] and pulls(registry, ref)
    images(registry, "rm", "--all", "gone/app", "--yes")
    before = blobs(registry)
    assert "freed: " in images(registry, "trash", "empty", "gone/app", "--yes")
    assert len(before - blobs(registry)) >= 2 and json.loads(images(registry, "usage", "--json"))["trash"] == 0
    assert pulls(registry, "127.0.0.1/stays/app:1")
    owned(registry)
    whole(registry)


@pytest.mark.promise("emptied-links-are-mended", "mends-without-doubt", "check-names-what-is-broken")
def test_what_a_full_disk_left_is_mended(registry: Registry) -> None:
    """Empty links, of every kind, and files of root's."""
    assert registry.login().returncode == 0
    ref, kept = pushed(registry, "real/app:1"), keeper(registry, "push")
    kinds = ("_layers/sha256", "_manifests/revisions", "_manifests/tags/*/current")
    for kind in kinds:
        registry.machine.run(
            "sh", "-c", f"for each in $(find {TREE}/repositories/*/*/{kind} -name link); do : >$each; done"
        )
    assert not pulls(registry, ref) and missing(registry, kept) != []
    assert "images check --repair" in images(registry, "check", code=3)
    said = images(registry, "check", "--repair")
    assert "real/app:1 is sha256:" in said and "\nwhole: " in said
    assert pulls(registry, ref) and missing(registry, kept) == []
    owned(registry)
    odd = f"{TREE}/repositories/real/app/_manifests/tags/1"
    registry.machine.run("chown", "-R", "root:root", odd)
    said = images(registry, "check", code=3)
    assert f"can't write {odd}: pushes fail" in said
    remedy = re.search(r"-> (chown .*?); then", said)
    assert remedy is not None
    registry.machine.run("sh", "-c", remedy[1])
    whole(registry)


def test_a_store_as_distribution_3_leaves_it(registry: Registry) -> None:
    """It writes beside and renames, so what it was killed at is beside: link.UUID.tmp, data.UUID.tmp."""
    kept = keeper(registry, "push")
    left = (
        f"for each in $(find {TREE} -name link -o -name data); do touch -d '2 hours ago' $each.{uuid.uuid4()}.tmp; done"
    )
    registry.machine.run("runuser", "-u", "secure-registry", "--", "sh", "-c", left)
    whole(registry)
    assert len(listed(registry)) >= 4
    assert registry.command("gc", "--grace", "0s").returncode == 0 and missing(registry, kept) == []
    images(registry, "rm", "--all", "keep/x", "--yes")
    assert catalog(registry) == []
    images(registry, "undelete", "keep/x")
    assert missing(registry, kept) == []
    owned(registry)
    whole(registry)
