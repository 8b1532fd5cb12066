"""Edits of /etc: a good one serves, a bad one is named with file and line, and what served before still does."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.real.program import NOBODY, Instance, free_port

OPEN = "location /v2/_catalog { return 200 x; } include secure-registry/registry.conf;"
PAST = "location /v2/_catalog { try_files /none @secreg_registry; } include secure-registry/registry.conf;"
REGISTRY = "include secure-registry/registry.conf;"


def still_serves(instance: Instance, fingerprint: str) -> None:
    assert instance.ask("/v2/").status == 401
    assert instance.ask("/v2/_catalog", user="docker").status == 200
    assert instance.served_fingerprint() == fingerprint


def openssl(*args: str | Path) -> None:
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def self_signed(where: Path, *options: str) -> tuple[bytes, bytes]:
    """A certificate of somebody else's, and its key."""
    crt, key = where / "crt", where / "key"
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost"]
    new += ["-addext", "subjectAltName=DNS:localhost"]
    openssl("req", "-x509", *new, "-keyout", key, "-out", crt, *options)
    return crt.read_bytes(), key.read_bytes()


@pytest.mark.promise(
    "bad-edits-are-named", "bad-edits-take-nothing-down", "includes-must-stay", "messages", "parts-stand-alone"
)
@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("nginx.conf", "server_name", "server_nam", 'nginx.conf:{line}: unknown directive'),
        ("nginx.conf", "keepalive_timeout    75s", "keepalive_timeout 75s 1s 1s", "nginx.conf:{line}: invalid number"),
        ("nginx.conf", "server {", "server", "nginx.conf:"),
        ("nginx.conf", REGISTRY, "", "registry.conf;' is missing"),
        ("nginx.conf", REGISTRY, OPEN, "/v2/_catalog is answered without a password"),
        ("nginx.conf", REGISTRY, "auth_request off; " + OPEN, "answered without a password"),
        ("nginx.conf", REGISTRY, PAST, "nginx.conf:{line}: '@secreg_registry' is a name of secure-registry's own"),
        ("nginx.conf", REGISTRY, "include gone.conf; " + REGISTRY, "gone.conf does not exist"),
        ("nginx.conf", REGISTRY, "include /nowhere/gone.conf; " + REGISTRY, "nginx.conf:{line}: "),
        ("docker-registry.yml", "version: 0.1", "version: 0.1\n x: [", "docker-registry.yml:"),
        ("docker-registry.yml", "version: 0.1", "version: 7", "version is not 0.1"),
        ("docker-registry.yml", "filesystem:", "floppy:", "has no such storage driver"),
        ("docker-registry.yml", "level: warn", "level: shout", "invalid loglevel …"),
        ("docker-registry.yml", "storage:", "stora:", "names no driver"),
        ("docker-registry.yml", "rootdirectory: ", "rootdirectory: /proc", "rootdirectory"),
        ("secure-registry.conf", "#CERT_DAYS=397", "CERT_DAYS=0\nCERT_DAY=1", "secure-registry.conf:{line}: CERT_DAYS"),
    ],
)  # fmt: skip
def test_a_bad_line_holds_back_its_file_only(serving: Instance, name: str, old: str, new: str, said: str) -> None:
    fingerprint = serving.served_fingerprint()
    before = serving.edit(name, old, new)
    line = before[: before.index(old)].count("\n") + 1
    answer = serving.reload()
    assert f"{serving.etc}/{name}" in answer and said.format(line=line) in answer, answer
    assert "\n  -> " in answer
    still_serves(serving, fingerprint)
    status = serving.run("status")
    assert status.returncode == 3 and said.format(line=line) in status.stdout
    serving.write(name, before)
    assert "rejected" not in serving.reload()
    assert serving.run("status").returncode == 0


class Anonymous(BaseHTTPRequestHandler):
    """A registry that asks nobody for a password."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.promise("open-doors-are-rejected")
@pytest.mark.parametrize(
    ("names", "tls"),
    [("other.example", " ssl"), (r"~^[a-z]+\.sub\.example$", " ssl"), ("", " ssl"), ("localhost *.wild.example", "")],
)
def test_each_server_block_is_asked_by_its_name(serving: Instance, names: str, tls: str) -> None:
    fingerprint = serving.served_fingerprint()
    with HTTPServer(("127.0.0.1", 0), Anonymous) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        named = f"server_name {names};" if names else ""
        first = f"server {{ listen 127.0.0.1:{free_port()}{tls}; return 404; }} " if names else ""
        port = re.findall(r":(\d+)", first)[0] if names else free_port()
        text = f"server {{ listen 127.0.0.1:{port}{tls}; {named} location / {{ proxy_pass http://127.0.0.1:%d; }} }}"
        serving.edit("nginx.conf", "server {", f"{first}{text % server.server_port} server {{")
        said = serving.reload()
        server.shutdown()
    assert "rejected" in said and "is answered without a password (HTTP 200)" in said, said
    assert f"127.0.0.1:{port}" in said
    still_serves(serving, fingerprint)


def test_servers_of_the_administrators_own_need_nothing_of_ours(serving: Instance) -> None:
    secure, plain = free_port(), free_port()
    text = "location / { return 200 mine; } location /v2/ { return 200 mine; }"
    serving.edit("nginx.conf", "server {", f"server {{ listen {secure} ssl; listen {plain}; {text} }} server {{")
    assert "rejected" not in (said := serving.reload()), said
    assert serving.ask("/v2/", port=secure).body == b"mine"
    assert serving.run("status").returncode == 0


@pytest.mark.promise("open-doors-are-rejected")
def test_what_is_open_for_the_world_only_is_taken_back(serving: Instance) -> None:
    """A rehearsal can't see it: there, nobody comes from an address."""
    fingerprint = serving.served_fingerprint()
    only = 'location ~ ^/v2/_c { if ($remote_addr = "127.0.0.1") { return 200 x; } return 401; } '
    serving.edit("nginx.conf", REGISTRY, only + REGISTRY)
    said = serving.reload()
    assert "unproven" in said and "/v2/_catalog is answered without a password (HTTP 200)" in said, said
    still_serves(serving, fingerprint)


@pytest.mark.promise("parts-stand-alone")
def test_a_bad_nginx_conf_does_not_block_a_new_certificate(serving: Instance, tmp_path: Path) -> None:
    crt, key = self_signed(tmp_path, "-days", "90")
    serving.edit("nginx.conf", "server_name", "nonsense")
    serving.write("docker-registry.crt", crt)
    serving.write("docker-registry.key", key)
    said = serving.reload()
    assert "unknown directive" in said
    der = subprocess.run(["openssl", "x509", "-outform", "DER"], input=crt, capture_output=True, check=True).stdout
    import hashlib

    assert serving.served_fingerprint() == hashlib.sha256(der).hexdigest()


def test_an_edited_nginx_conf_serves(serving: Instance) -> None:
    serving.write("extra.conf", "add_header X-Mine $server_port always;\n")
    serving.edit("nginx.conf", "server_name", "include /etc/secure-registry/extra.conf;\n server_name".replace(
        "/etc/secure-registry", str(serving.etc)))  # fmt: skip
    assert "rejected" not in serving.reload()
    assert serving.ask("/").headers["X-Mine"] == str(serving.port)


def test_the_hosts_own_ca_may_be_that_of_client_certificates(serving: Instance, tmp_path: Path) -> None:
    """Beside another one, too: what clients are told to trust stays the one that signed."""
    ca, key = serving.etc / "ca.crt", serving.lib / "state/ca.key"
    ours = ca.read_bytes()
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=client"]
    openssl("req", *new, "-keyout", tmp_path / "client.key", "-out", tmp_path / "csr")
    signed: list[str | Path] = ["-CA", ca, "-CAkey", key, "-set_serial", "7", "-days", "2"]
    openssl("x509", "-req", "-in", tmp_path / "csr", *signed, "-out", tmp_path / "client.crt")
    named = "ssl_client_certificate ca.crt; ssl_verify_client on; "
    line = serving.run("trust", "show", "--line")
    assert "curl -fsSk" in line.stdout and line.stderr == ""
    serving.edit("nginx.conf", REGISTRY, named + REGISTRY)
    for bundle in (ours, ours + self_signed(tmp_path, "-days", "9")[0]):
        serving.write("ca.crt", bundle)
        assert "rejected" not in (said := serving.reload()), said
        status, line = serving.run("status"), serving.run("trust", "show", "--line")
        assert status.returncode == 0 and "damaged" not in status.stdout, status.stdout
        assert line.returncode == 0 and "curl -sSko" in line.stdout, line.stdout
        assert "/ca.crt: is answered by HTTP 400 on this host, so the CA itself stands in" in line.stderr, line.stderr
        assert "put client.cert and client.key beside ca.crt" in line.stderr
        assert serving.ask("/v2/", user="docker").status == 400, "nobody comes without one"
        context = serving.context()
        context.load_cert_chain(tmp_path / "client.crt", tmp_path / "client.key")
        with contextlib.closing(http.client.HTTPSConnection("localhost", serving.port, context=context)) as link:
            link.request("GET", "/ca.crt")
            assert link.getresponse().read() == ours


def test_the_main_directives_of_a_foreign_nginx_conf_do_no_harm(serving: Instance) -> None:
    serving.edit("nginx.conf", "worker_processes", "user www-data;\ndaemon on;\npid /run/x.pid;\nworker_processes")
    assert "rejected" not in serving.reload()
    assert serving.ask("/v2/").status == 401


@pytest.mark.promise("half-a-pair")
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("crt of another key", "does not belong to the key"),
        ("garbage crt", "no certificate in PEM form"),
        ("cut crt", "a block begins there that nothing ends"),
        ("damaged crt", "damaged"),
        ("garbage key", "no private key in PEM form"),
        ("swapped", "swap the two files"),
        ("passphrase", "has a passphrase"),
        ("expired", "it expired on"),
        ("not yet valid", "valid only from"),
        ("missing key", "docker-registry.key: does not exist"),
        ("ed448", "of a kind that clients don't know"),
    ],
)
def test_a_bad_pair_is_named_and_not_served(serving: Instance, tmp_path: Path, what: str, said: str) -> None:
    fingerprint = serving.served_fingerprint()
    crt, key = self_signed(tmp_path)
    if what == "crt of another key":
        key = (serving.etc / "docker-registry.key").read_bytes()
    elif what == "garbage crt":
        crt = b"nonsense\n"
    elif what == "cut crt":
        crt = crt[: len(crt) // 2]
    elif what == "damaged crt":
        crt = crt.replace(crt.splitlines()[2], b"A" * len(crt.splitlines()[2]))
    elif what == "garbage key":
        key = b"nonsense\n"
    elif what == "swapped":
        crt, key = key, crt
    elif what == "passphrase":
        openssl("pkey", "-in", tmp_path / "key", "-out", tmp_path / "locked", "-aes256", "-passout", "pass:x")
        key = (tmp_path / "locked").read_bytes()
    elif what in ("expired", "not yet valid"):
        crt, key = _dated(-10 if what == "expired" else 10)
    elif what == "ed448":
        files = ("-keyout", tmp_path / "key", "-out", tmp_path / "crt")
        openssl("req", "-x509", "-newkey", "ed448", "-nodes", "-subj", "/CN=x", *files)
        crt, key = (tmp_path / "crt").read_bytes(), (tmp_path / "key").read_bytes()
    serving.write("docker-registry.crt", crt)
    serving.write("docker-registry.key", key)
    if what == "missing key":
        (serving.etc / "docker-registry.key").unlink()
    answer = serving.reload()
    assert said in answer and "\n  -> " in answer, answer
    assert ("waiting" if what == "crt of another key" else "rejected") in answer
    still_serves(serving, fingerprint)


def test_a_certificates_fault_is_not_blamed_on_nginx_conf(serving: Instance, tmp_path: Path) -> None:
    """One that the ciphers don't go with, which a rehearsal finds; and one elsewhere that nginx can't read."""
    fingerprint = serving.served_fingerprint()
    serving.edit("nginx.conf", "TLSv1.2 TLSv1.3;", "TLSv1.2;")
    before = serving.edit("nginx.conf", "ssl_ciphers ", "ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256; # ")
    assert "rejected" not in serving.reload()
    key, crt = tmp_path / "key", tmp_path / "crt"
    named = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", *named, "-keyout", key, "-out", crt)
    serving.write("docker-registry.crt", crt.read_bytes())
    serving.write("docker-registry.key", key.read_bytes())
    said = serving.reload()
    assert f"rejected: {serving.etc}/docker-registry.crt: rehearsed on port {serving.port}: no TLS" in said, said
    assert "include secure-registry/registry.conf" not in said
    still_serves(serving, fingerprint)
    elsewhere = serving.root / "elsewhere.crt"
    elsewhere.write_bytes(crt.read_bytes()[:99])
    serving.write("nginx.conf", before.replace("docker-registry.crt;", f"{elsewhere};"))
    said = serving.reload()
    line = before.partition("docker-registry.crt;")[0].count("\n") + 1
    assert f'{serving.etc}/nginx.conf:{line}: ssl_certificate: cannot load certificate "{elsewhere}"' in said, said


DAY = datetime.timedelta(days=1)


def _dated(days: int, life: datetime.timedelta = DAY) -> tuple[bytes, bytes]:
    """A pair that is valid for so long, `days` from now."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    begin = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + life)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    pem = serialization.Encoding.PEM
    return certificate.public_bytes(pem), key.private_bytes(pem, form, serialization.NoEncryption())


def test_an_expired_certificate_goes_on_while_nothing_replaces_it(serving: Instance) -> None:
    """That is told. The same bytes, written once more, are not judged again; others that have expired are not taken."""
    names = ("docker-registry.crt", "docker-registry.key")
    before = serving.served_fingerprint()
    for seconds in (2, 4, 8, 16, 32):  # until it serves before it expires, on whichever machine
        pair, ends = _dated(0, datetime.timedelta(seconds=seconds)), time.time() + seconds
        for name, data in zip(names, pair, strict=True):
            serving.write(name, data)
        serving.reload()
        if (fingerprint := serving.served_fingerprint()) != before:
            break
    assert fingerprint != before
    serving.wait_for("its end", lambda: time.time() > ends + 1, timeout=40)
    for name, data in zip(names, pair, strict=True):
        serving.write(name, data)
    said = serving.reload()
    assert "rejected" not in said and serving.served_fingerprint() == fingerprint
    assert "it expired on" in serving.run("status").stdout
    for name, data in zip(names, _dated(-3), strict=True):
        serving.write(name, data)
    said = serving.reload()
    assert "rejected" in said and "it expired on" in said and serving.served_fingerprint() == fingerprint


def test_a_removed_user_is_out_at_once_whatever_else_is_broken(serving: Instance) -> None:
    serving.take_over("htpasswd", "-i", "alice", input="secret-of-alice\n")
    serving.wait_for("alice", lambda: serving.ask("/v2/", user="alice", password="secret-of-alice").status == 200)
    serving.edit("nginx.conf", "server_name", "nonsense")
    answered = sum("log in with" in line for line in serving.said)
    serving.take_over("htpasswd", "-D", "alice")
    serving.wait_for(
        "her end", lambda: serving.ask("/v2/", user="alice", password="secret-of-alice").status == 401, timeout=5
    )
    serving.wait_for("the rest", lambda: sum("log in with" in line for line in serving.said) > answered)
    assert serving.ask("/v2/", user="docker").status == 200


@pytest.mark.promise("users-never-go-back")
@pytest.mark.parametrize("how", ["missing", "empty", "unreadable"])
def test_without_users_nobody_gets_in(serving: Instance, how: str) -> None:
    assert serving.ask("/v2/", user="docker").status == 200
    path = serving.etc / ".htpasswd"
    if how == "missing":
        path.unlink()
    elif how == "empty":
        serving.write(".htpasswd", "")
    elif os.geteuid() == 0:
        os.chown(path, 0, 0)
        path.chmod(0o600)
    else:
        path.chmod(0)
    said = serving.reload()
    assert str(path) in said
    assert serving.ask("/v2/", user="docker").status == 401
    if how == "unreadable" and os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)


def test_broken_lines_are_dropped_and_named(serving: Instance) -> None:
    good = (serving.etc / ".htpasswd").read_text()
    serving.write(".htpasswd", "plainpassword\n" + good + "eve:geheim\n:x\nmallory:\n")
    said = serving.reload()
    for line in (1, 3, 4, 5):
        assert f"{serving.etc}/.htpasswd:{line}: " in said
    assert "plainpassword" not in said and "geheim" not in said
    assert serving.ask("/v2/", user="docker").status == 200
    assert serving.ask("/v2/", user="eve", password="geheim").status == 401
    assert serving.ask("/v2/", user="mallory", password="").status == 401


@pytest.mark.promise("apaches-files")
def test_apaches_own_files_are_accepted(serving: Instance) -> None:
    lines = []
    for flag in ("-B", "-m", "-5", "-2", "-s", "-d"):
        made = subprocess.run(
            ["htpasswd", "-nb", flag, f"user{flag}", "secret12"], capture_output=True, text=True, check=True
        )
        lines.append(made.stdout.strip())
    serving.write(".htpasswd", "\n".join(lines))
    assert "rejected" not in serving.reload()
    for line in lines:
        name = line.split(":")[0]
        assert serving.ask("/v2/", user=name, password="secret12").status == 200, name
        assert serving.ask("/v2/", user=name, password="secret13").status == 401, name
    serving.write(".htpasswd", (serving.root / "run/secure-registry/users/live/htpasswd").read_bytes())


def test_a_good_registry_configuration_takes_over_in_another_slot(serving: Instance) -> None:
    before = json.loads(serving.run("status", "--json").stdout)["slot"]
    serving.edit("docker-registry.yml", "level: warn", "level: error")
    assert "rejected" not in serving.reload()
    assert json.loads(serving.run("status", "--json").stdout)["slot"] != before
    assert serving.ask("/v2/_catalog", user="docker").status == 200


def test_a_secret_of_the_registrys_that_is_no_file_is_made_anew(serving: Instance) -> None:
    """Seen: docker-registry.yml was to blame."""
    secret = serving.lib / "state/http.secret"
    for old, new in (("warn", "error"), ("error", "warn")):
        before = secret.read_bytes()
        secret.unlink()
        if old == "warn":
            secret.mkdir()
        else:
            secret.symlink_to("/")
        serving.edit("docker-registry.yml", f"level: {old}", f"level: {new}")
        assert "rejected" not in serving.reload()
        assert serving.ask("/v2/_catalog", user="docker").status == 200
        assert secret.is_file() and not secret.is_symlink() and secret.read_bytes() != before


def test_a_damaged_generation_leaves_no_registry_behind(serving: Instance) -> None:
    """Seen: each apply after it took another slot, and after the last one none went through any more."""
    for _ in range(5):
        name = json.loads(serving.run("status", "--json").stdout)["generation"]
        (serving.lib / "current/generation.json").chmod(0o600)
        (serving.lib / "current/generation.json").write_text("{}")
        assert serving.ask("/v2/_catalog", user="docker").status == 200
        told = json.loads(serving.run("status", "--json").stdout)
        assert (told["serving"], told["down"]) == (None, "") and name in told["unknown"]
        status = serving.run("status")
        assert status.returncode == 3 and "not serve" not in status.stdout and "secure-registry reload" in status.stdout
        serving.reload()
        found = json.loads(serving.run("status", "--json").stdout)
        assert found["serving"] and not found["rejected"]
        assert serving.ask("/v2/_catalog", user="docker").status == 200


@pytest.mark.promise("edited-files-stay")
def test_the_port_follows_the_setting_while_nginx_conf_is_not_edited(serving: Instance) -> None:
    port = free_port()
    serving.edit("secure-registry.conf", f"PORT={serving.port}", f"PORT={port}")
    serving.reload()
    assert serving.ask("/v2/", user="docker", port=port).status == 200
    serving.wait_for("the end of the old port", lambda: not _listens(serving.port))


def _listens(port: int) -> bool:
    with socket.socket() as link:
        return link.connect_ex(("127.0.0.1", port)) == 0


def test_a_setting_that_nginx_does_not_see_serves_without_a_reload_of_it(serving: Instance) -> None:
    workers = _workers(serving)
    serving.edit("secure-registry.conf", "#CERT_DAYS=397", "CERT_DAYS=300")
    answer = serving.reload()
    assert "unproven" not in answer and "rejected" not in answer
    assert serving.run("status").returncode == 0
    assert _workers(serving) == workers


def test_a_file_from_elsewhere_that_nginx_conf_includes_is_followed(serving: Instance, tmp_path: Path) -> None:
    serving.root.joinpath("extra").mkdir()
    outside = serving.root / "extra/mine.conf"
    outside.write_text("add_header X-Mine one always;\n")
    serving.edit("nginx.conf", "server_name", f"include {outside};\n server_name")
    assert "rejected" not in serving.reload()
    assert serving.ask("/").headers["X-Mine"] == "one"
    outside.write_text("add_header X-Mine two always;\n")
    answer = serving.reload()
    assert "unproven" not in answer and "rejected" not in answer
    assert serving.ask("/").headers["X-Mine"] == "two"


SINCE = r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


@pytest.mark.promise("exit-codes", "reload-tells")
def test_a_reload_of_an_instance_ends_when_it_serves_and_says_what_is_so(serving: Instance) -> None:
    """Also when somebody else has just let it serve."""
    good = serving.edit("nginx.conf", REGISTRY, f"location = /said {{ return 200 new; }} {REGISTRY}")
    done = serving.run("reload")
    assert (done.returncode, serving.ask("/said").body) == (0, b"new")
    assert done.stdout == "the changes serve: nginx\n1 user can log in\n"
    done = serving.run("reload")
    assert done.returncode == 0
    told = rf"nothing to change\nserving: (nginx|all of it)\b.* {SINCE}\n1 user can log in\n"
    assert re.fullmatch(told, done.stdout), done.stdout
    serving.edit("nginx.conf", "server_name", "nonsense")
    done = serving.run("reload")
    held = "held back: nginx; what was good of it before still serves\n"
    assert done.returncode == 2 and done.stdout.startswith(held) and done.stdout.endswith("\n1 user can log in\n")
    assert f"rejected: {serving.etc}/nginx.conf:" in done.stderr and "unknown directive" in done.stderr
    serving.write("nginx.conf", good)
    assert serving.run("reload").returncode == 0
    done = serving.run("gencert")
    assert done.stdout.endswith("\nthe changes serve: certificate\n1 user can log in\n"), done.stdout
    assert re.search(rf"\nserving: (certificate|all of it)\b.* {SINCE}\n", serving.run("setup").stdout)


@pytest.mark.promise("users-never-go-back")
def test_it_is_told_who_can_log_in(serving: Instance) -> None:
    """Users never go back to what was before: not those of a file that is empty, of UTF-16 or away."""
    text = (serving.etc / ".htpasswd").read_text()
    told: dict[bytes | None, str] = {
        b"": "holds no user",
        text.encode("utf-16"): ".htpasswd: is UTF-16, ",
        None: ".htpasswd: does not exist",
    }
    for data, said in told.items():
        serving.write(".htpasswd", text)
        assert serving.run("reload").stdout.endswith("\n1 user can log in\n")
        if data is None:
            (serving.etc / ".htpasswd").unlink()
        else:
            serving.write(".htpasswd", data)
        first, again = serving.run("reload"), serving.run("reload")
        already = rf"nothing to change\nserving: (users|all of it)\b.* {SINCE}\nnobody can log in\n"
        assert re.fullmatch(f"the changes serve: users\nnobody can log in\n|{already}", first.stdout), first.stdout
        assert re.fullmatch(already, again.stdout), again.stdout
        assert said in first.stderr and said in again.stderr and {first.returncode, again.returncode} == {2}
        assert serving.ask("/v2/", user="docker").status == 401
    serving.edit("nginx.conf", "server_name", "nonsense")
    assert serving.run("reload").stdout.startswith("held back: nginx; ")
    done = serving.run("htpasswd", "-cbB", "alice", "secret")
    assert done.stdout == (
        "Adding password for user alice\n1 user can log in\nheld back: nginx; see: secure-registry status\n"
    )
    assert serving.ask("/v2/", user="alice", password="secret").status == 200


def _workers(instance: Instance) -> set[str]:
    """The worker processes of the front's nginx, when those that an earlier reload replaced are gone."""
    instance.wait_for("an end of old workers", lambda: len(_all_workers(instance)) == os.cpu_count())
    return _all_workers(instance)


def _all_workers(instance: Instance) -> set[str]:
    listing = subprocess.run(["ps", "-wweo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()]
    masters = {pid for pid, _, args in rows if str(instance.root) in args and "/front/" in args}
    return {pid for pid, parent, args in rows if parent in masters and "worker" in args}


def test_a_port_that_is_taken_is_named(serving: Instance) -> None:
    fingerprint = serving.served_fingerprint()
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        serving.edit("nginx.conf", f"listen {serving.port} ssl;", f"listen {serving.port} ssl; listen {port} ssl;")
        said = serving.reload()
        line = (serving.etc / "nginx.conf").read_text().partition(f"listen {port} ssl;")[0].count("\n") + 1
        assert f"/nginx.conf:{line}: port {port} (*:{port}) is used by" in said
        still_serves(serving, fingerprint)
        serving.edit("nginx.conf", f" listen {port} ssl;", "")
        assert "rejected" not in serving.reload()


def test_a_taken_port_is_blamed_on_what_names_it(serving: Instance) -> None:
    """Seen: PORT was written, nginx.conf blamed. What served does so, and a command that sets it changes nothing."""
    fingerprint, conf = serving.served_fingerprint(), (serving.etc / "secure-registry.conf").read_text()
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = serving.run("setup", PORT=str(port))
        assert done.returncode == 2 and f"environment variable PORT: port {port} (*:{port}) is used by" in done.stderr
        assert (
            "set PORT to another one; or stop that" in done.stderr
            and (serving.etc / "secure-registry.conf").read_text() == conf
        )
        serving.edit("secure-registry.conf", f"PORT={serving.port}", f"PORT={port}")
        said = serving.reload()
        line = conf.partition(f"\nPORT={serving.port}")[0].count("\n") + 2
        assert f"/secure-registry.conf:{line}: port {port} (*:{port}) is used by" in said
        assert "nginx.conf" not in said
        still_serves(serving, fingerprint)
    serving.edit("secure-registry.conf", f"PORT={port}", f"PORT={serving.port}")
    assert "rejected" not in serving.reload()


def test_an_address_that_this_host_does_not_have_is_named(serving: Instance) -> None:
    """nginx takes it, next to one for all addresses on the same port: nobody could prove what serves there."""
    fingerprint = serving.served_fingerprint()
    current = (serving.lib / "current").readlink()
    serving.edit(
        "nginx.conf", f"listen {serving.port} ssl;", f"listen {serving.port} ssl; listen 192.0.2.1:{serving.port} ssl;"
    )
    assert "rejected" in (said := serving.reload()) and "this host has no address 192.0.2.1" in said
    assert (serving.lib / "current").readlink() == current, "it never served"
    still_serves(serving, fingerprint)


@pytest.mark.parametrize("how", ["gone", "empty"])
def test_settings_hold_on_while_their_file_is_away(serving: Instance, how: str) -> None:
    """Some editors remove it, or empty it, before they write it: all defaults would be another port for a moment."""
    before = (serving.etc / "secure-registry.conf").read_text()
    fingerprint = serving.served_fingerprint()
    if how == "gone":
        (serving.etc / "secure-registry.conf").unlink()
    else:
        serving.write("secure-registry.conf", "")
    assert "secure-registry.conf: " in serving.reload()
    still_serves(serving, fingerprint)
    serving.write("secure-registry.conf", before)
    assert "rejected" not in serving.reload()
    still_serves(serving, fingerprint)


@pytest.mark.promise("nothing-slow-holds-up-users")
def test_a_registry_that_starts_slowly_does_not_hold_up_a_removed_user(serving: Instance) -> None:
    """By a reload that the administrator asked for, too: it begins anew when .htpasswd changes."""
    slow = serving.root / "slow-registry"
    program = shutil.which("docker-registry") or shutil.which("registry")
    slow.write_text(f'#!/bin/sh\ntouch {serving.root}/starting\nsleep 8\nexec {program} "$@"\n')
    slow.chmod(0o755)
    password = serving.password
    assert serving.ask("/v2/", user="docker", password=password).status == 200
    serving.edit("secure-registry.conf", "#CERT_DAYS=397", f"REGISTRY_BINARY={slow}")
    answered = len(serving.said)
    assert serving.process is not None
    serving.process.send_signal(signal.SIGHUP)
    serving.wait_for("the slow registry", (serving.root / "starting").exists)
    serving.write(".htpasswd", "bob:{SHA}sjtLjWgc/4GRCphLKHWUi/wyyOE=\n")
    serving.wait_for("his end", lambda: serving.ask("/v2/", user="docker", password=password).status == 401, 7)
    assert not any("log in with" in line for line in serving.said[answered:]), "the slow registry was there"


def test_a_request_whose_password_is_still_checked_reaches_the_registry_that_is_replaced(serving: Instance) -> None:
    """The old worker has it, and passes it on to the old registry only when the slow check is through."""
    serving.write(".htpasswd", (serving.etc / ".htpasswd").read_text() + "bob:{SHA}sjtLjWgc/4GRCphLKHWUi/wyyOE=\n")
    serving.reload()
    listing = subprocess.run(["ps", "-wweo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()]
    masters = [pid for pid, _, args in rows if f"{serving.root}/" in args and "auth/nginx.conf" in args]
    checkers = [int(pid) for pid, parent, _ in rows if pid in masters or parent in masters]
    assert len(checkers) > 1
    for pid in checkers:
        os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(serving.ask, "/v2/_catalog", user="bob", password="chaos")
        serving.wait_for("the request", lambda: _established(serving.port))
        serving.edit("docker-registry.yml", "level: warn", "level: error")
        answer = pool.submit(serving.reload)
        with contextlib.suppress(TimeoutError):
            answer.result(4)  # it waits for the request, so it is not through; one that does not wait is
        for pid in checkers:
            os.kill(pid, signal.SIGCONT)
        assert asked.result(30).status == 200
        assert "rejected" not in answer.result(30)


def _established(port: int) -> bool:
    """Whether a client is connected to `port`."""
    listing = subprocess.run(
        ["ss", "-Htn", "dport", "=", f":{port}"], capture_output=True, text=True, check=True
    ).stdout
    return "ESTAB" in listing


@pytest.mark.promise("hooks")
def test_hooks_are_told_without_systemd_too(serving: Instance) -> None:
    told = serving.root / "told"
    hook = serving.etc / "hooks.d/tell"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\necho "$SECREG_EVENT $SECREG_PART" >> {told}\n')
    hook.chmod(0o755)
    before = serving.edit("nginx.conf", "server_name", "server_nam")
    serving.reload()
    serving.wait_for("one", lambda: told.exists() and told.read_text() == "rejected nginx\n")
    serving.write("nginx.conf", before + "# more\n")
    serving.reload()
    serving.wait_for("the other", lambda: told.read_text() == "rejected nginx\nresolved nginx\napplied \n")


def test_nothing_changed_nothing_done(serving: Instance) -> None:
    """Nothing is told to nginx: its workers are others after a reload."""

    def workers() -> set[tuple[str, str]]:
        listing = subprocess.run(["ps", "-wweo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
        rows = [line.split(maxsplit=2) for line in listing.splitlines()]
        masters = {pid for pid, _, args in rows if "nginx: master" in args and str(serving.root) in args}
        return {(pid, args) for pid, parent, args in rows if parent in masters and "worker process" in args}

    def at_rest() -> set[tuple[str, str]]:
        serving.wait_for("the end of old workers", lambda: not any("shutting" in args for _, args in workers()))
        return workers()

    before, current = at_rest(), (serving.lib / "current").readlink()
    serving.reload()
    assert (workers(), (serving.lib / "current").readlink()) == (before, current)
    serving.edit("nginx.conf", "server_name", "# one more\n        server_name")
    serving.reload()
    assert before and at_rest() != before, "what is looked at is the right thing"
