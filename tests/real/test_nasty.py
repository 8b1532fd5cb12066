"""Names, paths and secrets as an attacker or an unlucky administrator chooses them: data to all who read them."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from secreg_host.base import templating
from secreg_host.base.paths import TEMPLATES
from tests.real.program import NOBODY, Instance, free_port
from tests.real.test_front import registry_stopped, upload

ODD = "im ages;{x}'\"%d #&"
PWNED = "x'$(touch${IFS}/tmp/secreg-pwned)'.example"
ESCAPE = "../../cron.d/evil"
SECRET = "s3cr3tMARK"


@pytest.mark.promise("quoting")
def test_paths_and_headers_with_any_characters_serve(instance: Instance) -> None:
    """The whole instance, its images and a header: through nginx.conf, YAML, JavaScript and command lines."""
    instance.root = instance.root / "a b;{'\"#%"
    instance.root.mkdir()
    if os.geteuid() == 0:
        os.chown(instance.root, NOBODY, NOBODY)
    instance.start()
    images = instance.root / ODD
    instance.edit("docker-registry.yml", json.dumps(str(instance.lib / "storage")), json.dumps(str(images)))
    headers = "http: {headers: {X-Odd: ['a\"b; {c} \\ #']}}"
    instance.edit("docker-registry.yml", "version: 0.1", f"version: 0.1\n{headers}")
    said = instance.reload()
    assert "rejected" not in said and "warning" not in said, said
    digest = upload(instance, "a/b", b"x" * 100)
    assert (images / "docker/registry/v2/blobs").is_dir()
    with registry_stopped(instance):
        blob = instance.ask(f"/v2/a/b/blobs/{digest}", user="docker")
        assert (blob.status, blob.body, blob.headers["X-Odd"]) == (200, b"x" * 100, 'a"b; {c} \\ #')
    assert instance.run("status").returncode == 0


def test_a_root_that_nginx_can_not_take_is_refused(instance: Instance) -> None:
    instance.root = instance.root / "a$b"
    done = instance.run("setup")
    assert done.returncode == 2 and "--root: nginx can't take" in done.stderr and not instance.root.exists()


def evil_pair() -> tuple[bytes, bytes, bytes]:
    """A certificate for localhost and for what no name is, its key, and the CA that signed it."""
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a CA")])

    def made(subject: str, public: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType) -> bytes:
        builder = x509.CertificateBuilder(
            issuer, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]), public, 1, now - day, now + 90 * day
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in ("localhost", "reg.example", PWNED, ESCAPE)])
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    ca = made("a CA", ca_key.public_key(), x509.BasicConstraints(True, None))
    return made("x", key.public_key(), names), key.private_bytes(*form), ca


@pytest.mark.promise("odd-names")
def test_names_of_a_certificate_that_are_none_are_told_and_passed_over(serving: Instance) -> None:
    crt, key, ca = evil_pair()
    serving.write("docker-registry.crt", crt)
    serving.write("docker-registry.key", key)
    serving.write("ca.crt", ca)
    said = serving.reload()
    assert "2 of its names are neither host names nor addresses" in said and "rejected" not in said, said
    assert serving.ask("/v2/", user="docker").status == 200  # it serves
    for words in (["--line"], []):
        shown = serving.run("trust", "show", *words).stdout
        assert "reg.example" in shown and "pwned" not in shown and "evil" not in shown
    status = serving.run("status", "--json").stdout
    assert not any("pwned" in url or ".." in url for url in json.loads(status)["urls"])
    assert "neither host names nor addresses" in serving.run("status").stdout


@pytest.mark.promise("quoting")
@pytest.mark.parametrize("template", ["show.sh.j2", "line.sh.j2"])
def test_a_shell_takes_any_word_for_a_word(root: Path, template: str) -> None:
    """The script that is piped into a root shell, with words that no endpoint has, run by sh."""
    pwned, asked, stubs = root / "pwned", root / "asked", root / "stubs"
    words = [
        f"$(touch {pwned})", f"`touch {pwned}`", f"';touch {pwned};'", f'"; touch {pwned}; "', f"\ntouch {pwned}\n",
        f"${{x:-$(touch {pwned})}}", "*", "\\", "a b", "-n", f"&& touch {pwned} #",
    ]  # fmt: skip
    variables = {
        "best": "best",
        "addresses": words,
        "spellings": words,
        "fingerprint": f"0'$(touch {pwned})\"",
        "within": "",
    }
    script = templating.render(TEMPLATES, f"trust/{template}", **variables).decode()
    stubs.mkdir()
    curl = f'for each; do case $each in https:*) printf "%s\\0" "$each" >> {asked};; esac; done'
    for name, text in {"id": "echo 0", "curl": curl}.items():
        (stubs / name).write_text(f"#!/bin/sh\n{text}\n")
        (stubs / name).chmod(0o755)
    (root / "script").write_text(script)
    argv = ["sh", str(root / "script")]
    if os.geteuid() == 0:
        os.chown(root, NOBODY, NOBODY)
        argv = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *argv]
    subprocess.run(argv, env={"PATH": f"{stubs}:/usr/bin:/bin"}, capture_output=True, timeout=30)
    assert not pwned.exists()
    assert asked.read_bytes().split(b"\0")[:-1] == [f"https://{word}/ca.crt".encode() for word in words]


def cases() -> dict[str, list[str]]:
    """Files that are wrong around a secret: text to replace by (`old => new`), or to add at the end."""
    conf = f"""\
PASSWORD {SECRET}
{SECRET}
export PASSWORD {SECRET}=x
{SECRET}=
PORT={SECRET}
SERVER_NAME=localhost PASSWORD={SECRET}
SERVER_IP={SECRET}
C={SECRET}
KEY_TYPE={SECRET}
DOCKER_TRUST={SECRET}
CERT_DAYS={SECRET}
REGISTRY_HOST={SECRET} x
NGINX_BINARY={SECRET}
USERNAME=a:{SECRET}
OPT=-b docker {SECRET}
PASSWORD="{SECRET}
"""
    cnf = f"""\
[{SECRET}
{SECRET}
[req]
input_password = ${SECRET}
default_bits = {SECRET}
distinguished_name = {SECRET}
[v3_req]
{SECRET} = x
keyUsage = {SECRET}
subjectAltName = {SECRET}
[alt_names]
DNS.7 = {SECRET}_/
IP.7 = {SECRET}
{SECRET} = x
"""
    yml = [
        f"\n x: [{SECRET}",
        f"\n'{SECRET}': {SECRET}: {SECRET}",
        f"\nx: *{SECRET}",
        f"\nx: !{SECRET} y",
        f"\nx: !!int {SECRET}",
        f"\nx: !!timestamp {SECRET}",
        f"\n{SECRET}\n",
        f"version: 0.1 => version: {SECRET}",
        f"level: warn => level: {SECRET}",
        f"age: 168h => age: {SECRET}",
        f"maxthreads: 100 => maxthreads: {SECRET}",
        f"rootdirectory:  => rootdirectory: {SECRET}",
        f"filesystem: => {SECRET}:",
        f"\nhttp: {SECRET}",
        f"\nredis:\n  addr: localhost:1\n  db: {SECRET}",
        f"\nhttp:\n  headers: {{X: '{SECRET}'}}",
    ]
    server = "server_name => {}; server_name"
    nginx = [server.format(text) for text in (
        f'"{SECRET}"', f"{SECRET} x", f'proxy_set_header Authorization; "Basic {SECRET}"',
        f'proxy_set_header Authorization "Basic {SECRET}" x', f'proxy_read_timeout "{SECRET}"', f'set $x "${SECRET}"',
        f'proxy_pass "{SECRET}"', f"ssl_protocols {SECRET}", f'"/{SECRET}"', f'add_header X "a\n{SECRET}" a a a a',
    )]  # fmt: skip
    nginx += [f"server_name => '{SECRET}; server_name", f"server_name => {SECRET} {{ server_name", f"\n{SECRET}"]
    users = f"{SECRET}\n{SECRET}:\n{SECRET}:x\nbob:{SECRET}\neve:{{PLAIN}}{SECRET}\n{SECRET}:{SECRET}:{SECRET}\n"
    return {
        "secure-registry.conf": [conf],
        "openssl.cnf": [cnf],
        "docker-registry.yml": yml,
        "nginx.conf": nginx,
        ".htpasswd": [users],
    }


@pytest.mark.promise("nothing-is-quoted", "secrets")
@pytest.mark.parametrize("name", list(cases()))
def test_no_line_of_a_file_is_quoted(serving: Instance, name: str) -> None:
    """Not by reload or status, in the record, or to hooks. What the registry itself prints is its own."""
    hook, told = serving.etc / "hooks.d/tell", serving.root / f"told-{name}"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nenv >> {told}\n")
    hook.chmod(0o755)
    good = (serving.etc / name).read_text()
    for case in cases()[name]:
        old, arrow, new = case.partition(" => ")
        assert not arrow or old in good
        serving.write(name, good.replace(old, new, 1) if arrow else good + case)
        said = "".join(line for line in serving.reload().splitlines(keepends=True) if not line.startswith("registry@"))
        assert f"{serving.etc}/{name}" in said, (case, said)
        shown = said + (serving.lib / "state/report.json").read_text()
        assert SECRET not in shown, (case, shown)
    for words in (["status"], ["status", "--json"]):
        shown = serving.run(*words).stdout
        assert f"{serving.etc}/{name}" in shown and SECRET not in shown
    serving.wait_for("the hook", told.exists)
    assert "SECREG_REASON" in told.read_text() and SECRET not in told.read_text()
    shutil.rmtree(hook.parent)


@pytest.mark.promise("hooks-of-others")
def test_a_hook_that_others_can_write_is_told_and_not_run(serving: Instance) -> None:
    ran = serving.root / "ran"
    for name, mode in (("good", 0o755), ("bad", 0o777)):
        hook = serving.etc / "hooks.d" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\necho {name} $SECREG_EVENT >> {ran}\n")
        hook.chmod(mode)
    serving.root.chmod(0o755)
    (serving.etc / "docker-registry.key").chmod(0o644)
    bad, key = serving.etc / "hooks.d/bad", serving.etc / "docker-registry.key"
    said = serving.reload()
    assert f"warning: {bad}: is not run: others than root can write {bad}\n  -> chmod go-w {bad}" in said
    assert f"warning: {key}: every user of this host can read it\n  -> chmod o-r {key}" in said
    assert f"{bad}: is not run" in serving.run("status").stdout and serving.run("status").returncode == 0
    serving.wait_for("the hook", lambda: ran.exists() and "good" in ran.read_text())
    serving.edit("nginx.conf", "worker_processes", "# more\nworker_processes")
    serving.reload()
    serving.wait_for("the hook", lambda: "good applied" in ran.read_text())
    assert "bad" not in ran.read_text()


def test_passwords_without_tls_are_told(serving: Instance) -> None:
    port = free_port()
    before = serving.edit("nginx.conf", f"listen {serving.port} ssl;", f"listen {serving.port} ssl; listen {port};")
    line = next(number for number, text in enumerate(before.splitlines(), 1) if f"listen {serving.port}" in text)
    said = serving.reload()
    assert "rejected" not in said
    assert f"warning: {serving.etc}/nginx.conf:{line}: passwords are asked for here without TLS" in said
    assert "return 301 https://$host$request_uri;" in said


@pytest.mark.promise("secret-modes")
def test_secrets_of_a_new_instance_are_closed(serving: Instance) -> None:
    for name, mode in {
        "docker-registry.yml": 0o640, "secure-registry.conf": 0o640, ".htpasswd": 0o640, "docker-registry.key": 0o600,
        ".password": 0o600,
    }.items():  # fmt: skip
        assert (serving.etc / name).stat().st_mode & 0o777 == mode, name
    assert "warning" not in serving.run("status").stdout
