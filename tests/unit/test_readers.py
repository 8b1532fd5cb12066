"""Whatever stands in a file, its reader returns or raises SecregError: good files of each kind, mutated; and the worst
ones, in bounded time."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secreg_host.base import paths, reading
from secreg_host.base.errors import BadInput, SecregError
from secreg_host.base.proxies import Proxies
from secreg_host.base.snapshot import Snapshot
from secreg_host.clients import criconf, edits, trust_containerd, trust_k3s, trust_podman
from secreg_host.clients.docker import daemonjson, dockerflags
from secreg_host.clients.edits import Kind, Mine
from secreg_host.clients.served import Served
from secreg_host.formats import envfile, nginxconf, onsockets, opensslcnf, registryconf, userlines, users
from secreg_host.generation import njs
from secreg_host.host.host import Host
from secreg_host.pki import certs, pairs
from secreg_host.wanted import settings as settings_module
from secreg_host.wanted.parts import certificate, registry
from secreg_host.wanted.parts import users as users_part
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.parts.part import Part, Reading, guarded
from tests import der

NOW = datetime(2025, 1, 1, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
PRIVATE = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
GOOD = der.pem(der.certificate(PUBLIC))
WHERE = "/etc/secure-registry/file"

NGINX = b"""\
user www-data; include secure-registry/main.conf;
load_module "modules/ngx_http_js_module.so"; # remark \xc3\xa9
http {
    include secure-registry/http.conf; include mime.types; include /etc/nginx/conf.d/*.conf;
    map $uri ${name} { default ''; ~^/(?<x>[a-z]+)$ "a\\"b"; }
    server { listen [::1]:443 ssl; listen 0.0.0.0:8443 ssl proxy_protocol; ssl_certificate docker-registry.crt;
             include secure-registry/registry.conf; location / { proxy_pass http://secreg_registry; } }
}
"""
YAML = b"""\
version: 0.1
log: &log {level: info, fields: {service: registry, time: 2001-12-14t21:59:43.10-05:00}}
storage: {filesystem: {rootdirectory: "/var/lib/x"}, delete: {enabled: true}, cache: ~}
http: {addr: :5000, headers: {X-Content-Type-Options: [nosniff], "Access-Control": ['*']}}
health: {<<: *log, storagedriver: {enabled: !!bool "yes", interval: 10s, threshold: 0x3}}
? [odd, key]
: !!binary aGVsbG8=
"""
OPENSSL = b"""\
HOME = .
[ req ]
default_bits = 4096
distinguished_name = dn
req_extensions = ext
prompt = no
[ dn ]
C = AU
O = "Void \\# $ENV::X ${HOME} $(HOME)"
CN = $HOME
[ ext ]
subjectAltName = @alt_names, DNS:x.example
keyUsage = critical, digitalSignature
basicConstraints = CA:FALSE
[ alt_names ]
DNS.1 = registry.example.org
IP.1 = 192.0.2.1
IP.2 = 2001:db8::1
"""
CONF = b"""\
# remark
SERVER_NAME="registry.example.org r2" ; PORT=443
PORT=8443
USERNAME='alice'
OPT=-B -C 12
C=AU \\
O=Void
CERT_DAYS=397
SERVER_IP=192.0.2.1,2001:db8::1
CA_DOMAIN=example.org
"""
HTPASSWD = (
    b"\xef\xbb\xbf# people\nalice:$6$rounds=5000$" + b"x" * 16 + b"$" + b"y" * 86 + b"\r\n"
    b"bob:$2y$10$" + b"z" * 53 + b"\ncarol:{SHA}" + b"A" * 27 + b"=\ndave:{PLAIN}secret\n:nobody\neve\n"
)
DAEMON = b"""\
{
  "insecure-registries": ["127.0.0.0/8", "a.example:443"], "log-opts": {"max-size": "1\\u00e9m"},
  "x": [1e400, -0.0, 123456789012345678901234567890, null, true, {"y": []}]
}
"""
FLAGS = b"DOCKER_OPTS='--insecure-registry a.example -H fd://'\nINSECURE_REGISTRY=\"--insecure-registry=b\"\n"
K3S = b"""\
mirrors:
  a:
    endpoint: ["https://a"]
configs:
  b:443:
    tls: {ca_file: /x, insecure_skip_verify: no}
"""
TOML = b"""\
version = 2
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/containerd/certs.d:/x"
[[registry]]
location = "a.example"
insecure = true
[host."https://a"]
ca = ["a.crt"]
"""
WANTED = ("127.0.0.1", "[::1]:443")
JUNK = (b"", b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\n" * 3, b"[" * 60, b"{" * 60, b"*", b"&a ", b"'",
        b'"', b"\\", b"9" * 5000, b"!!python/object:os.system ", b"!!timestamp 2001-99-99", b"0x", b"${", b"$(a", b"=",
        b"-----END CERTIFICATE-----", b"\xe2\x80\xa8", b"1_", b"<<: *log", b"..", b"../" * 30)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, seed: bytes, *others: bytes) -> bytes:
    """`seed` with a few flipped bits, cuts, copies, splices of `others` and of junk in it; or in another encoding."""
    data = bytearray(seed)
    for _ in range(draw(st.integers(0, 4))):
        at, size = (draw(st.integers(0, max(0, len(data) - 1))) for _ in range(2))
        match draw(st.integers(0, 5)):
            case 0 if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case 1:
                del data[at:]
            case 2:
                del data[at : at + size % 20]
            case 3:
                data[at:at] = data[size : size + 200]
            case 4:
                data[at:at] = draw(st.sampled_from(JUNK))
            case 5:
                other = draw(st.sampled_from((*others, seed)))
                data[at : at + size % 40] = other[size % max(1, len(other)) :][:400]
    text = bytes(data)
    encoding = draw(st.sampled_from(("", "", "", "", "utf-16", "utf-32", "utf-7")))
    return text.decode(errors="replace").encode(encoding) if encoding else text


def few(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return settings(max_examples=examples, derandomize=True, database=None, deadline=None,
                    suppress_health_check=list(HealthCheck))  # fmt: skip


def reads(reader: Callable[[], Any]) -> Any:
    """What it returns; None if it raises what may be raised."""
    try:
        return reader()
    except SecregError as error:
        assert error.problems and all(problem.what for problem in error.problems)
        assert "bug in secure-registry" not in str(error)
    return None


def others(path: Path) -> bytes | None:
    return {"mime.types": b"types { a b; }", "dh.pem": b"DH"}.get(path.name)


@few(400)
@given(mutated(NGINX, YAML, CONF))
def test_nginx_conf(data: bytes) -> None:
    found = reads(lambda: nginxconf.bundle(Path("/nowhere/nginx.conf"), data, others))
    if found is not None:
        reads(lambda: onsockets.on_sockets(found.files, Path("/nowhere"), Path("/run"), others))
        assert all(0 < listen.port < 65536 for listen in found.listens)


@few(400)
@given(mutated(YAML, K3S, DAEMON))
def test_registry_yml(data: bytes) -> None:
    found = reads(lambda: registryconf.parse(data, WHERE))
    assert found is None or len(json.dumps([str(found.root), found.headers])) < 100_000


@few(300)
@given(mutated(OPENSSL, CONF))
def test_openssl_cnf(data: bytes) -> None:
    reads(lambda: opensslcnf.parse(data, WHERE))


@few(300)
@given(mutated(CONF, OPENSSL, FLAGS))
def test_settings(data: bytes) -> None:
    reads(lambda: settings_module.load(Path(WHERE), data, {}))
    envfile.parse(data.decode(errors="replace"), WHERE)


@few(300)
@given(mutated(HTPASSWD, CONF))
def test_htpasswd(data: bytes) -> None:
    found, problems = users.parse(data, WHERE)
    again, wrong = users.parse(users.render(found), WHERE)
    assert ([user.name for user in again], wrong) == ([user.name for user in found], ())
    assert len(problems) <= users.TOLD + 1
    users.weak(found, WHERE)
    userlines.with_line(data, "alice", None)


@few(150)
@given(st.data())
def test_files_of_other_programs(data: st.DataObject) -> None:
    kinds: list[tuple[bytes, Kind]] = [
        (DAEMON, daemonjson.DaemonJson(WHERE)),
        (FLAGS, dockerflags.Flags(WHERE, "DOCKER_OPTS")),
        (K3S, trust_k3s.Registries(WHERE, {"ca_file": "/x"})),
    ]
    for seed, kind in kinds:
        text = data.draw(mutated(seed, *(other for other, _ in kinds)))
        mine = Mine(None, "", ("a.example", *WANTED), data.draw(st.booleans()))
        reads(partial(kind.add, text, WANTED))
        reads(partial(edits.plan, text, mine, kind, WANTED))


@few(50)
@given(mutated(TOML, YAML))
def test_toml_of_other_programs(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        at = paths.Paths(Path(directory))
        for path in (at.containerd / "config.toml", at.containers / "registries.conf",
                     at.containerd / "certs.d/a.example/hosts.toml", at.k3s / "registries.yaml"):  # fmt: skip
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        trust_containerd.notes(at, Served((), None))
        endpoint: Any = type("Endpoint", (), {"host": "a.example", "port": 443})
        for rules_of in (trust_podman.rules, trust_containerd.rules, trust_k3s.rules):
            reads(partial(rules_of(at, Proxies()), endpoint, "a.example"))


def judged(host: Host, crt: bytes, key: bytes = PRIVATE) -> Reading[Part] | None:
    """The pair as an apply reads it, with the certificate for its own CA, too."""
    host.paths.etc.mkdir(parents=True, exist_ok=True)
    for path, data in ((host.paths.crt, crt), (host.paths.key, key), (host.paths.ca_crt, crt)):
        path.write_bytes(data)
    found = reads(lambda: certificate.read(Snapshot(host.paths), NOW, None))
    if found is not None and found.part is not None:
        json.dumps(found.part.facts)
        again = certificate.read(Snapshot(host.paths), NOW, found.part)
        assert again.part == found.part
    return found  # type: ignore[no-any-return]


@few(200)
@given(st.data())
def test_odd_certificates(data: st.DataObject) -> None:
    import tempfile

    def one(values: list[bytes]) -> bytes:
        return data.draw(st.sampled_from([values[0], *values]))

    made = der.certificate(
        PUBLIC,
        one(der.VERSIONS),
        one(der.SERIALS),
        one(der.ALGORITHMS),
        one(der.SUBJECTS),
        one(der.TIMES),
        one(der.TIMES[1:]),
        one(der.SUBJECTS),
        tuple(data.draw(st.lists(st.sampled_from(der.EXTENSIONS), max_size=3))),
        one(der.ALGORITHMS),
    )
    if data.draw(st.booleans()):
        made = data.draw(mutated(made))
    crt = der.pem(made)
    chain = data.draw(st.sampled_from([crt, crt + GOOD, GOOD + crt]))
    if data.draw(st.integers(0, 3)) == 0:
        chain = data.draw(mutated(chain, PRIVATE))
    with tempfile.TemporaryDirectory() as directory:
        host: Any = type("Host", (), {"paths": paths.Paths(Path(directory))})
        judged(host, chain)


@few(100)
@given(mutated(PRIVATE, GOOD))
def test_odd_keys(data: bytes) -> None:
    assert pairs.read(certs.KeyPair(GOOD, data), WHERE, WHERE)


def test_each_odd_field_by_itself(host: Host) -> None:
    """PSS, version 4, two extensions of the same kind, negative serial numbers, times that are none ..."""
    good = judged(host, GOOD)
    assert good is not None and good.part is not None and good.part.facts["names"] == ["registry.example.org"]
    fields: dict[str, list[Any]] = {
        "version": der.VERSIONS,
        "serial": der.SERIALS,
        "algorithm": der.ALGORITHMS,
        "outer": der.ALGORITHMS,
        "issuer": der.SUBJECTS,
        "subject": der.SUBJECTS,
        "begins": der.TIMES,
        "ends": der.TIMES,
        "extensions": [pair for one in der.EXTENSIONS for pair in ((one,), (one, one), (der.EXTENSIONS[0], one))],
    }
    for field, values in fields.items():
        for value in values:
            crt = der.pem(der.certificate(PUBLIC, **{field: value}))
            assert judged(host, crt) is not None
            assert judged(host, GOOD + crt) is not None
    double = judged(host, der.pem(der.certificate(PUBLIC, extensions=(der.EXTENSIONS[0],) * 2)))
    assert double is not None and double.part is None
    assert "is malformed" in double.problems[0].what and double.problems[0].where == f"{host.paths.crt}:1"


TEXTS: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
    "nginx.conf": (NGINX, lambda data: nginxconf.bundle(Path(WHERE), data, others)),
    "docker-registry.yml": (YAML, lambda data: registryconf.parse(data, WHERE)),
    "secure-registry.conf": (CONF, lambda data: settings_module.load(Path(WHERE), data, {})),
    "openssl.cnf": (OPENSSL, lambda data: opensslcnf.parse(data, WHERE)),
    "daemon.json": (DAEMON, lambda data: daemonjson.DaemonJson(WHERE).add(data, WANTED)),
    "/etc/default/docker": (FLAGS, lambda data: dockerflags.Flags(WHERE, "DOCKER_OPTS").add(data, WANTED)),
    "registries.yaml": (K3S, lambda data: trust_k3s.Registries(WHERE, {"ca_file": "/x"}).add(data, WANTED)),
    "config.toml": (TOML, lambda data: criconf.parsed(data, WHERE)),
}


@pytest.mark.parametrize("junk", [b"\0", b"caf\xe9"], ids=["NUL", "Latin-1"])
@pytest.mark.parametrize("name", TEXTS)
def test_what_is_no_text_is_told_with_its_line(name: str, junk: bytes) -> None:
    good, reader = TEXTS[name]
    lines = good.split(b"\n")
    with pytest.raises(BadInput) as caught:
        reader(b"\n".join([lines[0], lines[1] + junk, *lines[2:]]))
    assert [problem.where for problem in caught.value.problems] == [f"{WHERE}:2"]
    assert "text" in caught.value.problems[0].what and "caf" not in str(caught.value)


def bomb() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "\n".join([*lines, "version: *a11"]).encode()


def merges() -> bytes:
    lines = ["a0: &a0 {x: y}", *(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40))]
    return "\n".join(lines).encode()


def variables() -> bytes:
    lines = ["[req]", "a0 = " + "x" * 30, *(f"a{n} = {f'$a{n - 1}' * 9}" for n in range(1, 40))]
    return "\n".join(lines).encode()


def yml(data: bytes) -> object:
    return registryconf.parse(data, WHERE)


def cnf(data: bytes) -> object:
    return opensslcnf.parse(data, WHERE)


def conf(data: bytes) -> object:
    return settings_module.load(Path(WHERE), data, {})


def front(data: bytes) -> object:
    return nginxconf.bundle(Path("/nowhere/nginx.conf"), data, others)


def module(data: bytes) -> object:
    return njs.loaded_by(NginxPart(files={"nginx.conf": data}))


def people(data: bytes) -> object:
    return users.weak(users.parse(data, WHERE)[0], WHERE)


def docker(data: bytes) -> object:
    return daemonjson.DaemonJson(WHERE).add(data, ("a",))


def pair(data: bytes) -> object:
    return pairs.read(certs.KeyPair(data, PRIVATE), WHERE, WHERE)


NAMED = b"[req]\nprompt = no\ndistinguished_name = dn\n[dn]\n"

WORST: dict[str, tuple[Callable[[bytes], object], int, Callable[[int], bytes]]] = {
    "aliases": (yml, reading.YAML, lambda size: bomb()),
    "merges": (yml, reading.YAML, lambda size: merges()),
    "alias of itself": (yml, reading.YAML, lambda size: b"a: &a [*a]"),
    "nested lists": (yml, reading.YAML, lambda size: b"[" * size),
    "nested mappings": (yml, reading.YAML, lambda size: b"{a: " * (size // 4)),
    "many values": (yml, reading.YAML, lambda size: b"- a\n" * (size // 4)),
    "a long number": (yml, reading.YAML, lambda size: b"version: " + b"9" * (size - 9)),
    "a date that is none": (yml, reading.YAML, lambda size: b"version: 2001-99-99"),
    "a key that can be none": (yml, reading.YAML, lambda size: b"? {a: b}\n: c"),
    "variables": (cnf, reading.SETTINGS, lambda size: variables()),
    "one variable": (cnf, reading.SETTINGS, lambda size: b"a = " + b"x" * 30_000 + b"\nb = " + b"$a" * 15_000),
    "a section": (cnf, reading.SETTINGS, lambda size: b"[" + b" " * (size - 1)),
    "continued": (cnf, reading.SETTINGS, lambda size: b"xx\\\n" * (size // 4)),
    "unknown keys": (conf, reading.SETTINGS, lambda size: b"PRT=\n" * (size // 5)),
    "a long key": (conf, reading.SETTINGS, lambda size: b"PORT" * (size // 4 - 1) + b"=x"),
    "a long port": (conf, reading.SETTINGS, lambda size: b"PORT=" + b"9" * (size - 5)),
    "a long quote": (conf, reading.SETTINGS, lambda size: b'O="' + b'\\"' * (size // 2 - 2)),
    "open variables": (front, reading.NGINX, lambda size: b"${" * (size // 2)),
    "open quotes": (front, reading.NGINX, lambda size: b"'\\" * (size // 2)),
    "addresses": (module, reading.NGINX // 8, lambda size: b"deny 203.0.113.7;\n" * (size // 18)),
    "modules": (module, reading.NGINX // 8, lambda size: b"load_module\n" * (size // 12 - 2) + njs.NAME.encode()),
    "a long attribute": (cnf, reading.SETTINGS, lambda size: NAMED + b"x" * (size - len(NAMED) - 4) + b" = y"),
    "remarks": (front, reading.NGINX, lambda size: b"#\n" * (size // 2)),
    "blocks": (front, reading.NGINX, lambda size: b"a{" * (size // 2)),
    "a long listen": (front, reading.NGINX, lambda size: b"listen " + b"9" * (size // 2) + b";"),
    "bad lines": (people, reading.HTPASSWD, lambda size: b"a\n" * (size // 2)),
    "a long line": (people, reading.HTPASSWD, lambda size: b"a:$6$" + b"." * (size - 5)),
    "members": (
        docker,
        reading.JSON,
        lambda size: b'{"a":1' + b"".join(b',"%06d":1' % n for n in range(80_000)) + b"}",
    ),
    "nested arrays": (docker, reading.JSON, lambda size: b'{"a":' + b"[" * (size - 10)),
    "ends": (pair, reading.PEM, lambda size: b"-----END CERTIFICATE-----" * (size // 25)),
    "begins": (pair, reading.PEM, lambda size: b"-----BEGIN CERTIFICATE-----\n" * (size // 28)),
    "a long chain": (pair, reading.PEM, lambda size: GOOD * (size // len(GOOD))),
}
SECONDS = 20.0
"""Of this process, for what takes hours, or all memory, where it is not bounded: generous, for slow machines."""


@pytest.mark.parametrize("kind", WORST)
def test_the_worst_files_take_bounded_time(kind: str) -> None:
    read, limit, make = WORST[kind]
    data = make(limit)
    assert len(data) <= limit
    began = time.process_time()
    reads(lambda: read(data))
    assert time.process_time() - began < SECONDS


def test_twenty_thousand_users_are_read() -> None:
    lines = [f"user{number}:$6${'x' * 16}${'y' * 86}" for number in range(20_000)]
    data = "\n".join(lines).encode()
    assert len(data) < reading.HTPASSWD and len(users.parse(data, WHERE)[0]) == 20_000
    found, problems = users.parse(b"bad\n" * 1000 + data, WHERE)
    assert len(found) == 20_000 and len(problems) == users.TOLD + 1
    assert problems[-1].where == WHERE and "900 more lines" in problems[-1].what


@pytest.mark.promise("bugs-are-findings")
def test_what_a_fifo_or_a_bug_does_to_one_part(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One finding of that part, which names the file; a bug leaves its traceback, and nothing that was read."""
    host.paths.etc.mkdir(parents=True)
    host.paths.registry_yml.write_bytes(b"secret: [")
    found = guarded(host.paths.registry_yml, lambda: Reading(registry.parse(Snapshot(host.paths))))
    assert found.part is None and found.problems[0].where.startswith(f"{host.paths.registry_yml}:")

    for error in (MemoryError, RecursionError, KeyError, ValueError):

        def bug(data: bytes, where: str, error: type[Exception] = error) -> None:
            raise error(data)

        monkeypatch.setattr(registryconf, "parse", bug)
        found = guarded(host.paths.registry_yml, lambda: Reading(registry.parse(Snapshot(host.paths))))
        assert found.part is None and len(found.problems) == 1
        problem = found.problems[0]
        assert problem.where == str(host.paths.registry_yml)
        assert f"a bug in secure-registry: {error.__name__}" in problem.what
    kept = [entry.getMessage() for entry in caplog.records if entry.name == "secreg_host.base.bugs"]
    assert len(kept) == 4 and all("wanted/parts/registry.py" in text and "secret:" not in text for text in kept)
    with pytest.raises(KeyboardInterrupt):
        monkeypatch.setattr(registryconf, "parse", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        guarded(host.paths.registry_yml, lambda: Reading(registry.parse(Snapshot(host.paths))))


@pytest.mark.promise("users-fail-closed")
def test_a_bug_in_the_reading_of_users_lets_nobody_in(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.paths.etc.mkdir(parents=True)
    host.paths.htpasswd.write_bytes(HTPASSWD)
    assert users_part.read(host.paths).htpasswd.count(b"\n") == 3
    with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
        patched.setattr(users, "parse", lambda *_: 1 // 0)
        found = users_part.read(host.paths)
        assert found.htpasswd == b""
        assert "ZeroDivisionError" in found.problems[0].what
