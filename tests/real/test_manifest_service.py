"""What is pushed and deleted by way of the manifest service, as clients see it, while it is ended and killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from secreg_host.images import flight
from secreg_host.images.layout import Repository, Tree
from tests.real.program import Answer, Instance, free_port
from tests.real.test_front import upload
from tests.stores import digest_of

OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def image(instance: Instance, name: str, words: str) -> bytes:
    """A manifest, whose blobs are there."""
    config, layer = json.dumps({"words": words}).encode(), words.encode()
    parts = [{"digest": upload(instance, name, data), "size": len(data)} for data in (config, layer)]
    kinds = ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar")
    described = [{"mediaType": kind, **part} for kind, part in zip(kinds, parts, strict=True)]
    return manifest({"config": described[0], "layers": described[1:]})


def manifest(content: dict[str, object], kind: str = OCI) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": kind, **content}).encode()


def put(instance: Instance, name: str, reference: str, body: bytes | Iterator[bytes], kind: str = OCI) -> Answer:
    return instance.ask(
        f"/v2/{name}/manifests/{reference}", "PUT", user="docker", body=body, headers={"Content-Type": kind}
    )


def get(instance: Instance, name: str, reference: str) -> Answer:
    return instance.ask(f"/v2/{name}/manifests/{reference}", user="docker", headers={"Accept": f"{OCI}, {INDEX}"})


def delete(instance: Instance, name: str, reference: str) -> Answer:
    return instance.ask(f"/v2/{name}/manifests/{reference}", "DELETE", user="docker")


def codes(answer: Answer) -> list[str]:
    return [one["code"] for one in json.loads(answer.body)["errors"]]


def tree(instance: Instance) -> Tree:
    return Tree(instance.lib / "storage")


@pytest.fixture
def serving(serving: Instance) -> Instance:
    """The first push has made what locks are kept in, as the store's user: these tests are root, and lock there."""
    assert put(serving, "team/first", "v1", image(serving, "team/first", "first")).status == 201
    return serving


def service(instance: Instance) -> int:
    """Its process."""
    assert instance.process is not None
    argv = ["pgrep", "-P", str(instance.process.pid), "-f", "secreg_host manifests"]
    found: list[int] = []

    def look() -> bool:
        found[:] = map(int, subprocess.run(argv, capture_output=True, text=True).stdout.split())
        return bool(found)

    instance.wait_for("the manifest service", look)
    return found[0]


def lives(instance: Instance) -> bool:
    """Whether it answers."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(5)
        try:
            link.connect(str(instance.root / "run/secure-registry/manifests.sock"))
            link.sendall(b"GET /lives HTTP/1.0\r\n\r\n")
            return b" 204 " in link.recv(100)
        except OSError:
            return False


def told(instance: Instance) -> list[dict[str, object]]:
    """What the service said of manifests."""
    lines = (line.partition("manifests: ")[2] for line in list(instance.said))
    return [json.loads(line) for line in lines if line.startswith("{")]


@pytest.mark.promise("manifest-service")
def test_what_is_pushed_and_deleted_by_its_tag(serving: Instance) -> None:
    body = image(serving, "team/app", "one")
    digest = digest_of(body)
    pushed = put(serving, "team/app", "v1", body)
    assert (pushed.status, pushed.body) == (201, b"")
    assert pushed.headers["Docker-Content-Digest"] == digest
    assert pushed.headers["Location"].endswith(f"/v2/team/app/manifests/{digest}")
    assert put(serving, "team/app", "v2", body).status == 201
    assert get(serving, "team/app", "v1").body == body
    gone = delete(serving, "team/app", "v1")
    assert (gone.status, gone.body) == (202, b""), "distribution 2.8 answers 400 to that"
    assert get(serving, "team/app", "v1").status == 404
    assert get(serving, "team/app", "v2").body == get(serving, "team/app", digest).body == body, "it is untagged only"
    again = delete(serving, "team/app", "v1")
    assert (again.status, codes(again)) == (404, ["MANIFEST_UNKNOWN"])
    back = serving.run("images", "undelete", "team/app:v1")
    assert back.returncode == 0, back.stderr
    assert get(serving, "team/app", "v1").body == body


@pytest.mark.promise("manifest-service")
def test_what_is_deleted_by_its_digest_goes_with_its_tags(serving: Instance) -> None:
    body, other = image(serving, "team/digest", "one"), image(serving, "team/digest", "other")
    digest = digest_of(body)
    for tag, one in (("v1", body), ("latest", body), ("other", other)):
        assert put(serving, "team/digest", tag, one).status == 201
    assert delete(serving, "team/digest", digest).status == 202
    for reference in ("v1", "latest", digest):
        assert get(serving, "team/digest", reference).status == 404, reference
    assert get(serving, "team/digest", "other").body == other
    assert codes(delete(serving, "team/digest", digest)) == ["MANIFEST_UNKNOWN"]
    assert codes(delete(serving, "team/none", "v1")) == ["NAME_UNKNOWN"]
    back = serving.run("images", "undelete", f"team/digest@{digest}")
    assert back.returncode == 0, back.stderr
    assert get(serving, "team/digest", "latest").body == body


def test_what_the_trash_has_comes_back_with_a_push(serving: Instance) -> None:
    """The client was told that its blobs are there; they, or their links, went meanwhile."""
    body = image(serving, "team/back", "one")
    digest = digest_of(body)
    assert put(serving, "team/back", "v1", body).status == 201
    done = serving.run("images", "rm", "--all", "team/back", "--yes")
    assert done.returncode == 0, done.stderr
    assert get(serving, "team/back", "v1").status == 404
    assert put(serving, "team/back", "v2", body).status == 201
    assert get(serving, "team/back", "v2").body == body
    for one in json.loads(body)["layers"]:
        assert serving.ask(f"/v2/team/back/blobs/{one['digest']}", user="docker").status == 200
    assert digest in {one["digest"] for one in told(serving)}


def test_who_did_what_is_told_and_no_secret(serving: Instance) -> None:
    body = image(serving, "team/told", "one")
    serving.ask(
        "/v2/team/told/manifests/v1",
        "PUT",
        user="docker",
        body=body,
        headers={"Content-Type": OCI, "X-Secreg-User": "root", "X-Secreg-Behind": "registry=unix%3A%2Fnowhere"},
    )
    delete(serving, "team/told", "v1")
    serving.wait_for("two lines", lambda: [one["repository"] for one in told(serving)].count("team/told") == 2)
    lines = [one for one in told(serving) if one["repository"] == "team/told"]
    assert [(one["user"], one["address"], one["method"], one["reference"], one["status"]) for one in lines] == [
        ("docker", "127.0.0.1", "PUT", "v1", 201),
        ("docker", "127.0.0.1", "DELETE", "v1", 202),
    ], "what a client says of itself does not count"
    assert {one["digest"] for one in lines} == {digest_of(body)}
    assert serving.password not in "".join(serving.said)


def test_what_can_not_be(serving: Instance) -> None:
    body = image(serving, "team/odd", "one")
    lacking = manifest({"config": {"mediaType": "x", "digest": digest_of(b"no"), "size": 2}, "layers": []})
    for reference, sent, status, code in (
        ("v1", b"{", 400, "MANIFEST_INVALID"),
        ("v1", lacking, 400, "MANIFEST_BLOB_UNKNOWN"),
        (digest_of(b"another"), body, 400, "DIGEST_INVALID"),
        ("sha256:12", body, 400, "DIGEST_INVALID"),
        (".v1", body, 400, "TAG_INVALID"),
        ("v1", b" " * (4 * 1024 * 1024 + 1), 413, "MANIFEST_INVALID"),
        ("v1", b" " * (64 * 1024 * 1024), 413, "MANIFEST_INVALID"),
    ):
        answer = put(serving, "team/odd", reference, sent)
        assert (answer.status, codes(answer)) == (status, [code]), (reference, sent[:80])
        assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert codes(put(serving, "Team/odd", "v1", body)) == ["NAME_INVALID"]
    large = put(serving, "team/odd", "v1", iter([b" " * (1024 * 1024)] * 5))
    assert (large.status, codes(large)) == (413, ["MANIFEST_INVALID"]), "in chunks, whose size nobody said"
    assert serving.ask("/v2/team/odd/tags/list", user="docker").status == 404
    assert serving.ask("/v2/team/odd/manifests/v1", "PUT", body=body).status == 401
    wide = manifest({"annotations": {"a": "b" * (3 * 1024 * 1024)}, **json.loads(body)})
    assert put(serving, "team/odd", "wide", wide).status == 201
    assert get(serving, "team/odd", "wide").body == wide


def test_no_way_of_writing_an_address_leads_past_it(serving: Instance) -> None:
    """Who asks what may be depends on each PUT and DELETE that the registry would take as one of a manifest."""
    body = image(serving, "team/past", "one")
    for path in (
        "/v2/team/past/%6danifests/v1",
        "/v2/team%2Fpast/manifests/v2",
        "/v2/team/past/manifests%2Fv3",
        "/v2/team/x/../past/manifests/v4",
        "/v2/team//past/manifests/v5",
        "//v2/team/past/manifests/v6",
        "/v2/team/past/manifests/v7?digest=x",
        "/v2/team/past/%2e/manifests/v8",
    ):
        answer = serving.ask(path, "PUT", user="docker", body=body, headers={"Content-Type": OCI})
        if answer.status == 201:
            wanted = "team/past", path.partition("?")[0][-2:]
            serving.wait_for(path, partial(heard, serving, *wanted))
    tags = json.loads(serving.ask("/v2/team/past/tags/list", user="docker").body)["tags"]
    assert {one["reference"] for one in told(serving) if one["repository"] == "team/past"} >= {*tags}
    assert {"v1", "v2", "v3", "v7"} <= {*tags}


def heard(instance: Instance, name: str, reference: str) -> bool:
    return (name, reference) in {(one["repository"], one["reference"]) for one in told(instance)}


class Pusher:
    """Somebody who pushes meanwhile."""

    def __init__(self, instance: Instance) -> None:
        self.instance, self.pool = instance, ThreadPoolExecutor(4)

    def push(self, name: str, tag: str, body: bytes) -> Future[Answer]:
        return self.pool.submit(put, self.instance, name, tag, body)


@pytest.mark.promise("manifest-service-killed")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_push_goes_on_though_it_is_ended_in_the_middle(serving: Instance, number: signal.Signals) -> None:
    name = f"team/killed-{number}"
    body = image(serving, name, "one")
    there, pusher = tree(serving), Pusher(serving)
    with flight.still(there, name):
        pushed = pusher.push(name, "v1", body)
        for _ in range(3 if number is signal.SIGKILL else 1):
            pid = service(serving)
            serving.wait_for("the push", lambda pid=pid: _holds(pid, there))  # type: ignore[misc]
            os.kill(pid, number)
            if number is signal.SIGKILL:
                serving.wait_for("another one", lambda pid=pid: service(serving) != pid)  # type: ignore[misc]
        assert not pushed.done()
    assert pushed.result(60).status == 201
    assert get(serving, name, "v1").body == body


def _holds(pid: int, there: Tree) -> bool:
    """Whether a manifest is on its way there."""
    wanted = str(there.base / "_trash/puts")
    return any(os.path.realpath(path) == wanted for path in Path(f"/proc/{pid}/fd").glob("*"))


@pytest.mark.promise("manifest-service-killed")
def test_no_push_is_refused_while_it_is_started_anew_again_and_again(serving: Instance) -> None:
    body, ended = image(serving, "team/often", "one"), threading.Event()
    kills = 0

    def kill() -> None:
        nonlocal kills
        while not ended.wait(0.05):
            serving.wait_for("an answer", lambda: lives(serving))
            os.kill(service(serving), signal.SIGKILL if kills % 2 else signal.SIGTERM)
            kills += 1

    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill)
        try:
            found = [put(serving, "team/often", f"v{number}", body).status for number in range(20)]
            gone = [delete(serving, "team/often", f"v{number}").status for number in range(5)]
        finally:
            ended.set()
        killing.result(30)
    assert found == [201] * 20 and kills > 3
    assert {*gone} <= {202, 404}, "404: it was killed once that was deleted, and asked again"
    tags = json.loads(serving.ask("/v2/team/often/tags/list", user="docker").body)["tags"]
    assert sorted(tags) == sorted(f"v{number}" for number in range(5, 20))


def test_many_at_once(serving: Instance) -> None:
    """More than it has threads, to few tags: each is acknowledged, and each tag is one of what was pushed."""
    bodies = [image(serving, "team/many", f"words {number}") for number in range(8)]
    with ThreadPoolExecutor(40) as pool:
        wished = [(f"v{number % 4}", bodies[number % 8]) for number in range(80)]
        found = [*pool.map(lambda one: put(serving, "team/many", *one).status, wished)]
    assert found == [201] * 80
    for tag in range(4):
        assert get(serving, "team/many", f"v{tag}").body in bodies


def test_a_registry_that_lets_nothing_be_deleted_has_the_last_word(serving: Instance) -> None:
    body = image(serving, "team/kept", "one")
    assert put(serving, "team/kept", "v1", body).status == 201
    serving.edit("docker-registry.yml", "  delete:\n    enabled: true", "  delete:\n    enabled: false")
    serving.reload()
    for reference in ("v1", digest_of(body)):
        answer = delete(serving, "team/kept", reference)
        assert (answer.status, codes(answer)) == (405, ["UNSUPPORTED"])
    assert get(serving, "team/kept", "v1").body == body


def test_a_registry_that_is_read_only_has_the_last_word(serving: Instance) -> None:
    body = image(serving, "team/read", "one")
    assert put(serving, "team/read", "v1", body).status == 201
    link = Path(Repository(tree(serving), "team/read").layer(json.loads(body)["layers"][0]["digest"]))
    before = link.stat().st_ctime_ns
    serving.edit("docker-registry.yml", "    uploadpurging:", "    readonly:\n      enabled: true\n    uploadpurging:")
    serving.reload()
    for answer in (delete(serving, "team/read", "v1"), put(serving, "team/read", "v2", body)):
        assert (answer.status, codes(answer)) == (405, ["UNSUPPORTED"])
    assert get(serving, "team/read", "v1").body == body
    assert link.stat().st_ctime_ns == before, "nothing was written there"


@pytest.mark.promise("manifest-service-away")
def test_where_nobody_listens_nothing_is_written_and_all_is_read(serving: Instance) -> None:
    body = image(serving, "team/away", "one")
    assert put(serving, "team/away", "v1", body).status == 201
    path, pid = serving.root / "run/secure-registry/manifests.sock", service(serving)
    path.rename(path.with_name("aside"))
    try:
        os.kill(pid, signal.SIGTERM)  # connections that nginx keeps lead to it still
        serving.wait_for("another one", lambda: service(serving) != pid)
        for answer in (put(serving, "team/away", "v2", body), delete(serving, "team/away", "v1")):
            assert (answer.status, codes(answer)) == (503, ["UNAVAILABLE"])
        assert get(serving, "team/away", "v1").body == body
        check = serving.run("status")
        assert check.returncode == 3 and "nothing can be pushed or deleted" in check.stdout, check.stdout
    finally:
        path.with_name("aside").rename(path)
    assert put(serving, "team/away", "v2", body).status == 201
    assert serving.run("status").returncode == 0


def test_a_registry_elsewhere_is_asked_as_it_is(instance: Instance) -> None:
    """It has no trash of ours; what it makes of a tag that is to be deleted is its own."""
    port, place = free_port(), instance.root / "elsewhere"
    place.mkdir()
    yml = f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {place}}}, delete: {{enabled: true}}}}\n"
    (instance.root / "elsewhere.yml").write_text(f"{yml}http: {{addr: '127.0.0.1:{port}'}}\n")
    with subprocess.Popen(["docker-registry", "serve", str(instance.root / "elsewhere.yml")], stderr=-3) as other:
        try:
            instance.start(REGISTRY_HOST="127.0.0.1", REGISTRY_PORT=str(port))
            body = image(instance, "team/app", "one")
            assert put(instance, "team/app", "v1", body).status == 201
            assert get(instance, "team/app", "v1").body == body
            by_tag = delete(instance, "team/app", "v1")
            assert (by_tag.status, codes(by_tag)) in ((400, ["DIGEST_INVALID"]), (202, [])), by_tag
            assert delete(instance, "team/app", digest_of(body)).status == 202
            assert get(instance, "team/app", "v1").status == 404
            assert not (place / "docker/registry/v2/_trash").exists()
        finally:
            other.terminate()
