"""What a client gets over TLS: passwords, uploads, locations, names and addresses."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.real.program import Instance, free_port

UNAUTHORIZED = b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":null}]}\n'


def upload(instance: Instance, repository: str, data: bytes, chunks: int = 1) -> str:
    """Push a blob, in `chunks` PATCH requests; its digest."""
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    begun = instance.ask(f"/v2/{repository}/blobs/uploads/", "POST", user="docker")
    assert begun.status == 202, begun
    location = begun.headers["Location"]
    size = -(-len(data) // chunks)
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        sent = instance.ask(
            location, "PATCH", user="docker", body=piece, headers={"Content-Type": "application/octet-stream"}
        )
        assert sent.status == 202, sent
        location = sent.headers["Location"]
    joint = "&" if "?" in location else "?"
    done = instance.ask(f"{location}{joint}digest={digest}", "PUT", user="docker")
    assert done.status == 201, done
    return digest


@pytest.mark.promise("no-password-no-content")
def test_without_password_nothing_but_a_challenge(serving: Instance) -> None:
    for path in ("/v2/", "/v2/_catalog", "/v2/x/tags/list", "/v2/x/blobs/sha256:" + "0" * 64, "//v2/_catalog"):
        answer = serving.ask(path)
        assert (answer.status, answer.body) == (401, UNAUTHORIZED), path
        assert answer.headers["WWW-Authenticate"].startswith('Basic realm="Registry"')
        assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


@pytest.mark.parametrize(("user", "password"), [("docker", "wrong"), ("nobody", "x"), ("docker", ""), ("", "x")])
def test_wrong_passwords(serving: Instance, user: str, password: str) -> None:
    assert serving.ask("/v2/", user=user, password=password).status == 401


def test_right_password_again_and_again(serving: Instance) -> None:
    assert {serving.ask("/v2/", user="docker").status for _ in range(5)} == {200}


def test_ping_of_the_original_needs_no_password(serving: Instance) -> None:
    assert serving.ask("/v1/_ping").status == 200


@pytest.mark.promise("no-password-no-content")
def test_everything_else_is_not_there(serving: Instance) -> None:
    for path in ("/", "/etc/passwd", "/_secreg/auth", "/_secreg/link", "/_secreg/generation/x", "/v2x", "/v1/search"):
        assert serving.ask(path).status == 404, path
    assert "nginx/" not in str(serving.ask("/").headers)


def test_blob_comes_back_as_it_went(serving: Instance) -> None:
    data = os.urandom(3_000_000)
    digest = upload(serving, "deep/er/name", data, chunks=3)
    answer = serving.ask(f"/v2/deep/er/name/blobs/{digest}", user="docker")
    assert (answer.status, answer.body == data) == (200, True)
    part = serving.ask(f"/v2/deep/er/name/blobs/{digest}", user="docker", headers={"Range": "bytes=10-19"})
    assert (part.status, part.body) == (206, data[10:20])
    assert serving.ask(f"/v2/other/blobs/{digest}", user="docker").status == 404


GUARDED = """server {
        listen %d ssl; listen %d; server_name other.example; location / { proxy_pass http://secreg_registry; %s }
    }
    server {"""


@pytest.mark.promise("own-servers-ask")
@pytest.mark.parametrize("more", ["", "proxy_set_header Host $http_host; proxy_http_version 1.1;"])
def test_a_server_of_the_administrators_passes_on_with_passwords(serving: Instance, more: str, tmp_path: Path) -> None:
    """By TLS and in clear: challenged, logged in, pushed to without a stop on its way."""
    secure, plain = free_port(), free_port()
    serving.edit("nginx.conf", "server {", GUARDED % (secure, plain, more))
    assert "rejected" not in (said := serving.reload()), said
    for path in ("/v2/", "/v2/_catalog", "//v2/_catalog"):
        answer = serving.ask(path, port=secure)
        assert (answer.status, answer.body) == (401, UNAUTHORIZED)
        assert answer.headers["WWW-Authenticate"].startswith('Basic realm="Registry"')
    assert serving.ask("/v2/_catalog", user="docker", password="wrong", port=secure).status == 401
    assert serving.ask("/v2/_catalog", user="docker", port=secure).status == 200

    layout, layer = tmp_path / "image", os.urandom(300_000)
    _oci_layout(layout, layer, gzip.compress(layer))
    target = f"docker://localhost:{plain}/by/other:1"
    copy = [
        "skopeo",
        "--insecure-policy",
        "copy",
        "--dest-tls-verify=false",
        "--dest-creds",
        f"docker:{serving.password}",
    ]
    subprocess.run([*copy, f"oci:{layout}:1", target], check=True)
    assert serving.ask("/v2/by/other/tags/list", user="docker").json == {"name": "by/other", "tags": ["1"]}
    begun = serving.ask("/v2/by/other/blobs/uploads/", "POST", user="docker", port=secure)
    assert begun.headers["Location"].startswith("/v2/by/other/blobs/uploads/")
    streams(serving, begun.headers["Location"], secure)


@contextmanager
def registry_stopped(instance: Instance) -> Iterator[None]:
    """While the registry of `instance` stands still (SIGSTOP): what is answered now, it does not answer."""
    assert instance.process is not None
    (pid,) = subprocess.run(
        ["pgrep", "-P", str(instance.process.pid), "-f", "registry.* serve"], capture_output=True, text=True, check=True
    ).stdout.split()
    os.kill(int(pid), signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(int(pid), signal.SIGCONT)


def test_a_blob_comes_from_the_disk(serving: Instance) -> None:
    digest = upload(serving, "still/there", b"0123456789")
    url = f"/v2/still/there/blobs/{digest}"
    serving.edit("docker-registry.yml", "version: 0.1", "version: 0.1\nhttp: {headers: {X-Mine: [a, 'b c']}}")
    serving.reload()
    with registry_stopped(serving):
        for method in ("GET", "HEAD"):
            whole = serving.ask(url, method, user="docker")
            assert (whole.status, whole.headers["Content-Length"]) == (200, "10")
        assert whole.headers["X-Mine"] == "b c"
        part = serving.ask(url, user="docker", headers={"Range": "bytes=-3"})
        assert (part.status, part.body) == (206, b"789")
        assert serving.ask(url).status == 401
        assert serving.ask(url, user="docker", password="wrong").status == 401


def test_a_manifest_comes_from_the_disk(serving: Instance) -> None:
    config = upload(serving, "still/there", b"{}")
    kind = "application/vnd.oci.image.manifest.v1+json"
    parts = {"config": {"mediaType": "a/b", "digest": config, "size": 2}, "layers": []}
    data = json.dumps({"schemaVersion": 2, "mediaType": kind, **parts}).encode()
    url = "/v2/still/there/manifests/"
    put = serving.ask(f"{url}tag", "PUT", user="docker", body=data, headers={"Content-Type": kind})
    digest = put.headers["Docker-Content-Digest"]
    with registry_stopped(serving):
        for reference, method in itertools.product(("tag", digest), ("GET", "HEAD")):
            found = serving.ask(url + reference, method, user="docker", headers={"Accept": kind})
            assert (found.status, found.body) == (200, data if method == "GET" else b"")
            assert (found.headers["Content-Type"], found.headers["Docker-Content-Digest"]) == (kind, digest)
        assert serving.ask(f"{url}tag", headers={"Accept": kind}).status == 401
    assert not serving.has_said("deprecated")


def test_a_deleted_blob_is_gone_whatever_nginx_caches(serving: Instance) -> None:
    serving.edit("nginx.conf", "http {", "http {\n    open_file_cache max=100;\n    open_file_cache_valid 1h;")
    serving.reload()
    url = f"/v2/some/thing/blobs/{upload(serving, 'some/thing', b'0123456789')}"
    assert {serving.ask(url, user="docker").status for _ in range(9)} == {200}
    assert serving.ask(url, "DELETE", user="docker").status == 202
    assert {serving.ask(url, user="docker").status for _ in range(9)} == {404}


def test_a_blob_whose_bytes_are_gone_is_gone_a_second_later(serving: Instance) -> None:
    """And what frees space need not wait for longer."""
    data = b"to be collected"
    digest = upload(serving, "some/thing", data)
    url = f"/v2/some/thing/blobs/{digest}"

    def sent() -> bool:
        with contextlib.suppress(http.client.IncompleteRead):  # the registry remembers that it had it
            return serving.ask(url, user="docker").body == data
        return False

    assert all(sent() for _ in range(9))
    value = digest.removeprefix("sha256:")
    (serving.lib / "storage/docker/registry/v2/blobs/sha256" / value[:2] / value / "data").unlink()
    serving.wait_for("its end by each of nginx's processes", lambda: not any(sent() for _ in range(9)), 3)


def test_a_registry_that_wants_to_know_of_downloads_answers_them(serving: Instance) -> None:
    digest = upload(serving, "counted", b"0123456789")
    endpoint = (
        "notifications: {endpoints: [{name: x, url: 'http://127.0.0.1:9/', timeout: 1s, threshold: 9, backoff: 9s}]}"
    )
    serving.edit("docker-registry.yml", "version: 0.1", f"version: 0.1\n{endpoint}")
    assert "rejected" not in serving.reload()
    with registry_stopped(serving), pytest.raises(TimeoutError), serving.connection() as link:
        link.timeout = 1
        secret = base64.b64encode(f"docker:{serving.password}".encode()).decode()
        link.request("GET", f"/v2/counted/blobs/{digest}", headers={"Authorization": f"Basic {secret}"})
        link.getresponse()
    assert serving.ask(f"/v2/counted/blobs/{digest}", user="docker").body == b"0123456789"


def test_chunked_transfer_encoding(serving: Instance) -> None:
    pieces = [os.urandom(1000) for _ in range(20)]
    digest = hashlib.sha256(b"".join(pieces)).hexdigest()
    begun = serving.ask("/v2/chunked/blobs/uploads/", "POST", user="docker")

    def body() -> Iterator[bytes]:
        yield from pieces

    sent = serving.ask(begun.headers["Location"], "PATCH", user="docker", body=body())
    assert sent.status == 202
    done = serving.ask(f"{sent.headers['Location']}&digest=sha256:{digest}", "PUT", user="docker")
    assert done.status == 201


def test_an_upload_is_not_spooled_on_its_way(serving: Instance) -> None:
    begun = serving.ask("/v2/stream/blobs/uploads/", "POST", user="docker")
    streams(serving, begun.headers["Location"])


def streams(serving: Instance, location: str, port: int | None = None) -> None:
    """The registry has the bytes before the client has sent the last one."""
    storage = serving.lib / "storage"
    secret = base64.b64encode(f"docker:{serving.password}".encode()).decode()
    with serving.connection(port=port) as link:
        link.putrequest("PATCH", location)
        link.putheader("Authorization", f"Basic {secret}")
        link.putheader("Content-Length", "8000000")
        link.endheaders()
        link.send(b"x" * 4_000_000)
        serving.wait_for(
            "the first half", lambda: any(p.stat().st_size >= 3_900_000 for p in storage.rglob("data") if p.is_file())
        )
        files = [path for path in (serving.root / "run").rglob("*") if path.is_file()]
        assert [path for path in files if path.stat().st_size > 100_000] == []
        link.send(b"y" * 4_000_000)
        assert link.getresponse().status == 202


def test_locations_are_right_under_every_name(serving: Instance) -> None:
    for address in ("localhost", "127.0.0.1", "::1"):
        begun = serving.ask("/v2/x/blobs/uploads/", "POST", user="docker", address=address)
        assert begun.headers["Location"].startswith("/v2/x/blobs/uploads/")


def test_the_certificate_names_what_was_configured(instance: Instance) -> None:
    instance.start(SERVER_NAME="registry.example.org", SERVER_IP="127.0.0.7")
    names = subprocess.run(
        ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", instance.etc / "docker-registry.crt"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in ("DNS:registry.example.org", f"DNS:{socket.gethostname()}", "DNS:localhost", "IP Address:127.0.0.7"):
        assert name in names
    assert instance.ask("/v2/", user="docker", address="127.0.0.7").status == 200


UNREVOKED = "cert_revocation"
"""What is left: a CA of the host's own publishes no list of revoked certificates."""


@pytest.mark.promise("tls")
def test_a_scanner_has_nothing_to_complain_about(serving: Instance, tmp_path: Path) -> None:
    """testssl.sh: protocols, ciphers and their order, forward secrecy, certificate and its chain, known attacks."""
    found = tmp_path / "found.json"
    scan = ["--protocols", "--standard", "--fs", "--server-preference", "--server-defaults", "--vulnerable"]
    quiet = ["--quiet", "--warnings", "off", "--color", "0", "--nodns", "none", "--ip", "127.0.0.1"]
    ca = ["--add-ca", str(serving.etc / "ca.crt")]
    door = f"localhost:{serving.port}"
    argv = ["testssl", *quiet, *ca, "--jsonfile", str(found), *scan, door]
    for _ in range(3):  # one of its hundreds of connections may fail for reasons of its own: what it asked is unknown
        done = subprocess.run(argv, capture_output=True, text=True)
        if "Connect problem" not in done.stdout:
            break
        found.unlink()
    assert done.returncode == 0, done.stdout
    findings = [each for each in json.loads(found.read_text()) if each["ip"] != "/"]  # those are of its own OpenSSL
    complaints = {each["id"]: each["finding"] for each in findings if each["severity"] not in ("OK", "INFO")}
    assert (len(findings) > 50, set(complaints)) == (True, {UNREVOKED}), complaints


def test_podmans_library_pushes_and_pulls(serving: Instance, tmp_path: Path) -> None:
    """skopeo, with verified TLS."""
    layout = tmp_path / "image"
    layer = tmp_path / "layer"
    layer.mkdir()
    (layer / "file").write_bytes(os.urandom(200_000))
    archive = tmp_path / "layer.tar"
    subprocess.run(["tar", "-C", layer, "-cf", archive, "file"], check=True)
    _oci_layout(layout, archive.read_bytes(), gzip.compress(archive.read_bytes()))
    certs = tmp_path / "certs"
    certs.mkdir()
    (certs / "ca.crt").write_bytes((serving.etc / "ca.crt").read_bytes())
    reference = f"docker://localhost:{serving.port}/some/image:1"
    auth = tmp_path / "auth.json"
    login: list[str | Path] = ["skopeo", "login", "--authfile", auth, "--cert-dir", certs, "-u", "docker"]
    login += ["--password-stdin", f"localhost:{serving.port}"]
    subprocess.run(login, input=serving.password, text=True, check=True)
    copy: list[str | Path] = ["skopeo", "--insecure-policy", "copy", "--authfile", auth]
    subprocess.run([*copy, "--dest-cert-dir", certs, f"oci:{layout}:1", reference], check=True)
    subprocess.run([*copy, "--src-cert-dir", certs, reference, f"oci:{tmp_path / 'back'}:1"], check=True)
    there = sorted(path.name for path in (tmp_path / "back/blobs/sha256").iterdir())
    assert there == sorted(path.name for path in (layout / "blobs/sha256").iterdir())
    tags = serving.ask("/v2/some/image/tags/list", user="docker").json
    assert tags == {"name": "some/image", "tags": ["1"]}


def _oci_layout(target: Path, tar: bytes, layer: bytes) -> None:
    """An OCI image layout (image-spec, image-layout.md) of one layer."""
    blobs = target / "blobs/sha256"
    blobs.mkdir(parents=True)

    def add(data: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    rootfs = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": add(config, "config.v1+json"),
        "layers": [add(layer, "layer.v1.tar+gzip")],
    }
    entry = add(json.dumps(manifest).encode(), "manifest.v1+json")
    entry["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    (target / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (target / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
