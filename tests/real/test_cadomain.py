"""CA_DOMAIN, judged by openssl-verify(1): what the CA's key, in whoever's hands, is good for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.real.program import Instance

NAME = "registry.example.org"


def verdict(instance: Instance, folder: Path, name: str) -> str:
    """What openssl has against a certificate for `name` that a thief of the CA's key makes; "": nothing."""
    folder.mkdir(exist_ok=True)
    ca, key = instance.etc / "ca.crt", instance.lib / "state/ca.key"
    files = (
        "-CA",
        str(ca),
        "-CAkey",
        str(key),
        "-days",
        "9",
        "-keyout",
        str(folder / "key"),
        "-out",
        str(folder / "crt"),
    )
    subject = ("-subj", "/O=thief", "-addext", f"subjectAltName=DNS:{name}", "-addext", "basicConstraints=CA:FALSE")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *subject], check=True, capture_output=True
    )
    argv = ["openssl", "verify", "-purpose", "sslserver", "-verify_hostname", name, "-CAfile", str(ca)]
    done = subprocess.run([*argv, str(folder / "crt")], capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


@pytest.mark.promise("ca-may-not-sign", "ca-signs-its-names-only")
def test_the_ca_is_for_the_hosts_names_and_wider_by_choice(instance: Instance, tmp_path: Path) -> None:
    """An existing CA stays as it is until it is asked for another, and status and gencert name the line meanwhile."""
    instance.start(SERVER_NAME=NAME, O="C# Corp")
    subject = subprocess.run(
        [
            "openssl",
            "x509",
            "-noout",
            "-subject",
            "-nameopt",
            "RFC2253",
            "-in",
            str(instance.etc / "docker-registry.crt"),
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert ",O=C# Corp," in subject, "seen: O=C"
    conf = instance.etc / "secure-registry.conf"
    for name in (NAME, f"a.{NAME}", f"*.{NAME}", "localhost"):
        assert verdict(instance, tmp_path, name) == "", name
    for name in ("other.example.org", "example.org", f"x{NAME}", "registry.example.com"):
        assert "permitted subtree violation" in verdict(instance, tmp_path, name), name

    before = (instance.etc / "ca.crt").read_bytes()
    text = conf.read_text()
    at = text.splitlines().index("#CA_DOMAIN=example.org") + 1
    instance.write("secure-registry.conf", text.replace("#CA_DOMAIN=", "CA_DOMAIN="))
    line = f"{conf}:{at}: CA_DOMAIN: the host's CA may not sign names below example.org"
    said = instance.reload()
    assert "warning: " + line in said and "gencert --new-ca" in said
    assert line in instance.run("status").stdout
    instance.edit("openssl.cnf", f"DNS.1 = {NAME}", f"DNS.1 = {NAME}\nDNS.9 = other.example.org")
    refused = instance.run("gencert")
    assert refused.returncode == 2 and "may not sign other.example.org" in refused.stderr
    assert (instance.etc / "ca.crt").read_bytes() == before

    assert instance.run("gencert", "--new-ca").returncode == 0
    for name in (NAME, "other.example.org", "a.b.example.org"):
        assert verdict(instance, tmp_path, name) == "", name
    for name in ("example.com", "xexample.org", "org"):
        assert "permitted subtree violation" in verdict(instance, tmp_path, name), name
    assert "CA_DOMAIN" not in instance.reload()

    instance.edit("secure-registry.conf", "CA_DOMAIN=example.org", "CA_DOMAIN=co.uk")
    assert f"rejected: {conf}:{at}: CA_DOMAIN: below a public suffix" in instance.reload()
    assert instance.ask("/v2/", user="docker").status == 200
