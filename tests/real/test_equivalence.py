"""The front answers as the registry behind it: hundreds of requests to both, compared field by field.

Each difference that there may be stands in DIFFERENCES with its reason; any other fails.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import itertools
import json
import os
import re
import socket
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import oddmanifests
from tests.oddmanifests import DOCKER, DOCKER_LIST, OCI, OCI_INDEX
from tests.real.program import Answer, Instance

SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
ALL = f"{DOCKER}, {DOCKER_LIST}, {OCI}, {OCI_INDEX}"

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Headers = ()
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.path[:200]} {self.headers}"


@dataclass(frozen=True)
class Difference:
    """A field (`status`, `body`, or a header's name) in which the front may differ for some requests, and why."""

    field: str
    why: str
    applies: Callable[[Request, Answer, Answer], bool]


def _bad_range(request: Request, bare: Answer, front: Answer) -> bool:
    return bare.status == front.status == 416


def _zero_byte(request: Request, bare: Answer, front: Answer) -> bool:
    return "%00" in request.path and (bare.status, front.status) == (404, 400)


def _signed(request: Request, bare: Answer, front: Answer) -> bool:
    return {bare.headers.get("content-type"), front.headers.get("content-type")} == {SIGNED}


def _elsewhere(request: Request, bare: Answer, front: Answer) -> bool:
    """Outside of /v2/, whatever way it is written."""
    path = re.sub("/+", "/", urllib.parse.unquote(request.path.partition("?")[0]))
    return not path.startswith("/v2/") or ".." in path


DIFFERENCES = [
    Difference("date", "two clocks", lambda *_: True),
    Difference("body", "a manifest of schema 1 is signed anew for each answer", _signed),
    Difference("server", "nginx names itself, without a version", lambda *_: True),
    Difference("connection", "the two connections have lives of their own", lambda *_: True),
    Difference("transfer-encoding", "how the bytes travel is each connection's own", lambda *_: True),
    Difference("content-length", "the registry announces the whole blob, then sends a line of text", _bad_range),
    Difference("body", "cut short by the registry's wrong Content-Length; either says invalid range", _bad_range),
    Difference("accept-ranges", "the registry says that it takes ranges only when it could", _bad_range),
    Difference("content-range", "the registry leaves it out when a range ends before it starts", _bad_range),
    *(
        Difference(name, "nginx refuses a zero byte in a path", _zero_byte)
        for name in ("status", "body", "content-type", "content-length", "x-content-type-options",
                     "docker-distribution-api-version")
    ),
    *(
        Difference(name, "only /v2/ is the registry's; nginx answers what is outside, and paths with ..", _elsewhere)
        for name in ("status", "body", "content-type", "content-length", "location", "x-content-type-options",
                     "docker-distribution-api-version", "cache-control")
    ),
]  # fmt: skip


class UnixConnection(http.client.HTTPConnection):
    """HTTP to the bare registry."""

    def __init__(self, path: Path) -> None:
        super().__init__("registry", timeout=30)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self.path))


@dataclass
class Both:
    """The same storage twice: the bare registry on its socket, and the front."""

    instance: Instance
    bare: http.client.HTTPConnection
    front: http.client.HTTPConnection
    compared: int = 0
    unequal: list[str] = field(default_factory=list)

    @property
    def tree(self) -> Path:
        return self.instance.lib / "storage/docker/registry/v2"

    def plant(self, repository: str, tag: str, data: bytes) -> str:
        """Write a manifest and its tag past the registry, which might not take it; its digest."""
        hexes, owner = hashlib.sha256(data).hexdigest(), self.tree.stat()
        manifests = self.tree / f"repositories/{repository}/_manifests"
        files = {self.tree / f"blobs/sha256/{hexes[:2]}/{hexes}/data": data}
        for link in (f"revisions/sha256/{hexes}", f"tags/{tag}/index/sha256/{hexes}", f"tags/{tag}/current"):
            files[manifests / link / "link"] = f"sha256:{hexes}".encode()
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            for one in itertools.takewhile(lambda one: one != self.tree, (path, *path.parents)):
                os.chown(one, owner.st_uid, owner.st_gid)
        return f"sha256:{hexes}"

    def send(self, link: http.client.HTTPConnection, request: Request) -> Answer:
        """Ask once more where the other side has closed meanwhile, as either does after answers it can't finish."""
        try:
            return self._send(link, request)
        except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
            link.close()
            return self._send(link, request)

    def _send(self, link: http.client.HTTPConnection, request: Request) -> Answer:
        headers = [*request.headers]
        if link is self.front:
            secret = base64.b64encode(f"docker:{self.instance.password}".encode()).decode()
            headers.append(("Authorization", f"Basic {secret}"))
        link.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
        link.putheader("Host", "registry.example.org:5000")
        for name, value in headers:
            link.putheader(name, value)
        if request.body or request.method in ("POST", "PUT", "PATCH"):
            link.putheader("Content-Length", str(len(request.body)))
        link.endheaders(request.body or None)
        answer = link.getresponse()
        try:
            body = answer.read()
        except http.client.IncompleteRead as error:
            body = error.partial
            link.close()
        found = [(name.lower(), value) for name, value in answer.getheaders()]
        joined = {name: " | ".join(sorted(value for its, value in found if its == name)) for name, _ in found}
        return Answer(answer.status, joined, body)

    def compare(self, request: Request) -> Answer:
        """Ask both; note how they differ. The front's answer."""
        bare, front = self.send(self.bare, request), self.send(self.front, request)
        self.judge(request, bare, front)
        return front

    def compare_at_last(self, request: Request) -> None:
        """The same, once the front has closed what it had open: that takes it a second."""
        deadline = time.monotonic() + 3
        while self.said(self.bare, request) != self.said(self.front, request) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.compare(request)

    def said(self, link: http.client.HTTPConnection, request: Request) -> tuple[int, bytes]:
        answer = self.send(link, request)
        return answer.status, answer.body

    @staticmethod
    def without_chance(text: str) -> str:
        """`text` without what is made up for each answer: the boundary between several ranges."""
        return re.sub("[0-9a-f]{60}", "BOUNDARY", text)

    def judge(self, request: Request, bare: Answer, front: Answer) -> None:
        self.compared += 1
        pairs: dict[str, tuple[Any, Any]] = {"status": (bare.status, front.status), "body": (bare.body, front.body)}
        for name in {*bare.headers, *front.headers}:
            pairs[name] = (bare.headers.get(name), front.headers.get(name))
        for name, (its, ours) in sorted(pairs.items()):
            if its != ours and None not in (its, ours):
                its, ours = self.without_chance(str(its)), self.without_chance(str(ours))
            allowed = any(one.field == name and one.applies(request, bare, front) for one in DIFFERENCES)
            if its != ours and not allowed:
                self.unequal.append(f"{request}: {name}: registry {its!r:.300}, front {ours!r:.300}")

    def verdict(self) -> None:
        assert not self.unequal, f"{len(self.unequal)} of {self.compared}:\n" + "\n".join(self.unequal[:20])

    # --- what is there ---
    def blob(self, repository: str, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        begun = self.send(self.bare, Request("POST", f"/v2/{repository}/blobs/uploads/"))
        where = begun.headers["location"].replace("http://registry.example.org:5000", "")
        done = self.send(self.bare, Request("PUT", f"{where}&digest={digest}", (), data))
        assert done.status == 201, done
        return digest

    def manifest(self, repository: str, reference: str, content: dict[str, Any] | bytes, kind: str) -> str:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        to = Request("PUT", f"/v2/{repository}/manifests/{reference or digest}", (("Content-Type", kind),), data)
        done = self.send(self.bare, to)
        assert done.status == 201, done
        return digest


@dataclass(frozen=True)
class Images:
    """What is in the repository `team/app`: blobs and manifests by a name."""

    blobs: dict[str, str]
    manifests: dict[str, str]


@contextmanager
def both(instance: Instance) -> Iterator[Both]:
    (bare,) = (instance.root / "run/secure-registry").glob("registry-*/registry.sock")
    with instance.connection() as front:
        found = Both(instance, UnixConnection(bare), front)
        yield found
        found.bare.close()


def descriptor(digest: str, size: int, kind: str) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest, "size": size}


def push(pair: Both, repository: str) -> Images:
    """One of each kind."""
    texts = {"layer": b"l" * 5000, "config": b'{"architecture":"amd64","os":"linux"}', "one": b"x", "empty": b""}
    blobs = {name: pair.blob(repository, data) for name, data in texts.items()}
    oci_parts: dict[str, Any] = {
        "config": descriptor(blobs["config"], 37, "application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor(blobs["layer"], 5000, "application/vnd.oci.image.layer.v1.tar+gzip")],
    }
    docker_parts: dict[str, Any] = {
        "config": descriptor(blobs["config"], 37, "application/vnd.docker.container.image.v1+json"),
        "layers": [descriptor(blobs["layer"], 5000, "application/vnd.docker.image.rootfs.diff.tar.gzip")],
    }
    made = {}

    def put(tag: str, kind: str, content: dict[str, Any] | bytes) -> int:
        made[tag] = pair.manifest(repository, tag, content, kind)
        return len(content if isinstance(content, bytes) else json.dumps(content).encode())

    docker = {"schemaVersion": 2, "mediaType": DOCKER, **docker_parts}
    size = put("docker", DOCKER, docker)
    put("docker-spaces", DOCKER, b"\n  " + json.dumps(docker, indent=5).encode() + b"\n\n")
    put("docker-umlaut", DOCKER, json.dumps(docker | {"x": "Grüße"}, ensure_ascii=False).encode())
    listed = {**descriptor(made["docker"], size, DOCKER), "platform": {"architecture": "amd64", "os": "linux"}}
    put("list", DOCKER_LIST, {"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [listed]})
    size = put("oci", OCI, {"schemaVersion": 2, "mediaType": OCI, **oci_parts})
    put("oci-untyped", OCI, {"schemaVersion": 2, **oci_parts})
    put("oci-big", OCI, {"schemaVersion": 2, "mediaType": OCI, **oci_parts, "annotations": {"a": "b" * 400_000}})
    listed = {**descriptor(made["oci"], size, OCI), "platform": {"architecture": "amd64", "os": "linux"}}
    put("index", OCI_INDEX, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [listed]})
    put("index-untyped", OCI_INDEX, {"schemaVersion": 2, "manifests": [listed]})
    put("odd-case", OCI, {"schemaVersion": 2, "mediaType": OCI, **oci_parts, "MEDIATYPE": OCI})
    return Images(blobs, made)


@pytest.fixture(scope="module")
def stocked(shared: Instance) -> Images:
    with both(shared) as pair:
        pair.blob("other", b"of another repository")
        return push(pair, "team/app")


RANGES = [
    "bytes=0-0", "bytes=0-9", "bytes=10-", "bytes=-1", "bytes=-7", "bytes=-99999", "bytes=0-", "bytes=4999-",
    "bytes=4999-4999", "bytes=4998-5000", "bytes=5000-", "bytes=5001-", "bytes=7-3", "bytes=-0", "bytes=-", "bytes=",
    "bytes=a-b", "bytes=0-1,3-4", "bytes=0-4999,0-4999", "bytes = 0-1", "Bytes=0-1", "items=0-1", "bytes=0-1 ",
    "bytes=00-01", "bytes=1-99999999999999999999", "bytes=0x1-2", "bytes=+1-2", "bytes=--1",
]  # fmt: skip
CONDITIONS: list[tuple[str, str]] = [
    ("If-None-Match", "*"), ("If-None-Match", '"x"'), ("If-None-Match", "DIGEST"), ("If-None-Match", '"DIGEST"'),
    ("If-None-Match", 'W/"DIGEST"'), ("If-Match", "*"), ("If-Match", '"x"'), ("If-Match", '"DIGEST"'),
    ("If-Modified-Since", "Sun, 01 Jan 2023 00:00:00 GMT"), ("If-Unmodified-Since", "Sun, 01 Jan 2023 00:00:00 GMT"),
    ("If-Range", '"x"'), ("If-Range", '"DIGEST"'), ("Accept-Encoding", "gzip"), ("Accept", "text/html"),
    ("Expect", "100-continue"), ("Content-Type", "x/y"),
]  # fmt: skip


def test_blobs(shared: Instance, stocked: Images) -> None:
    with both(shared) as pair:
        for name, method in itertools.product(stocked.blobs, ("GET", "HEAD")):
            digest = stocked.blobs[name]
            path = f"/v2/team/app/blobs/{digest}"
            pair.compare(Request(method, path))
            for wanted in RANGES:
                pair.compare(Request(method, path, (("Range", wanted),)))
            for header, value in CONDITIONS:
                plain = (header, value.replace("DIGEST", digest))
                pair.compare(Request(method, path, (plain,)))
                pair.compare(Request(method, path, (plain, ("Range", "bytes=1-3"))))
        assert pair.compared > 400
        pair.verdict()


def odd_paths(digest: str) -> Iterator[str]:
    """Ways to ask for a blob that is there, or nearly."""
    hexes = digest.removeprefix("sha256:")
    blob = f"blobs/{digest}"
    for name in (
        "other", "team", "app", "team/app/", "/team/app", "team//app", "./team/app", "team/./app", "team/../team/app",
        "x/../team/app", "../v2/team/app", "team%2fapp", "team%2Fapp", "TEAM/app", "team/App", "team/app%00",
        "team\\app", "team/_app", "team/-app", "team/.app", "team/app-", "team/app.", "te__am/app", "te___am/app",
        "te..am/app", "%74eam/app", "team/%61pp", "team/app%20", "a" * 255, "a" * 256, "a/" * 127 + "a",
        "a/" * 200 + "a", "a" * 3000, "x/blobs/" + "a" * 255, "registry.example.org:5000/team/app",
        "localhost/team/app", "..", ".", "",
        "_catalog", "~root",
        "team/app;x", "team/app*", "team/app'", "$secreg_hex", "team/app/_layers", "team/app/blobs",
    ):  # fmt: skip
        yield f"/v2/{name}/{blob}"
    for end in (
        "?x=y", "?", "/", "//", "/.", "/..", "/../" + digest, "%20", "%00", "%2f", "#x", "0", "/data", "/link", ";x",
    ):  # fmt: skip
        yield f"/v2/team/app/{blob}{end}"
    for other in (
        f"sha256:{hexes.upper()}", f"SHA256:{hexes}", f"sha256%3a{hexes}", f"sha256:{hexes[:-1]}",
        f"sha256:{hexes[:-1]}g", f"sha512:{hexes}", f"sha512:{hexes}{hexes}", f"sha384:{hexes}", f"md5:{hexes[:32]}",
        hexes, "sha256:", "sha256",
        f"sha256:{'0' * 64}", f"sha256+b64:{hexes}", f"sha256:%{ord(hexes[0]):x}{hexes[1:]}", "uploads/", "uploads", "",
        f"sha256:{hexes[:2]}/{hexes}", f"sha256:../{hexes}", "tarsum.v1+sha256:" + hexes,
    ):  # fmt: skip
        yield f"/v2/team/app/blobs/{other}"
    yield from (
        "/v2/", "/v2", "/v2?x", "/v2/?x", "//v2/", "/v2//", "/V2/", "/v2/..", "/v2/../v2/", "/v2/%2e%2e/v2/",
        "/v2/team/app", "/v2/team/app/tags/list", "/v2/team/app/tags/list?n=2", "/v2/team/app/tags/list/",
        "/v2/none/tags/list",
        "/v2/_catalog", "/v2/_catalog?n=1", "/v2/_catalog?n=1&last=other", "/v2/_catalog?n=x", "/v2/_catalog/",
        f"//v2/team/app/{blob}", f"/v2/team/app//{blob}", f"/v2/team/app/blobs//{digest}", f"/v1/team/app/{blob}",
        f"/V2/team/app/{blob}", f"/v2/team/app/BLOBS/{digest}", f"/%762/team/app/{blob}",
        f"/v2/team/app/blobs%2f{digest}", "/", "/index.html", "/v2x/", "/metrics", "/debug/vars", "/_secreg/link",
        "/_secreg/auth",
    )  # fmt: skip


def test_odd_paths(shared: Instance, stocked: Images) -> None:
    with both(shared) as pair:
        for path in odd_paths(stocked.blobs["layer"]):
            for method in ("GET", "HEAD"):
                pair.compare(Request(method, path))
            if "uploads" not in path:
                pair.compare(Request("POST", path))
            pair.compare(Request("PATCH", path))
            pair.compare(Request("OPTIONS", path))
        assert pair.compared > 500
        pair.verdict()


ACCEPTS: list[tuple[str, ...]] = [
    (), (DOCKER,), (DOCKER_LIST,), (OCI,), (OCI_INDEX,), (ALL,), (DOCKER, DOCKER_LIST, OCI, OCI_INDEX),
    (f"{DOCKER};q=0.5",), (f"{DOCKER} ; q=0.5 , {OCI};q=1",), (DOCKER.upper(),), ("*/*",), ("application/*",), ("",),
    (",",), (f",{OCI},",), (f"{OCI}{OCI_INDEX}",), ("application/vnd.docker.distribution.manifest.v1+prettyjws",),
    ("application/vnd.docker.distribution.manifest.v1+prettyjws", ALL), (f"{OCI};x",), (f"{OCI};",), (f"{OCI} x",),
    (f'{OCI};a="b,c"',), ("application/json",), (f"text/html, {ALL}, */*;q=0.1",),
]  # fmt: skip


def test_manifests(shared: Instance, stocked: Images) -> None:
    oci = stocked.manifests["oci"]
    with both(shared) as pair:
        for tag, digest in stocked.manifests.items():
            for reference, accept in itertools.product((tag, digest), ACCEPTS):
                headers = tuple(("Accept", value) for value in accept)
                path = f"/v2/team/app/manifests/{reference}"
                pair.compare(
                    Request("GET", path, headers[:1] if len(accept) == 1 else (("Accept", ", ".join(accept)),))
                )
                pair.compare(Request("HEAD", path, headers[-1:]))
                pair.compare(Request("GET", path, headers))
        for (header, value), reference in itertools.product([*CONDITIONS, ("Range", "bytes=0-4")], ("oci", oci)):
            plain = (header, value.replace("DIGEST", oci))
            for method in ("GET", "HEAD"):
                pair.compare(Request(method, f"/v2/team/app/manifests/{reference}", (("Accept", ALL), plain)))
        for reference in (
            "none", "_tag", ".tag", "-tag", "tag.", "a" * 128, "a" * 129, "oci?x", "oci/", "oci%00", "../oci", "%6fci",
            "OCI", "sha256:" + "0" * 64, "sha512:" + "0" * 128, oci.upper(), stocked.blobs["config"], "", oci + "0",
            "oci:latest", f"oci@{oci}", "latest/current/link", "..", f"{oci}/", f"{oci}?x",
        ):  # fmt: skip
            for repository in ("team/app", "other", "none", "team", "team%2fapp", "TEAM/app"):
                pair.compare(Request("GET", f"/v2/{repository}/manifests/{reference}", (("Accept", ALL),)))
        assert pair.compared > 1000
        pair.verdict()


@pytest.mark.parametrize("accept", [ALL, DOCKER, OCI_INDEX])
def test_odd_manifests(shared: Instance, accept: str) -> None:
    with both(shared) as pair:
        for number, text in enumerate(oddmanifests.texts()):
            digest = pair.plant("odd", f"t{number}", text)
            for reference in (f"t{number}", digest):
                pair.compare(Request("GET", f"/v2/odd/manifests/{reference}", (("Accept", accept),)))
        assert pair.compared > 500
        pair.verdict()


def test_changes_are_seen_by_the_next_request(shared: Instance, stocked: Images) -> None:
    """Deleted, mounted, in progress, damaged: as the registry sees it, each time."""
    layer, one = stocked.blobs["layer"], stocked.blobs["one"]
    accept = (("Accept", ALL),)

    def seen(path: str, status: int, headers: Headers = accept) -> None:
        for method in ("GET", "HEAD"):
            assert pair.compare(Request(method, path, headers)).status == status, path

    with both(shared) as pair:
        # a blob belongs to the repositories that have it
        seen(f"/v2/mine/blobs/{layer}", 404)
        mount = Request("POST", f"/v2/mine/blobs/uploads/?mount={layer}&from=team/app")
        assert pair.send(pair.front, mount).status == 201
        seen(f"/v2/mine/blobs/{layer}", 200)
        assert pair.send(pair.front, Request("DELETE", f"/v2/mine/blobs/{layer}")).status == 202
        seen(f"/v2/mine/blobs/{layer}", 404)
        seen(f"/v2/team/app/blobs/{layer}", 200)

        # an upload in progress is nobody's
        begun = pair.send(pair.front, Request("POST", "/v2/mine/blobs/uploads/"))
        part = b"not complete"
        sent = pair.send(pair.front, Request("PATCH", begun.headers["location"], (), part))
        assert sent.status == 202
        seen(f"/v2/mine/blobs/sha256:{hashlib.sha256(part).hexdigest()}", 404)

        # a tag moves, and is gone with its manifest
        content = {"schemaVersion": 2, "mediaType": OCI, "config": descriptor(one, 1, "a/b"), "layers": []}
        pair.blob("mine", b"x")
        first = pair.manifest("mine", "tag", content, OCI)
        seen("/v2/mine/manifests/tag", 200)
        second = pair.manifest("mine", "tag", content | {"annotations": {"a": "b"}}, OCI)
        seen("/v2/mine/manifests/tag", 200)
        assert (
            pair.compare(Request("HEAD", "/v2/mine/manifests/tag", accept)).headers["docker-content-digest"] == second
        )
        seen(f"/v2/mine/manifests/{first}", 200)
        assert pair.send(pair.front, Request("DELETE", f"/v2/mine/manifests/{second}")).status == 202
        seen("/v2/mine/manifests/tag", 404)
        seen(f"/v2/mine/manifests/{second}", 404)
        seen(f"/v2/mine/manifests/{first}", 200)
        pair.verdict()


def test_a_damaged_storage_is_the_registrys_to_judge(shared: Instance) -> None:
    accept = (("Accept", ALL),)
    with both(shared) as pair:
        images = push(pair, "damaged")
        repository = pair.tree / "repositories/damaged"
        layer, oci = images.blobs["layer"].removeprefix("sha256:"), images.manifests["oci"].removeprefix("sha256:")
        links = {
            repository / f"_layers/sha256/{layer}/link": f"blobs/sha256:{layer}",
            repository / "_manifests/tags/oci/current/link": "manifests/oci",
            repository / f"_manifests/revisions/sha256/{oci}/link": f"manifests/sha256:{oci}",
        }
        other = images.blobs["config"].encode()
        blob = (pair.tree / f"blobs/sha256/{layer[:2]}/{layer}/data").read_bytes()
        for link, path in links.items():
            good = link.read_bytes()
            for bad in (b"", good[:-1], good[:40], b"\n" * 71, b"x" * 71, good + b"\n", good.upper(), other):
                if "revisions" in link.parts and len(bad) == len(good):
                    continue  # its name says what it holds: the front serves what that is, which the registry would not
                link.write_bytes(bad)
                for method in ("GET", "HEAD"):
                    asked = Request(method, f"/v2/damaged/{path}", accept)
                    answer = pair.send(pair.front, asked)
                    if "_layers" in link.parts and answer.status == 200:  # the same: who has the blob gets it
                        assert answer.body == (b"" if method == "HEAD" else blob), bad
                    else:
                        pair.compare(asked)
            link.write_bytes(good)
        config = images.blobs["config"].removeprefix("sha256:")  # nobody asked for it yet: the front has it not open
        for hexes, path in (
            (config, f"blobs/sha256:{config}"),
            (oci, "manifests/oci"),
            (oci, f"manifests/sha256:{oci}"),
        ):
            data = pair.tree / f"blobs/sha256/{hexes[:2]}/{hexes}/data"
            good = data.read_bytes()
            asked = Request("GET", f"/v2/damaged/{path}", accept)
            for mode in (0o000, 0o660):
                data.chmod(mode)
                pair.compare(asked)
            if path.startswith("manifests"):
                for bad in (b"", b"{", b"[]", b"null", b'"x"', b"{}", b"\xff" + good, good[:-1]):
                    data.write_bytes(bad)
                    pair.compare(Request("GET", f"/v2/damaged/{path}", accept))
            data.unlink()
            pair.compare_at_last(asked)
            data.write_bytes(good)
            pair.compare(asked)
        pair.verdict()
