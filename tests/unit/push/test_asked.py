"""What is asked is read for certain, or refused."""

from __future__ import annotations

import pytest

from secreg_host.base.errors import BadInput
from secreg_host.generation import behind
from secreg_host.generation.behind import Behind
from secreg_host.images.marker import Store
from secreg_host.images.targets import Target
from secreg_host.push import asked
from secreg_host.wanted.parts.registry import YML, RegistryPart
from tests.stores import digest_of

DIGEST = digest_of(b"x")
HERE = Behind("unix:/run/a b/registry.sock", "/srv/$images & more/ü", ".mark")
HEADERS = [(b"X-Secreg-Behind", HERE.said.encode()), (b"X-Secreg-User", b"alice"), (b"X-Real-IP", b"10.0.0.7")]


def codes(method: str, address: str, *more: tuple[bytes, bytes]) -> tuple[int, tuple[str, ...]]:
    with pytest.raises(asked.Refused) as refused:
        asked.read(method, address, [*HEADERS, *more])
    return refused.value.answer.status, refused.value.answer.codes


@pytest.mark.parametrize(
    "found",
    [HERE, Behind("10.0.0.1:5000"), Behind("unix:/a", "/b", readonly=True), Behind("unix:/a", "/b=c&d;%e", "")],
)
def test_what_is_behind_is_told_in_a_line(found: Behind) -> None:
    assert behind.heard(found.said) == found
    assert found.said.isascii() and not {*found.said} & {*' $"\n;'}, "the front has it in its configuration"
    assert behind.heard("") is behind.heard("store=%2Fsrv") is None


@pytest.mark.parametrize(
    ("part", "store"),
    [
        (RegistryPart(root="/srv/link", real="/data", store=Store("1" * 32, "/data")), "/data"),
        (RegistryPart(root=None), ""),
        (RegistryPart(root="/srv", files={YML: b"version: 0.1\nproxy:\n  remoteurl: https://x\n"}), ""),
        (RegistryPart(root="/srv", files={YML: b"version: 0.1\n# no proxy\n"}), "/srv"),
    ],
)
def test_whose_the_images_are(part: RegistryPart, store: str) -> None:
    found = behind.of("unix:/a", part)
    assert found.store == store and found.mark == (part.store.name if store else "")


def test_an_odd_proxy_is_told() -> None:
    with pytest.raises(BadInput):
        behind.of("unix:/a", RegistryPart(root="/srv", files={YML: b"proxy: ["}))


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("/v2/app/manifests/v1", ("app", "v1", "")),
        ("/v2/team/app/manifests/v1.2_3-4?tag=x", ("team/app", "v1.2_3-4", "tag=x")),
        (f"/v2/a/manifests/manifests/{DIGEST}", ("a/manifests", DIGEST, "")),
        ("/v2/team%2Fapp/%6danifests/v%31", ("team/app", "v1", "")),
        (f"/v2/app/manifests/{DIGEST.replace(':', '%3A')}", ("app", DIGEST, "")),
    ],
)
def test_addresses(address: str, found: tuple[str, str, str]) -> None:
    one = asked.read("PUT", address, HEADERS)
    assert (one.repository, one.reference, one.query) == found
    query = f"?{found[2]}" if found[2] else ""
    assert one.address_of(one.reference) == f"/v2/{found[0]}/manifests/{found[1]}{query}", "one way of writing it"
    assert (one.user, one.address, one.behind) == ("alice", "10.0.0.7", HERE)


def test_tags_and_digests() -> None:
    tag, by_digest = (asked.read("PUT", f"/v2/app/manifests/{one}", HEADERS) for one in ("v1", DIGEST))
    assert (tag.target, by_digest.target) == (Target("app", "v1"), Target("app", "", DIGEST))
    assert tag.with_body(b"x").digests == by_digest.with_body(b"x").digests == (DIGEST,)
    longer = f"sha512:{128 * '0'}"
    assert asked.read("PUT", f"/v2/app/manifests/{longer}", HEADERS).with_body(b"x").digests == (DIGEST, longer)


@pytest.mark.parametrize(
    ("address", "status", "code"),
    [
        ("/v2/App/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/app%2f/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/app%0a/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/a/../b/manifests/v1", 400, "NAME_INVALID"),
        (f"/v2/{256 * 'a'}/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/app/manifests/.v1", 400, "TAG_INVALID"),
        ("/v2/app/manifests/v1/x", 400, "TAG_INVALID"),
        ("/v2/app/manifests/v1%0a", 400, "TAG_INVALID"),
        (f"/v2/app/manifests/{129 * 'a'}", 400, "TAG_INVALID"),
        ("/v2/app/manifests/sha256:12", 400, "DIGEST_INVALID"),
        (f"/v2/app/manifests/md5:{64 * '0'}", 400, "DIGEST_INVALID"),
        ("/v2/app/manifests/%73ha256:12", 400, "DIGEST_INVALID"),
        ("/v2/app/blobs/v1", 404, "NAME_UNKNOWN"),
        ("/v2/app/manifests/", 404, "NAME_UNKNOWN"),
        ("/v2/app/manifests/v1?ü", 400, "UNSUPPORTED"),
    ],
)
@pytest.mark.promise("manifest-service-decides")
def test_what_can_not_be_read_is_refused(address: str, status: int, code: str) -> None:
    """Never passed on: the registry could read it in another way."""
    assert codes("PUT", address) == codes("DELETE", address) == (status, (code,))


def test_other_methods_do_not_come_here() -> None:
    assert codes("GET", "/v2/app/manifests/v1") == codes("put", "/v2/app/manifests/v1") == (405, ("UNSUPPORTED",))


def test_only_the_front_asks() -> None:
    with pytest.raises(asked.Refused):
        asked.read("PUT", "/v2/app/manifests/v1", HEADERS[1:])


def test_headers_are_passed_on_but_for_ours() -> None:
    given = [
        (b"Host", b"registry.example"),
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"7"),
        (b"Connection", b"close"),
        (b"Expect", b"100-continue"),
        (b"Transfer-Encoding", b"chunked"),
        (b"X-Odd_Name", b"x"),
        (b"X-Bytes", b"\xff"),
    ]
    one = asked.read("PUT", "/v2/app/manifests/v1", [*HEADERS, *given])
    assert one.headers == (
        ("x-real-ip", b"10.0.0.7"),
        ("host", b"registry.example"),
        ("content-type", b"application/json"),
        ("x-bytes", b"\xff"),
    )
    assert "alice" in repr(one) and "json" not in repr(one.with_body(b'{"a": "json"}')), "what it holds is in no log"


def test_a_user_of_any_bytes_is_text() -> None:
    odd = [(b"X-Secreg-Behind", HERE.said.encode()), (b"X-Secreg-User", b"a\xffb")]
    assert asked.read("PUT", "/v2/app/manifests/v1", odd).user.encode() == "a\N{REPLACEMENT CHARACTER}b".encode()


def test_what_the_front_says_of_rights() -> None:
    """Without a word of it, there is no access.yml; an empty one is none at all."""
    where = (b"X-Secreg-Behind", b"registry=unix%3A%2Fx")
    for said, letters in (([], "rcud"), ([(b"X-Secreg-Rights", b"=rc")], "rc"), ([(b"X-Secreg-Rights", b"=")], "")):
        found = asked.read("PUT", "/v2/a/manifests/v1", [where, *said])
        assert found.rights == letters and not any(b"secreg" in name.encode() for name, _ in found.headers)


def test_the_catalogue_is_shown_by_rules_alone() -> None:
    where = (b"X-Secreg-Behind", b"registry=unix%3A%2Fx")
    found = asked.read("GET", "/v2/_catalog?n=5", [where, (b"X-Secreg-Access", b"/x"), (b"X-Secreg-User", b"bob")])
    assert (found.access, found.user, found.query, found.repository) == ("/x", "bob", "n=5", "")
    for method, headers in (("GET", [where]), ("POST", [where, (b"X-Secreg-Access", b"/x")])):
        with pytest.raises(asked.Refused):
            asked.read(method, "/v2/_catalog", headers)
