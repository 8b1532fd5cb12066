"""Each rejection of nginx.conf names the line at fault, and what helps against that; what is no fault is accepted."""

from __future__ import annotations

import subprocess

import pytest

from tests.real.program import Instance, free_port
from tests.real.test_headers import INCLUDE

WRONG = {
    "location /v2/ { proxy_pass http://secreg_registry; }": "leave yours out",
    "location ~ ^/v2/_cat { return 200 x; }": "as in location ^~",
    "location ~ .* { return 200 x; }": "as in location ^~",
    "location = /v2/_catalog { return 200 x; }": "as in location ^~",
    "return 301 https://example.org$request_uri;": "into a location { } of its own",
    "rewrite ^ /pages/ last;": "into a location { } of its own",
    "ssl_certificate other.crt; ssl_certificate_key other.key;": "docker-registry.crt and docker-registry.key be that",
    "ssl_ciphers NONSENSE;": "openssl ciphers -v ALL",
    "listen 10.99.99.99:9443 ssl;": "tried again by itself",
    "auth_basic mine; auth_basic_user_file pages.users;": "into a location { } of its own",
    "foo bar;": "install the nginx module",
    "ssl_certificate_key /etc/passwd; ssl_certificate other.crt;": "the key of that certificate, in PEM form",
    "ssl_certificate /etc/passwd; ssl_certificate_key other.key;": "name a certificate, in PEM form",
    "ssl_verify_client optional; ssl_client_certificate other.key;": "certificates of CAs, in PEM form",
    "ssl_trusted_certificate /etc/passwd;": "certificates of CAs, in PEM form",
    "ssl_dhparam /etc/passwd;": "openssl dhparam -out FILE 2048",
    "ssl_session_ticket_key /etc/passwd;": "openssl rand -out FILE 80",
}
"""A line beside the registry's include: what is said of it."""


@pytest.mark.promise("messages")
def test_what_is_at_fault(serving: Instance) -> None:
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-batch"]
    made = subprocess.run([*make, "-keyout", "-"], capture_output=True, text=True, check=True).stdout
    at = made.index("-----BEGIN CERTIFICATE")
    serving.write("pages.users", "alice:{PLAIN}secret\n")
    serving.write("other.key", made[:at])
    serving.write("other.crt", made[at:])
    was = (serving.etc / "nginx.conf").read_text()
    line = was[: was.index(INCLUDE)].count("\n") + 1
    for text, remedy in WRONG.items():
        serving.write("nginx.conf", was.replace(INCLUDE, f"        {text}\n{INCLUDE}"))
        said = serving.reload()
        assert f"rejected: {serving.etc}/nginx.conf:{line}: " in said, (text, said)
        hint = serving.run("status").stdout
        assert remedy in hint and "include secure-registry" not in hint.replace("registry's needs", ""), (text, hint)


def test_a_server_that_stands_before_the_registry_s(serving: Instance) -> None:
    """It has the same name, at the same port."""
    taken = f"server {{ listen {serving.port} ssl; server_name localhost; location / {{ return 200 x; }} }}"
    was = serving.edit("nginx.conf", "    server {", f"    {taken}\n    server {{")
    line = was[: was.index("    server {")].count("\n") + 1
    said = serving.reload()
    if "rejected" in said:
        assert f"nginx.conf:{line}: " in said and "of its own" in serving.run("status").stdout


def test_what_is_no_fault(serving: Instance) -> None:
    """A second port with TLS for something else, a server that catches all others, and what Debian has to include."""
    other = free_port()
    more = f"""
    include /etc/nginx/mime.types;
    include /etc/nginx/conf.d/*.conf;
    server {{ listen {other} ssl; server_name other.example; root /usr/share/nginx/html; location / {{ }} }}
    server {{ listen {serving.port} ssl default_server; server_name _; ssl_reject_handshake on; }}
    server {{"""
    serving.edit("nginx.conf", "    server {", more)
    serving.edit("nginx.conf", "worker_processes", "include /etc/nginx/modules-enabled/*.conf;\nworker_processes")
    assert "rejected" not in (said := serving.reload()), said
    assert serving.ask("/", port=other).status in (200, 403) and serving.ask("/v2/", user="docker").status == 200


@pytest.mark.promise("settings-without-effect")
def test_a_port_without_effect_is_told(serving: Instance) -> None:
    """PORT was set, but nginx.conf was edited; not when it listens there, too, nor when nobody set PORT."""
    port = free_port()
    conf = (serving.etc / "secure-registry.conf").read_text()
    line = conf[: conf.index("PORT=")].count("\n") + 1
    assert "no effect" not in serving.run("status").stdout
    serving.edit("nginx.conf", "keepalive_timeout", "# mine\n    keepalive_timeout")
    serving.edit("secure-registry.conf", f"PORT={serving.port}", f"PORT={port}")
    said = serving.reload()
    assert f"secure-registry.conf:{line}: PORT={port} has no effect: {serving.etc}/nginx.conf was edited" in said
    assert f"listen {port} ssl;" in serving.run("status").stdout
    serving.edit("nginx.conf", f"listen {serving.port} ssl;", f"listen {serving.port} ssl; listen {port} ssl;")
    assert "no effect" not in serving.reload() and "no effect" not in serving.run("status").stdout
