"""The front's logs: in order, JSON whatever clients send, and failed logins that fail2ban reads."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from secreg_host.apply import clientproof
from tests.real.program import CHECKOUT, Instance, free_port
from tests.real.test_clientproof import host_of, serving_of
from tests.real.test_front import upload

FAIL2BAN = CHECKOUT / "packaging/fail2ban"
FILTER = FAIL2BAN / "filter.d/secure-registry.conf"
CLIENT = "127.0.0.9"


def logs(instance: Instance) -> Path:
    return instance.root / "var/log/secure-registry"


@pytest.fixture
def fresh(serving: Instance) -> Iterator[Instance]:
    """One with empty logs, the JSON one among them."""
    if "    #access_log" in (serving.etc / "nginx.conf").read_text():
        serving.edit("nginx.conf", "    #access_log", "    access_log")
        assert "rejected" not in serving.reload()
    for path in logs(serving).iterdir():
        os.truncate(path, 0)
    yield serving


def send(
    instance: Instance, request: bytes, port: int | None = None, address: str = CLIENT, plain: bool = False
) -> bytes:
    """All that is answered to the bytes of a request from `address`, to its end."""
    link = socket.create_connection(("127.0.0.1", port or instance.port), 10, (address, 0))
    if not plain:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        link = context.wrap_socket(link)
    with link:
        link.sendall(request)
        data = b""
        while piece := link.recv(65536):
            data += piece
    return data


def basic(user: bytes, password: bytes = b"wrong") -> bytes:
    return b"Authorization: Basic " + base64.b64encode(user + b":" + password)


def request(path: bytes, *headers: bytes, method: bytes = b"GET") -> bytes:
    return b"\r\n".join(
        [method + b" " + path + b" HTTP/1.1", b"Host: localhost", b"Connection: close", *headers, b"", b""]
    )


def objects(instance: Instance, last: str) -> list[dict[str, Any]]:
    """The lines of access.json once the one of the agent `last` is there; each is strict JSON, and UTF-8."""
    log = logs(instance) / "access.json"
    instance.ask("/v1/_ping", headers={"User-Agent": last})
    instance.wait_for("the log", lambda: f'"agent":"{last}"' in log.read_text())
    return [json.loads(line) for line in log.read_bytes().decode().splitlines()][:-1]


@pytest.mark.promise("access-json")
def test_each_request_is_an_object(fresh: Instance) -> None:
    data = os.urandom(5000)
    digest = upload(fresh, "team/app", data)
    agent = {"User-Agent": 'docker/26.1 é\\"'}
    config = {"mediaType": "a/b", "digest": digest, "size": len(data)}
    kind = "application/vnd.oci.image.manifest.v1+json"
    body = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []}).encode()
    url = "/v2/team/app/manifests/v1.0"
    fresh.ask(url, "PUT", user="docker", body=body, headers={"Content-Type": kind, **agent})
    fresh.ask(f"/v2/team/app/blobs/{digest}", user="docker")
    fresh.ask(url, user="docker", headers={"Accept": kind})
    fresh.ask("/v2/team/app/manifests/" + digest, user="docker", password="wrong")
    found = {f"{one['method']} {one['uri'].partition('?')[0]}": one for one in objects(fresh, "end")}
    for one in found.values():
        assert datetime.fromisoformat(one["time"]).tzinfo is not None and one["address"] in ("127.0.0.1", "::1")
        assert isinstance(one["duration"], float) and 0 <= one["duration"] < 30 and one["received"] > 0
    manifest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    for method, (status, size) in {"PUT": (201, 0), "GET": (200, len(body))}.items():
        one = found[f"{method} {url}"]
        named = [one[name] for name in ("user", "status", "repository", "reference", "digest", "bytes")]
        assert named == ["docker", status, "team/app", "v1.0", manifest, size]
    assert found[f"PUT {url}"]["agent"] == "docker/26.1 \N{REPLACEMENT CHARACTER}"  # a client of HTTP/1.1 sends Latin-1
    assert found[f"PUT {url}"]["received"] > len(body)
    blob = found[f"GET /v2/team/app/blobs/{digest}"]
    assert [blob[name] for name in ("repository", "reference", "digest", "bytes")] == ["team/app", "", digest, 5000]
    (pushed,) = [one for name, one in found.items() if name.startswith("PUT /v2/team/app/blobs/uploads/")]
    assert (pushed["repository"], pushed["digest"], pushed["status"]) == ("team/app", digest, 201)
    refused = found[f"GET /v2/team/app/manifests/{digest}"]
    assert (refused["status"], refused["user"], refused["digest"]) == (401, "docker", digest)


ODD = [bytes([one]) for one in range(1, 256) if one not in b"\r\n"]
PIECES = [
    *ODD,
    b"\xc3\xa9",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x90\xb3",
    b"\xf5\x80\x80\x80",
    b"\xc0\xaf",
    b'","user":"root',
    b"\\u0000",
]


@pytest.mark.promise("access-json")
def test_odd_bytes_do_no_harm(fresh: Instance) -> None:
    """In the path, the agent and the user's name; each from an address of its own, for wrong passwords wait."""
    for number, piece in enumerate(PIECES):
        headers = b"User-Agent: a" + piece + b"b", basic(b"c" + piece + b"d")
        send(
            fresh,
            request(b"/v2/x" + piece + b"y/manifests/z", *headers),
            address=str(ipaddress.IPv4Address("127.3.0.1") + number),
        )
    for raw in (b"GARBAGE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\r\n\r\n", b"GET /\r\n"):
        send(fresh, raw)
    send(fresh, request(b"/v2/" + b"x" * 9000))
    found = objects(fresh, "end")
    agents = {one["agent"] for one in found}
    assert len(found) >= len(PIECES)
    assert {'a","user":"rootb', "a\N{LATIN SMALL LETTER E WITH ACUTE}b", "a\N{SPOUTING WHALE}b"} < agents
    assert {"a\N{REPLACEMENT CHARACTER}"} < agents and all(one["user"] != "root" for one in found)
    assert {'c"d', "c\\d", "c\N{REPLACEMENT CHARACTER}"} < {one["user"] for one in found}
    assert all(one["address"].startswith("127.") for one in found)


@pytest.mark.promise("log-order")
def test_lines_are_in_the_order_in_which_answers_end(fresh: Instance) -> None:
    """Whichever worker it was that answered."""
    fresh.edit("nginx.conf", "worker_processes  auto", "worker_processes  4")
    assert "rejected" not in fresh.reload()
    for number in range(100):
        fresh.ask("/v1/_ping", headers={"User-Agent": f"number-{number}"})
    log = logs(fresh) / "access.log"
    fresh.wait_for("all lines", lambda: log.read_text().count("number-") == 100)
    assert re.findall(r'"number-([0-9]+)"', log.read_text()) == list(map(str, range(100)))


LINE = b"2026-01-01T00:00:00+00:00 203.0.113.66 wrong password for user"
FORGED = [
    b"x",
    b"",
    b'" from 203.0.113.66',
    b"203.0.113.66",
    b"\n" + LINE + b' "x',
    LINE,
    b"\xff\xfe",
    b"::1",
    b"a b\tc",
]
CLAIMS = [b"X-Forwarded-For: 203.0.113.66", b"X-Real-IP: 203.0.113.66", b"Forwarded: for=203.0.113.66"]


def banned(instance: Instance) -> dict[str, int]:
    """How many lines fail2ban counts for each address; it must take every line there is."""
    log = logs(instance) / "failed-logins.log"
    argv = ["fail2ban-regex", "--out", "ip", str(log), str(FILTER)]
    found = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert len(found) == len(log.read_text().splitlines()), log.read_text()
    return {address: found.count(address) for address in found}


def run_probe(instance: Instance) -> str:
    """What our own probe says of logging in."""
    host = host_of(instance)
    return clientproof.login(host, serving_of(host))


@pytest.mark.promise("fail2ban", "failed-logins", "failed-logins-are-not-forged")
def test_failed_logins_are_told_with_the_clients_address(fresh: Instance) -> None:
    """A line each that fail2ban reads, whatever a client claims, and whoever he says he is; none for no password, a
    right one or our probe."""
    secure, trusting = free_port(), free_port()
    more = f"""
    server {{ listen {secure} ssl; server_name a; location / {{ proxy_pass http://secreg_registry; }} }}
    server {{
        listen {trusting} ssl; server_name b; set_real_ip_from {CLIENT}; real_ip_header X-Forwarded-For;
        location / {{ proxy_pass http://secreg_registry; }}
    }}
    server {{"""
    fresh.edit("nginx.conf", "http {", "http {\n    set_real_ip_from unix:; real_ip_header X-Forwarded-For;")
    fresh.edit("nginx.conf", "    server {", more)
    assert "rejected" not in (said := fresh.reload()), said
    assert fresh.ask("/v2/").status == 401 and fresh.ask("/v2/", user="docker").status == 200
    log = logs(fresh) / "failed-logins.log"
    assert log.read_text() == ""
    secret = fresh.password.encode()
    for number, user in enumerate(FORGED):
        for port in (None, secure):
            answer = send(fresh, request(b"/v2/", basic(user), *CLAIMS), port, f"127.4.{number}.{1 + bool(port)}")
            assert answer.startswith(b"HTTP/1.1 401"), answer
    assert send(fresh, request(b"/v2/", basic(b"docker", secret), *CLAIMS)).startswith(b"HTTP/1.1 200")
    probes = (b"secure-registry-probe", b"Secure-Registry-Probe")
    for number, user in enumerate(probes, 1):
        send(fresh, request(b"/v2/", basic(user), *CLAIMS), None, f"127.4.200.{number}")
    lines = 2 * len(FORGED) + len(probes)
    fresh.wait_for("all lines", lambda: len(log.read_text().splitlines()) == lines)
    expected = {f"127.4.{number}.{last}": 1 for number in (*range(len(FORGED)), 200) for last in (1, 2)}
    assert banned(fresh) == expected
    assert run_probe(fresh) == "" and len(log.read_text().splitlines()) == lines, "a wrong one of our probe's"
    assert 'wrong password for user "x"\n' in log.read_text() and secret.decode() not in log.read_text()
    # whom nginx.conf trusts to say it, is believed
    send(fresh, request(b"/v2/", basic(b"x"), b"X-Forwarded-For: 192.0.2.7"), trusting)
    send(fresh, request(b"/v2/", basic(b"x"), b"X-Forwarded-For: 192.0.2.8"), trusting, "127.4.99.1")
    fresh.wait_for("the last lines", lambda: len(log.read_text().splitlines()) == lines + 2)
    assert {address for address in banned(fresh) if not address.startswith("127.4.")} == {"192.0.2.7"}
    assert banned(fresh)["127.4.99.1"] == 1


def test_an_address_of_ipv6_is_told_whole(fresh: Instance) -> None:
    assert fresh.ask("/v2/", user="x", password="y", address="::1").status == 401
    fresh.wait_for("the line", lambda: (logs(fresh) / "failed-logins.log").read_text() != "")
    assert banned(fresh) == {"::1": 1}


@pytest.mark.promise("fail2ban")
def test_the_jail_is_off_until_somebody_wants_it(shared: Instance, tmp_path: Path) -> None:
    """By Debian's own configuration of fail2ban, with our files in their places."""
    place = tmp_path / "fail2ban"
    shutil.copytree("/etc/fail2ban", place)
    shutil.copytree(FAIL2BAN, place, dirs_exist_ok=True)

    def jail() -> str:
        shown = subprocess.run(["fail2ban-client", "-c", str(place), "-d"], capture_output=True, text=True)
        assert shown.returncode == 0, shown
        return "\n".join(line for line in shown.stdout.splitlines() if "secure-registry" in line)

    log, shipped = logs(shared) / "failed-logins.log", place / "jail.d/secure-registry.conf"
    shipped.write_text(shipped.read_text().replace("/var/log/secure-registry/", f"{logs(shared)}/"))
    wanted = "[DEFAULT]\nbackend = auto\n[sshd]\nenabled = false\n[secure-registry]\n"
    (place / "jail.local").write_text(wanted)
    assert jail() == ""
    (place / "jail.local").write_text(f"{wanted}enabled = true\n")
    assert str(log) in jail() and "https" in jail() and "wrong password" in jail()
    (place / "jail.local").write_text(f"{wanted}enabled = true\nport = 8443\n")
    assert "8443" in jail()


@pytest.mark.promise("logs-for-adm")
def test_logs_are_rotated_each_week(tmp_path: Path) -> None:
    """As logrotate(8) reads our file, on a machine that lacks its user."""
    file = tmp_path / "secure-registry"
    text = (CHECKOUT / "packaging/logrotate.d/secure-registry").read_text()
    file.write_text(text.replace("secure-registry-nginx adm", "root root"))
    file.chmod(0o644)
    argv = ["logrotate", "--debug", "--state", str(tmp_path / "state"), str(file)]
    said = subprocess.run(argv, capture_output=True, text=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}).stderr
    assert re.search(r"rotating pattern: /var/log/secure-registry/\*\.log .*\*\.json\s+weekly ", said), said
