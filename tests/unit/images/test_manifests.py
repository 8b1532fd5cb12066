"""What manifests name: all that must be there for an image to be whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secreg_host.images import manifests
from secreg_host.images.manifests import Manifest, Unreadable

A, B, C, D = ("sha256:" + character * 64 for character in "abcd")
LAYER, DOCKER, FOREIGN = (
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
)


def descriptor(digest: str, **more: object) -> dict[str, Any]:
    return {"digest": digest, "size": 1, "mediaType": LAYER, **more}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (
            {"mediaType": "m", "config": descriptor(A), "layers": [descriptor(B), descriptor(B), descriptor(C)]},
            Manifest("m", (A, B, C)),
        ),
        ({"config": descriptor(A), "layers": []}, Manifest("", (A,))),
        ({"manifests": [descriptor(B), descriptor(A)]}, Manifest(children=(B, A))),
        ({"manifests": []}, Manifest()),
        (
            {"config": descriptor(A), "layers": [descriptor(B)], "subject": descriptor(D)},
            Manifest("", (A, B), subject=D),
        ),
        ({"manifests": [descriptor(B)], "subject": descriptor(D)}, Manifest(children=(B,), subject=D)),
        (
            {"config": descriptor(A), "layers": [descriptor(B, mediaType=FOREIGN, urls=["https://x"]), descriptor(C)]},
            Manifest("", (A, C), foreign=(B,)),
        ),
        ({"layers": [descriptor(B, mediaType=FOREIGN)]}, Manifest("", (B,))),  # it is nowhere else
        ({"layers": [descriptor(B, urls=["https://x"])]}, Manifest(foreign=(B,))),
        ({"layers": [descriptor(B, mediaType=DOCKER, urls=["https://x"])]}, Manifest("", (B,))),
        ({"layers": [descriptor(B)], "subject": {"digest": "x"}}, Manifest("", (B,))),  # seen red: all was unreadable
        ({"blobs": [descriptor(A)], "subject": descriptor(B)}, Manifest("", (A,), subject=B)),  # an artifact
        ({"fsLayers": [{"blobSum": A}, {"blobSum": B}, {"blobSum": A}]}, Manifest("", (A, B))),
    ],
)
def test_what_is_named(content: dict[str, Any], found: Manifest) -> None:
    assert manifests.read(json.dumps(content).encode()) == found


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"layers":',
        b"\xff{}",
        b"[" * 100_000,
        b'{"layers": ["x"]}',
        b'{"layers": [{}]}',
        b'{"layers": [{"digest": 7}]}',
        b'{"layers": [{"digest": "sha256:00"}]}',
        b'{"layers": [{"digest": "../../etc/shadow"}]}',
        b'{"manifests": [{"digest": "md5:%s"}]}' % (b"0" * 32),
        b" " * (manifests.LARGEST + 1),
    ],
    ids=lambda data: repr(data[:30]),
)
def test_what_is_no_manifest(data: bytes) -> None:
    with pytest.raises(Unreadable):
        manifests.read(data)


@pytest.mark.parametrize(
    ("tag", "digest", "refers"),
    [
        (A.replace(":", "-"), A, True),
        (A.replace(":", "-"), B, False),
        (f"{A.replace(':', '-')}.sig", A, True),
        (f"{A.replace(':', '-')}.att", A, True),
        (f"sha512-{'5' * 64}", f"sha512:{'5' * 64}{'6' * 64}", True),  # a tag has no room for all of it
        (f"sha512-{'5' * 64}", f"sha512:{'6' * 128}", False),
        (f"sha256-{'5' * 64}", f"sha512:{'5' * 128}", False),
        ("sha256-abc", A, False),
        (f"x{A.replace(':', '-')}", A, False),
        ("latest", A, False),
    ],
)
def test_what_a_tag_refers_to(tag: str, digest: str, refers: bool) -> None:
    assert manifests.refers(tag, digest) == refers


@pytest.mark.parametrize(
    "data",
    [
        b'{"layers": [{"digest": "%s", "size": %s}]}' % (A.encode(), b"9" * 5000),
        b'{"layers": [{"digest": "%s", "annotations": {"who": "J\xf6rg"}}]}' % A.encode(),
        b'\n {"layers": [{"digest": "%s"}], "subject": 7}' % A.encode(),
        b'{"layers": [{"digest": "%s"}], "subject": {"digest": {}}, "config": null}' % A.encode(),
    ],
    ids=["huge", "latin", "subject", "none"],
)
def test_what_the_registry_takes_is_read(data: bytes) -> None:
    """Seen red: numbers of many digits, and bytes that are no UTF-8, were no JSON."""
    assert manifests.read(data) == Manifest("", (A,))


def test_what_is_said_for_people() -> None:
    platform = {"os": "linux", "architecture": "arm", "variant": "v7"}
    children = [descriptor(A, platform=platform), descriptor(B, size=7), descriptor(C, platform={"os": "x"})]
    found = manifests.described(json.dumps({"manifests": children}).encode())
    assert found.platforms == {A: "linux/arm/v7", B: "", C: ""} and found.sizes[B] == 7
    config = descriptor(A, mediaType="application/vnd.oci.image.config.v1+json")
    found = manifests.described(json.dumps({"config": config, "layers": [descriptor(B, size=-1)]}).encode())
    assert (found.config, found.kind, found.sizes[A], found.sizes[B]) == (A, "", 1, 0)
    found = manifests.described(json.dumps({"config": config, "layers": [], "artifactType": "sig"}).encode())
    assert found.kind == "sig"
    assert manifests.config_platform(b'{"os":"linux","architecture":"amd64"}') == "linux/amd64"
    assert [manifests.config_platform(data) for data in (b"", b"[]", b"{", b"[" * 99_999, b'{"os":1}')] == [""] * 5


WORDS = st.sampled_from(["manifests", "layers", "blobs", "config", "fsLayers", "digest", "size", "platform", "os"])
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from([A, B]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(WORDS | st.sampled_from(["mediaType", "artifactType", "subject"]), ODD, max_size=5))
def test_whatever_a_client_pushed_is_read_or_refused(content: dict[str, Any]) -> None:
    """The one is as lax as the other. Seen red: what is no list where one belongs was an AttributeError."""
    data = json.dumps(content).encode()
    try:
        expected = manifests.read(data)
    except Unreadable:
        with pytest.raises(Unreadable):
            manifests.described(data)
        return
    found = manifests.described(data)
    assert found.manifest == expected and all(size >= 0 for size in found.sizes.values())
