"""What nginx.conf and docker-registry.yml add to answers is on each, whoever makes it; what is the administrator's."""

from __future__ import annotations

import json
from http.client import parse_headers
from io import BytesIO

import pytest

from tests.real.program import Instance, free_port
from tests.real.test_front import registry_stopped, upload
from tests.real.test_logs import basic, request, send

INCLUDE = "        include secure-registry/registry.conf;"
ADDED = 'add_header X-Mine "a $http_x_word" always;'


def beside(instance: Instance, text: str) -> str:
    """Let the server block of nginx.conf say `text`, too; what came of it."""
    instance.edit("nginx.conf", INCLUDE, f"        {text}\n{INCLUDE}")
    return instance.reload()


def raw(
    instance: Instance, sent: bytes, port: int | None = None, *, plain: bool = False
) -> tuple[int, list[str], bytes]:
    """The status, the headers `X-Mine` and `X-Theirs`, and the body of what is answered to `sent`."""
    head, _, body = send(instance, sent, port, plain=plain).partition(b"\r\n\r\n")
    line, _, headers = head.partition(b"\r\n")
    found = parse_headers(BytesIO(headers + b"\r\n\r\n"))
    return (
        int(line.split()[1]),
        [value.strip() for name in ("X-Mine", "X-Theirs") for value in found.get_all(name, [])],
        body,
    )


@pytest.mark.promise("headers")
def test_headers_are_on_every_answer_once(serving: Instance) -> None:
    data = b"0123456789"
    digest = upload(serving, "some/thing", data)
    kind = "application/vnd.oci.image.manifest.v1+json"
    config = {"mediaType": "a/b", "digest": digest, "size": len(data)}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []}).encode()
    url = "/v2/some/thing/manifests/1"
    assert serving.ask(url, "PUT", user="docker", body=manifest, headers={"Content-Type": kind}).status == 201
    theirs = "version: 0.1\nhttp: {headers: {X-Theirs: ['c$host\"']}}"
    serving.edit("docker-registry.yml", "version: 0.1", theirs)
    assert "rejected" not in (said := beside(serving, ADDED)), said
    right, blob = basic(b"docker", serving.password.encode()), f"/v2/some/thing/blobs/{digest}".encode()
    expected = {
        "a list": (request(b"/v2/_catalog", right), 200),
        "the registry's error": (request(b"/v2/none/tags/list", right), 404),
        "no password": (request(b"/v2/"), 401),
        "a wrong one": (request(b"/v2/", basic(b"docker")), 401),
        "a blob": (request(blob, right), 200),
        "a part of one": (request(blob, right, b"Range: bytes=1-3"), 206),
        "a part that it has not": (request(blob, right, b"Range: bytes=99-"), 416),
        "a manifest": (request(url.encode(), right, b"Accept: " + kind.encode()), 200),
        "the probe's name": (request(b"/v2/", basic(b"secure-registry-probe")), 401),
        "what is the probe's": (request(b"/v2/secure-registry-probe/tags/list", right), 403),
        "nothing": (request(b"/none"), 404),
        "a ping": (request(b"/v1/_ping"), 200),
        "a way": (request(b"/v2"), 301),
        "health": (request(b"/healthz"), 200),
        "the CA": (request(b"/ca.crt"), 200),
    }
    for what, (sent, status) in expected.items():
        got = raw(serving, sent.replace(b"\r\nHost", b"\r\nX-Word: b\r\nHost", 1))
        assert got[:2] == (status, ["a b", 'c$host"']), (what, got)
    with registry_stopped(serving):
        for what in ("a blob", "a manifest", "no password"):
            assert raw(serving, expected[what][0])[:2] == (expected[what][1], ["a", 'c$host"']), what


def test_servers_with_other_headers(serving: Instance) -> None:
    """Each by its own, one by those of http { }; one that passes requests on adds its own."""
    ports = [free_port() for _ in range(3)]
    more = f"""
    add_header X-Mine common always;
    server {{ listen {ports[0]} ssl; {INCLUDE} }}
    server {{ listen {ports[1]} ssl;
              location / {{ proxy_pass http://secreg_registry; add_header X-Mine passed always; }} }}
    server {{ listen {ports[2]} ssl; add_header X-Mine other always; {INCLUDE}
              location / {{ return 200 mine; }} location = /v1/_ping {{ return 200 mine; }} }}
    server {{"""
    beside(serving, ADDED)
    serving.edit("nginx.conf", "    server {", more)
    assert "rejected" not in (said := serving.reload()), said
    for port, mine in zip((serving.port, *ports), ("a", "common", "passed", "other"), strict=True):
        assert raw(serving, request(b"/v2/"), port)[:2] == (401, [mine]), mine
        assert raw(serving, request(b"/v2/", basic(b"docker", serving.password.encode())), port)[:2] == (200, [mine])
    for path in (b"/", b"/v1/_ping", b"/any/thing"):
        assert raw(serving, request(path), ports[2]) == (200, ["other"], b"mine")
    assert [raw(serving, request(b"/"), port)[0] for port in (serving.port, ports[0])] == [404, 404]


@pytest.mark.promise("own-pages")
def test_a_page_of_the_administrators(serving: Instance) -> None:
    """location / is his, whichever way he writes it; the registry's paths are not."""
    for kind in ("/", "^~ /", "=/ca.crt { return 200 mine; } location /"):
        was = (serving.etc / "nginx.conf").read_text()
        assert "rejected" not in (said := beside(serving, f"location {kind} {{ return 200 mine; }}")), said
        assert raw(serving, request(b"/pages")) == (200, [], b"mine"), kind
        assert raw(serving, request(b"/v2/_catalog"))[0] == 401
        serving.write("nginx.conf", was)


def test_a_file_that_servers_share(serving: Instance) -> None:
    port = free_port()
    serving.write("shared.conf", "include secure-registry/registry.conf;\n")
    more = f"server {{ listen {port} ssl; include shared.conf; }}\n    server {{ {ADDED}"
    serving.edit("nginx.conf", "server {", more)
    serving.edit("nginx.conf", INCLUDE, "        include shared.conf;")
    assert "shared.conf:1: add_header" in serving.reload()
    assert serving.ask("/v2/", port=port).status == 401


@pytest.mark.parametrize("host", [b"localhost", b"127.0.0.1", b"elsewhere.example"])
def test_plain_http_is_told_that_this_is_tls(serving: Instance, host: bytes) -> None:
    assert "rejected" not in beside(serving, ADDED)
    for path in (b"/v2/", b"/", b"/v2/some/manifests/1"):
        for headers in ((), (basic(b"docker", serving.password.encode()),)):
            sent = request(path, *headers).replace(b"localhost", host)
            status, mine, body = raw(serving, sent, plain=True)
            assert (status, mine) == (400, ["a"]) and b"WWW-Authenticate" not in send(serving, sent, plain=True)
            (error,) = json.loads(body)["errors"]
            assert (error["code"], "https" in error["message"]) == ("UNSUPPORTED", True)


def test_who_sends_plain_http_elsewhere_does(serving: Instance) -> None:
    assert "rejected" not in beside(serving, "error_page 497 =307 https://$host:$server_port$request_uri;")
    answer = send(serving, request(b"/v2/"), plain=True)
    assert answer.startswith(b"HTTP/1.1 307") and f"https://localhost:{serving.port}/v2/".encode() in answer
