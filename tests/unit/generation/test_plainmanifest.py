"""What is taken for a manifest that is written as most are: its type must be what any reader of JSON finds."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secreg_host.generation import plainmanifest
from secreg_host.generation.plainmanifest import IMAGES, INDEXES
from tests import oddmanifests

PATTERNS = (re.compile(plainmanifest.PLAIN_IMAGE), re.compile(plainmanifest.PLAIN_INDEX))
TYPES = (*IMAGES, *INDEXES)


def found(text: str) -> str | None:
    """The type that the script finds."""
    return next((match[1] for pattern in PATTERNS if (match := pattern.search(text))), None)


def descriptor(kind: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": kind, "size": 5, "digest": "sha256:" + "0" * 64, **more}


IMAGE: dict[str, Any] = {"config": descriptor("a/config"), "layers": [descriptor("a/layer") for _ in range(3)]}
ATTESTED = {"annotations": {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"}}
INDEX: dict[str, Any] = {
    "manifests": [
        descriptor(IMAGES[0], platform={"architecture": "arm", "os": "linux", "variant": "v7", "os.version": "1"}),
        descriptor(IMAGES[1], **ATTESTED, platform={"architecture": "unknown", "os": "unknown"}),
    ]
}


@pytest.mark.parametrize("indent", [None, 2, 3], ids=["podman", "buildkit", "docker"])
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("more", [{}, {"annotations": {"org.opencontainers.image.title": "größer"}}])
def test_what_common_programs_write_is_plain(kind: str, indent: int | None, more: dict[str, Any]) -> None:
    parts = {**(IMAGE if kind in IMAGES else INDEX), **more}
    if kind in IMAGES:
        parts["layers"] = [*parts["layers"], descriptor("application/vnd.in-toto+json", **ATTESTED)]
    text = json.dumps({"schemaVersion": 2, "mediaType": kind, **parts}, indent=indent, ensure_ascii=False)
    assert found(text) == kind
    assert found(json.dumps(json.loads(text), separators=(",", ":"))) == (kind if not more else None)


def typed(pairs: list[tuple[str, Any]]) -> bool:
    """Whether distribution's type of a descriptor takes these keys with these values."""
    texts = {"mediaType", "digest"}
    return all(
        isinstance(value, str) if key in texts else isinstance(value, int) if key == "size" else strings(value)
        for key, value in pairs
    )


def strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for _, one in value)


def truly(text: str) -> str | None:
    """The type that is found, if any: all keys are known, each stands there once and its value is what distribution
    takes for it, so that it finds no other type."""
    if (kind := found(text)) is not None:
        pairs = json.loads(text, object_pairs_hook=list)
        body = ["config", "layers"] if kind in IMAGES else ["manifests"]
        keys = [key for key, _ in pairs]
        assert keys in (whole := ["schemaVersion", "mediaType", *body], [*whole, "annotations"])
        assert [value for _, value in pairs[:2]] == [2, kind]
        for key, value in pairs[2:]:
            assert {"config": typed, "annotations": strings}.get(key, lambda many: all(map(typed, many)))(value)
    return kind


@pytest.mark.parametrize("read", [{"encoding": "latin-1"}, {"encoding": "utf-8", "errors": "replace"}], ids=str)
def test_the_type_of_a_plain_manifest_is_what_it_says(read: dict[str, str]) -> None:
    """Whether njs takes bytes or characters."""
    kinds = [truly(data.decode(**read)) for data in oddmanifests.texts()]
    assert {*kinds} == {*TYPES, None}
    assert kinds.count(None) > 400


BITS = [*'{}[]:,"\\ 0', '"mediaType"', *(f',"mediaType":"{kind}"' for kind in TYPES)]


@given(st.sampled_from([*oddmanifests.texts()]), st.data())
def test_nor_is_it_another_after_an_edit(text: bytes, data: st.DataObject) -> None:
    ends = [match.start() for match in re.finditer(rb'[{}\[\],:"]|$', text)]
    at, skip = data.draw(st.sampled_from(ends)), data.draw(st.integers(0, 2))
    truly((text[:at] + data.draw(st.sampled_from(BITS)).encode() + text[at + skip :]).decode("latin-1"))


@pytest.mark.parametrize("kind", [IMAGES[0], INDEXES[0]])
@pytest.mark.parametrize("of", ['{"a":"","a":""', '{"size":1', "[" * 3000, '{"size" ' + " " * 3000, '"' * 3000])
def test_what_is_not_plain_ends_soon(kind: str, of: str) -> None:
    """No text as long as one that is tried has many ways to match."""
    first = "config" if kind in IMAGES else "manifests"
    begins = f'{{"schemaVersion":2,"mediaType":"{kind}","{first}":'
    many = (
        '{"annotations":{' + '"":"",' * 2000,
        '{"size":1},"layers":[' + '{"size":1},' * 1500,
        "[" + '{"size":1},' * 1500,
    )
    begin = time.perf_counter()
    assert not any(found(begins + middle + "]") for middle in (of, *many))
    assert time.perf_counter() - begin < 1
