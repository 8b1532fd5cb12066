"""What a manifest names: every digest that must be there for it to be whole.

Read are image manifests and indexes of OCI and Docker (OCI image-spec, manifest.md and image-index.md; distribution,
manifest/schema2 and manifestlist), artifacts, and those of Docker's first schema, which name layers only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from secreg_host.base import utf8
from secreg_host.images.layout import DIGEST

LARGEST = 4 * 1024 * 1024
"""Bytes of a manifest at the most (distribution, maxPayloadSize)."""

FOREIGN = re.compile(r"application/vnd\.(docker\.image\.rootfs\.foreign|oci\.image\.layer\.).*")
"""Types of layers that registries need not have where these have urls: clients fetch them from elsewhere (distribution,
registry/storage/ocimanifesthandler.go)."""

IMAGE = re.compile(r"application/vnd\.(docker\.container\.image\.v1|oci\.image\.config\.v1)\+json|None")
"""Types of configurations of images; no type is that of an old one."""

MOST = 1 << 53
"""Bytes that nothing has."""

REFERRERS = re.compile(r"(sha256|sha512)-([0-9a-f]{64})(?:\.[a-z]+)?")
"""Tags of what refers to a manifest, where no referrers API is (OCI distribution-spec; cosign's .sig, .att, .sbom): its
digest, cut after so many digits."""


class Unreadable(Exception):
    """Bytes that are no manifest, and why."""


@dataclass(frozen=True)
class Manifest:
    """What a manifest names.

    blobs: config and layers that a registry has; children: manifests of an index; foreign: layers that it need not
    have; subject: the manifest that it is about ("": none), which need not be there.
    """

    media_type: str = ""
    blobs: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    subject: str = ""


@dataclass(frozen=True)
class Described:
    """What a manifest says of itself for people. manifest: what it names; sizes: bytes of each digest that it names, as
    it says; platforms: of its children, each as OS/ARCHITECTURE ("": it does not say); config: its configuration
    ("": none); kind: what it is, where it is no image (artifactType, or the type of its configuration)."""

    manifest: Manifest
    sizes: Mapping[str, int]
    platforms: Mapping[str, str]
    config: str = ""
    kind: str = ""


def read(data: bytes) -> Manifest:
    """The manifest in `data`. Raises Unreadable."""
    return _manifest(_content(data))


def described(data: bytes) -> Described:
    """The manifest in `data`, with what it says besides. Raises Unreadable."""
    content = _content(data)
    config = content.get("config")
    config = config if isinstance(config, dict) else {}
    found = _manifest(content)  # what stands in these lists are objects, each with a digest, or this raises
    children = list(_objects(content, "manifests"))
    named = [config, *children, *_objects(content, "layers"), *_objects(content, "blobs")]
    kind = content.get("artifactType") or ("" if IMAGE.fullmatch(str(config.get("mediaType"))) else config["mediaType"])
    return Described(
        found,
        {str(one.get("digest")): _size(one.get("size")) for one in named},
        {one["digest"]: platform(one.get("platform")) for one in children},
        str(config.get("digest") or ""),
        str(kind),
    )


def platform(said: object) -> str:
    """OS/ARCHITECTURE[/VARIANT], as a descriptor or a configuration says it; "": it does not, or it is said that there
    is none, as buildx does of attestations."""
    if not isinstance(said, dict):
        return ""
    words = [said.get(key) for key in ("os", "architecture", "variant")]
    found = [word for word in words if isinstance(word, str) and word]
    return "/".join(found) if isinstance(words[1], str) and "unknown" not in found else ""


def config_platform(data: bytes) -> str:
    """The platform that the configuration in `data` says."""
    try:
        return platform(json.loads(utf8.shown(data)))
    except (ValueError, RecursionError):
        return ""


def _size(said: object) -> int:
    return int(said) if isinstance(said, int | float) and 0 <= said < MOST else 0


def _content(data: bytes) -> Mapping[str, Any]:
    if len(data) > LARGEST:
        raise Unreadable(f"it has more than {LARGEST} bytes")
    try:
        content = json.loads(utf8.shown(data), parse_int=float)  # as lax as the registry, which took it
    except (ValueError, RecursionError):
        raise Unreadable("it is no JSON") from None
    if not isinstance(content, dict):
        raise Unreadable("it is no object")
    return content


def _manifest(content: Mapping[str, Any]) -> Manifest:
    layers = list(_descriptors(content, "layers")) + list(_descriptors(content, "blobs"))
    config = [_descriptor(content["config"])] if isinstance(content.get("config"), dict) else []
    children = list(_descriptors(content, "manifests"))
    oldest = [_digest(one.get("blobSum")) for one in _objects(content, "fsLayers")]
    if not (layers or config or children or oldest or {"layers", "manifests", "blobs"} & content.keys()):
        raise Unreadable("it names neither layers nor manifests")
    foreign = {digest for digest, one in layers if _is_foreign(one)}
    subject = content.get("subject")
    return Manifest(
        media_type=str(content.get("mediaType") or ""),
        blobs=_unique([digest for digest, _ in config + layers if digest not in foreign] + oldest),
        children=_unique([digest for digest, _ in children]),
        foreign=_unique([digest for digest, _ in layers if digest in foreign]),
        subject=_digest(subject.get("digest"), lax=True) if isinstance(subject, dict) else "",
    )


def cut(digest: str) -> str:
    """`digest` with as many digits as tags of what refers to it say."""
    algorithm, _, value = digest.partition(":")
    return f"{algorithm}:{value[:64]}"


def refers(tag: str, digest: str) -> bool:
    """Whether what is tagged `tag` refers to the manifest `digest`."""
    found = REFERRERS.fullmatch(tag)
    algorithm, _, value = digest.partition(":")
    return found is not None and found[1] == algorithm and value.startswith(found[2])


def _is_foreign(descriptor: Mapping[str, Any]) -> bool:
    kind, urls = descriptor.get("mediaType"), descriptor.get("urls")
    return isinstance(kind, str) and bool(FOREIGN.fullmatch(kind)) and isinstance(urls, list) and bool(urls)


def _objects(content: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    found = content.get(key)
    for one in found if isinstance(found, list) else []:
        if not isinstance(one, dict):
            raise Unreadable(f"what stands in {key} is no object")
        yield one


def _descriptors(content: Mapping[str, Any], key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return (_descriptor(one) for one in _objects(content, key))


def _descriptor(one: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    return _digest(one.get("digest")), one


def _digest(said: object, *, lax: bool = False) -> str:
    """The digest that is `said`. Raises Unreadable for what is none; lax: that is ""."""
    if isinstance(said, str) and DIGEST.fullmatch(said):
        return said
    if not lax:
        raise Unreadable("it names what is no digest")
    return ""


def _unique(digests: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(digests))
