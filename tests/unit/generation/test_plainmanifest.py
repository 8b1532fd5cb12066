"""What is taken for a manifest that is written as most are: its type must be what any reader of JSON finds."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secreg_host.generation import plainmanifest
from secreg_host.generation.plainmanifest import IMAGES, INDEXES
from tests import oddmanifests

PATTERNS = {IMAGES[-1]: re.compile(plainmanifest.IMAGE), INDEXES[-1]: re.compile(plainmanifest.INDEX)}
TYPES = (*IMAGES, *INDEXES)


def found(text: str) -> str | None:
    """The type that the script finds."""
    return next((match[1] or usual for usual, pattern in PATTERNS.items() if (match := pattern.search(text))), None)


def descriptor(kind: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": kind, "size": 5, "digest": "sha256:" + "0" * 64, **more}


ATTESTED = {"annotations": {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"}}
IMAGE: dict[str, Any] = {
    "config": descriptor("a/config"),
    "layers": [descriptor("a/layer"), descriptor("a/b", urls=["https://a/b", "c"]), descriptor("a/b", **ATTESTED)],
}
WINDOWS = {"architecture": "amd64", "os": "windows", "os.version": "10.0", "os.features": ["win32k"]}
INDEX: dict[str, Any] = {
    "manifests": [
        descriptor(IMAGES[0], platform={"architecture": "arm", "os": "linux", "variant": "v7"}),
        descriptor(IMAGES[1], platform=WINDOWS, **ATTESTED),
    ]
}
ARTIFACT = {"subject": descriptor("a/b", artifactType="a/b")}
TITLE = {"annotations": {"org.opencontainers.image.title": 'größer & "breiter"\n', "a": "\\/\x7f", "ü": ""}}


@pytest.mark.parametrize(
    "write", [{"indent": 3}, {"indent": 2, "ensure_ascii": False}, {"separators": (",", ":")}], ids=str
)
@pytest.mark.parametrize("kind", [*TYPES, None])
@pytest.mark.parametrize("more", [{}, TITLE, ARTIFACT, ARTIFACT | TITLE], ids=lambda more: "+".join(more))
@pytest.mark.parametrize("parts", [IMAGE, IMAGE | {"layers": []}, INDEX, {"manifests": []}])
def test_what_common_programs_write_is_plain(
    parts: dict[str, Any], more: dict[str, Any], kind: str | None, write: dict[str, Any]
) -> None:
    """As docker, buildkit and podman do; and neither an image nor an index is the other."""
    whole = {"schemaVersion": 2, "mediaType": kind, "artifactType": "a/b" if more else None, **parts, **more}
    text = json.dumps({key: value for key, value in whole.items() if value is not None}, **write)
    types = INDEXES if "manifests" in parts else IMAGES
    assert found(text) == (types[-1] if kind is None else kind if kind in types else None)


class Object(list[tuple[str, Any]]):
    """The pairs of an object: a key may be there twice."""


Check = Callable[[Any], bool]


def objects(rest: Check | None = None, **of: Check) -> Check:
    """Whether a value is an object of these keys, each with a value that is right; `rest`: of any others."""

    def check(value: Any) -> bool:
        return isinstance(value, Object) and all((of.get(key) or rest or no)(one) for key, one in value)

    return check


def lists(of: Check) -> Check:
    return lambda value: type(value) is list and all(map(of, value))


def no(value: Any) -> bool:
    return False


def text(value: Any) -> bool:
    return isinstance(value, str)


def number(value: Any) -> bool:
    return type(value) is int and value < 2**63


ANNOTATIONS = objects(text)
PLATFORM = objects(text, **{"os.features": lists(text), "features": lists(text)})
DESCRIPTOR = objects(text, size=number, platform=PLATFORM, urls=lists(text), annotations=ANNOTATIONS)
COMMON: dict[str, Check] = {"artifactType": text, "subject": DESCRIPTOR, "annotations": ANNOTATIONS}
TYPED: dict[tuple[str, ...], dict[str, Check]] = {
    IMAGES: {"config": DESCRIPTOR, "layers": lists(DESCRIPTOR)},
    INDEXES: {"manifests": lists(DESCRIPTOR)},
}


def truly(written: str) -> str | None:
    """The type that is found, if any: at the top, all keys are known and each is there once; each value is what
    distribution takes for it, so that it finds no other type."""
    if (kind := found(written)) is not None:
        types = IMAGES if kind in IMAGES else INDEXES
        whole = json.loads(written, object_pairs_hook=Object)
        keys = [key for key, _ in whole]
        assert sorted({*keys}) == sorted(keys)
        assert {*keys} >= {"schemaVersion", *TYPED[types]}
        assert dict(whole).get("mediaType", types[-1]) == kind
        assert objects(schemaVersion=lambda one: number(one) and one == 2, mediaType=text, **COMMON, **TYPED[types])(
            whole
        )
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


MANY = ['"annotations":{' + '"":"",' * 2000, '"size":1,' * 2000, '"platform":{"os.features":[' + '"",' * 3000]


@pytest.mark.parametrize("many", ["[" * 3000, '{"size" ' + " " * 9000, '"' * 3000, *("{" + one for one in MANY)])
@pytest.mark.parametrize(
    "first", ['"mediaType":"a/b"', '"annotations":{"a":"' + "\\u0020" * 2000, "", '"a":"' + " " * 9000]
)
def test_what_is_not_plain_ends_soon(first: str, many: str) -> None:
    """No text has many ways to match."""
    begin = time.perf_counter()
    for kind in ("config", "manifests"):
        for begins in (
            f'{{"schemaVersion":2,"{kind}":',
            f'{{"schemaVersion":2,"{kind}":[{{"size":1}},',
            '{"schemaVersion":2,',
        ):
            assert not found(f"{begins}{many}]")
            assert not found(f"{begins}{first}{many}]")
    assert time.perf_counter() - begin < 1
