"""The verdict on a certificate is that of its clients: made by openssl(1), read and judged as an apply does, and then
served by nginx to skopeo (Go's crypto/x509), curl and openssl-verify(1), who trust what `trust` would give them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from secreg_host.base.errors import BadInput
from secreg_host.base.paths import Paths
from secreg_host.base.snapshot import Snapshot
from secreg_host.pki import chains, ours
from secreg_host.wanted.parts import certificate
from secreg_host.wanted.parts.certificate import CertificatePart
from secreg_host.wanted.parts.part import Reading
from tests.real.certmaker import ADDRESS, CA, NAME, SERVER, Made, Maker
from tests.real.program import NOBODY, Instance, free_port

TAKEN, WARNED, REFUSED = "taken", "warned", "refused"
ALL = frozenset({"skopeo", "curl", "openssl"})


@dataclass(frozen=True)
class Case:
    """crt: what is in docker-registry.crt; ca: in ca.crt; said: what an administrator reads; fails: the clients that
    refuse it; knows: what they have instead of what `trust` would give them."""

    verdict: str
    crt: bytes
    key: bytes
    ca: bytes
    said: str = ""
    fails: frozenset[str] = frozenset()
    asked: str = NAME
    knows: bytes = b""


def changed(*extensions: str) -> tuple[str, ...]:
    """The extensions of a server's certificate with others of the same kinds; `KIND =` leaves one out."""
    kinds = {one.partition(" =")[0]: one for one in extensions}
    known = [kinds.pop(one.partition(" =")[0], one) for one in SERVER]
    return tuple(one for one in (*known, *kinds.values()) if not one.endswith("="))


def cases(maker: Maker) -> dict[str, Case]:
    root = maker.make(None, *CA, common="root", ends=900)
    other = maker.make(None, *CA, common="another root", ends=900)
    issuing = maker.make(root, *CA, common="issuing", ends=800)
    found: dict[str, Case] = {}

    def by(signer: Made, *extensions: str, **options: object) -> Made:
        return maker.make(signer, *(extensions or SERVER), **options)  # type: ignore[arg-type]

    def add(
        name: str, verdict: str, made: Made, said: str = "", fails: frozenset[str] = frozenset(), *,
        crt: bytes = b"", ca: bytes = root.crt, asked: str = NAME, knows: bytes = b"",
    ) -> None:  # fmt: skip
        found[name] = Case(verdict, crt or made.crt, made.key, ca, said, fails, asked, knows)

    def through(name: str, verdict: str, middle: Made, said: str, fails: frozenset[str] = ALL) -> None:
        """A certificate of the issuing CA `middle`, which is sent with it."""
        leaf = by(middle)
        add(name, verdict, leaf, said, fails, crt=leaf.crt + middle.crt)

    plain = by(root)
    add("as usual", TAKEN, plain)
    add("a wildcard", TAKEN, by(root, *changed("subjectAltName = DNS:*.example.org")))
    add("an address", TAKEN, by(root, *changed(f"subjectAltName = IP:{ADDRESS}")), asked=ADDRESS)
    add("RSA", TAKEN, by(root, key="RSA"))
    add("P-384", TAKEN, by(root, key="P-384"))
    add("usages unsaid", TAKEN, by(root, *changed("keyUsage =", "extendedKeyUsage =", "basicConstraints =")))
    add("another usage besides", TAKEN, by(root, *changed("extendedKeyUsage = clientAuth, serverAuth")))
    add("critical FALSE written out", TAKEN, maker.with_false_written_out(by(root), root))
    trusted = maker.openssl("x509", "-trustout", "-addtrust", "serverAuth", given=plain.crt)
    add("TRUSTED CERTIFICATE", TAKEN, plain, crt=trusted)
    add("text around it, CRLF", TAKEN, plain, crt=(b"subject=x\n" + plain.crt + b"# the end").replace(b"\n", b"\r\n"))
    alone = maker.make(None, *changed("authorityKeyIdentifier ="))
    add("signed by itself, and in ca.crt", TAKEN, alone, ca=alone.crt)
    add("signed by itself, ca.crt is another", TAKEN, alone, ca=other.crt)

    # issuers
    two = by(issuing)
    add("root in ca.crt, issuing CA sent", TAKEN, two, crt=two.crt + issuing.crt)
    add("root sent, too", TAKEN, two, crt=two.crt + issuing.crt + root.crt)
    add("root sent, ca.crt is another", TAKEN, two, crt=two.crt + issuing.crt + root.crt, ca=other.crt)
    add("both in ca.crt, issuing CA sent", TAKEN, two, crt=two.crt + issuing.crt, ca=issuing.crt + root.crt)
    no_root = frozenset({"openssl"})
    add("issuing CA in ca.crt, and sent", WARNED, two, "no root", no_root, crt=two.crt + issuing.crt, ca=issuing.crt)
    add("issuing CA in ca.crt alone", WARNED, two, "no root", no_root, ca=issuing.crt)
    add("issuing CA missing", WARNED, two, "comes without the certificate of its issuer", ALL, knows=root.crt)
    add("issued by nobody known", WARNED, by(other), "comes without", ALL, knows=root.crt)
    deep = maker.make(issuing, *CA, common="deeper", ends=700)
    leaf = by(deep)
    add("out of order", WARNED, leaf, "out of order", crt=leaf.crt + issuing.crt + deep.crt)
    add("a stranger follows", WARNED, plain, "did not sign it", crt=plain.crt + two.crt)
    through("issuing CA expired", WARNED, maker.make(root, *CA, common="i1", begins=-99, ends=-1), "expired on")
    through("issuing CA not yet valid", WARNED, maker.make(root, *CA, common="i2", begins=9), "valid only from")
    no_ca = maker.make(root, "basicConstraints = CA:FALSE", common="i3")
    through("issued by what is no CA", REFUSED, no_ca, "is no CA")
    no_sign = maker.make(root, CA[0], "keyUsage = critical, cRLSign", common="i4")
    through("issued by what may not sign", REFUSED, no_sign, "is no CA")
    short = maker.make(root, "basicConstraints = critical, CA:TRUE, pathlen:0", *CA[1:], common="i5")
    below = maker.make(short, *CA, common="i6")
    leaf = by(below)
    add("pathlen exceeded", REFUSED, leaf, "pathlen", ALL, crt=leaf.crt + below.crt + short.crt)
    kept = maker.make(root, *CA, "nameConstraints = critical, permitted;DNS:example.com", common="i7")
    through("outside of name constraints", REFUSED, kept, "may not sign")
    kept = maker.make(root, *CA, f"nameConstraints = critical, excluded;DNS:{NAME}", common="i8")
    through("excluded by name constraints", REFUSED, kept, "may not sign")
    kept = maker.make(root, *CA, "nameConstraints = critical, permitted;DNS:example.org", common="i9")
    through("within name constraints", TAKEN, kept, "", frozenset())
    through(
        "issuer is for clients", REFUSED, maker.make(root, *CA, "extendedKeyUsage = clientAuth", common="i10"), "is for"
    )
    odd = maker.make(root, *CA, "1.2.3.4 = critical, ASN1:NULL", common="i11")
    through("issuer with an unknown critical extension", REFUSED, odd, "1.2.3.4 is critical")
    through("issuer signed by SHA-1", REFUSED, maker.make(root, *CA, common="i12", md="sha1"), "SHA1")

    # names
    add("another name", REFUSED, by(root, *changed("subjectAltName = DNS:a.example.org")), "for none of", ALL)
    add("one label too many", REFUSED, by(root, *changed("subjectAltName = DNS:*.org")), "for none of", ALL)
    partly = frozenset({"skopeo", "curl"})
    add(
        "a part of a label", REFUSED, by(root, *changed("subjectAltName = DNS:reg*.example.org")), "for none of", partly
    )
    go = frozenset({"skopeo"})
    add("common name only", REFUSED, by(root, *changed("subjectAltName ="), common=NAME), "no name and no address", go)
    as_name = by(root, *changed(f"subjectAltName = DNS:{ADDRESS}"))
    add("an address as a name", REFUSED, as_name, "for none of", ALL, asked=ADDRESS)

    # time
    add("expired", REFUSED, by(root, begins=-90, ends=-1), "expired on", ALL)
    add("not yet valid", REFUSED, by(root, begins=1), "valid only from", ALL)

    # usage
    add("not for servers", REFUSED, by(root, *changed("extendedKeyUsage = clientAuth")), "serverAuth", ALL)
    anything = by(root, *changed("extendedKeyUsage = anyExtendedKeyUsage"))
    add("for anything", REFUSED, anything, "serverAuth", ALL - go)
    add(
        "no usage that a server has",
        REFUSED,
        by(root, *changed("keyUsage = critical, cRLSign")),
        "digitalSig",
        ALL,
    )
    encipherment = changed("keyUsage = critical, keyEncipherment")
    add("keyEncipherment alone", REFUSED, by(root, *encipherment), "digitalSignature", ALL - {"openssl"})
    add("keyEncipherment alone, RSA", WARNED, by(root, *encipherment, key="RSA"), "digitalSignature")
    add("a CA itself", WARNED, by(root, *changed("basicConstraints = critical, CA:TRUE")), "Firefox")
    unknown = by(root, *changed("1.2.3.4 = critical, ASN1:NULL"))
    add("unknown critical extension", REFUSED, unknown, "1.2.3.4 is critical", ALL)

    # keys and signatures
    add("Ed25519", WARNED, by(root, key="Ed25519"), "browsers")
    add("Ed448", REFUSED, by(root, key="Ed448"), "of a kind that clients don't know", go)
    add("secp256k1", REFUSED, by(root, key="secp256k1"), "of a kind that clients don't know", partly)
    add("RSA of 1024 bits", REFUSED, by(root, key="RSA-1024"), "too weak", ALL - go)
    add("key for PSS alone", WARNED, by(root, key="RSA-PSS"), "clients in Go", go)
    add("SHA-1", REFUSED, by(root, md="sha1"), "SHA1", ALL)
    rsa_root = maker.make(None, *CA, common="rsa root", key="RSA", ends=900)
    pss = ("rsa_padding_mode:pss", "rsa_pss_saltlen:32")
    add("signed by PSS", TAKEN, by(rsa_root, options=pss), ca=rsa_root.crt)
    pss = ("rsa_padding_mode:pss", "rsa_pss_saltlen:20")
    add("signed by PSS, another salt", WARNED, by(rsa_root, options=pss), "clients in Go", go, ca=rsa_root.crt)
    return found


def judged(folder: Path, case: Case) -> Reading[CertificatePart]:
    paths = Paths(folder)
    paths.etc.mkdir(parents=True)
    for path, data in ((paths.crt, case.crt), (paths.key, case.key), (paths.ca_crt, case.ca)):
        path.write_bytes(data)
    try:
        return certificate.read(Snapshot(paths), datetime.now(UTC), None, (case.asked,))
    except BadInput as error:
        return Reading(None, error.problems)


def trusted(case: Case) -> bytes:
    """What `trust` would give to clients; or, where that is nothing, what they have otherwise."""
    found = ours.anchor(chains.read(case.crt, ""), chains.read(case.ca, ""))
    assert (found is None) == bool(case.knows)
    return found.pem if found else case.knows


class Proxy(socketserver.ThreadingTCPServer):
    """Leads a CONNECT for any name to that port of this host: clients ask for names that nothing knows."""

    daemon_threads = True
    allow_reuse_address = True

    class RequestHandlerClass(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            head = b""
            while b"\r\n\r\n" not in head:
                head += self.request.recv(4096) or b"\r\n\r\n"
            port = int(head.split()[1].rpartition(b":")[2])
            with socket.create_connection(("127.0.0.1", port)) as there:
                self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                thread = threading.Thread(target=pump, args=(self.request, there), daemon=True)
                thread.start()
                pump(there, self.request)

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), self.RequestHandlerClass)


def pump(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


def as_nobody(*argv: str) -> list[str]:
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    return [*drop, *argv]


@dataclass(frozen=True)
class Served:
    case: Case
    port: int
    folder: Path
    proxy: str

    def skopeo(self) -> tuple[str, ...]:
        where = f"docker://{self.case.asked}:{self.port}/a/b:latest"
        return (
            "skopeo",
            "--insecure-policy",
            "inspect",
            "--raw",
            "--no-creds",
            "--cert-dir",
            str(self.folder / "ca"),
            where,
        )

    def curl(self) -> tuple[str, ...]:
        where = f"https://{self.case.asked}:{self.port}/v2/"
        return ("curl", "-sSf", "--cacert", str(self.folder / "ca/ca.crt"), "-o", "/dev/null", where)

    def openssl(self) -> tuple[str, ...]:
        how = "-verify_ip" if self.case.asked == ADDRESS else "-verify_hostname"
        given = ("-CAfile", str(self.folder / "ca/ca.crt"), "-no-CApath", "-untrusted", str(self.folder / "crt"))
        level = ("-auth_level", "2", "-purpose", "sslserver")
        return ("openssl", "verify", *level, how, self.case.asked, *given, str(self.folder / "crt"))

    def refused_by(self) -> dict[str, str]:
        """What each client that refuses it says."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "HTTPS_PROXY": self.proxy,
            "TMPDIR": "/tmp",
        }
        said = {}
        for name, argv in (("skopeo", self.skopeo()), ("curl", self.curl()), ("openssl", self.openssl())):
            done = subprocess.run(as_nobody(*argv), env=environment, capture_output=True, text=True, timeout=60)
            if done.returncode:
                said[name] = done.stderr
        return said


SERVER_BLOCK = """
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/crt;
        ssl_certificate_key {folder}/key;
        ssl_ciphers DEFAULT:@SECLEVEL=0;
        default_type application/vnd.oci.image.manifest.v1+json;
        location / {{ return 200 '{{"schemaVersion": 2}}'; }}
    }}"""
CONF = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    {servers}
}}
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    found = Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp"))
    found.chmod(0o755)
    yield found
    shutil.rmtree(found, ignore_errors=True)


@pytest.fixture(scope="module")
def table(folder: Path) -> Iterator[dict[str, tuple[Case, dict[str, str]]]]:
    """Each case, and what the clients that refuse it say: all of them served by one nginx."""
    (folder / "made").mkdir()
    made = cases(Maker(folder / "made"))
    proxy = Proxy()
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    served = {}
    for number, (name, case) in enumerate(made.items()):
        here = folder / f"served-{number}"
        (here / "ca").mkdir(parents=True)
        for path, data in ((here / "crt", case.crt), (here / "key", case.key), (here / "ca/ca.crt", trusted(case))):
            path.write_bytes(data)
        served[name] = Served(case, free_port(), here, f"http://127.0.0.1:{proxy.server_address[1]}")
    servers = "".join(SERVER_BLOCK.format(port=one.port, folder=one.folder) for one in served.values())
    conf = folder / "nginx.conf"
    conf.write_text(CONF.format(folder=folder, servers=servers))
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    nginx = subprocess.Popen(as_nobody("nginx", "-e", str(folder / "error.log"), "-c", str(conf)))
    try:
        for one in served.values():
            listening(one.port, lambda: nginx.poll() is None, folder / "error.log")
        with ThreadPoolExecutor(2) as pool:
            said = pool.map(Served.refused_by, served.values())
        yield {name: (made[name], one) for name, one in zip(served, said, strict=True)}
    finally:
        nginx.terminate()
        nginx.wait(10)
        proxy.shutdown()
        proxy.server_close()


def listening(port: int, alive: Callable[[], bool], log: Path) -> None:
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        assert alive(), log.read_text()


@pytest.mark.promise("certificates-as-clients-judge", "highest-ca", "some-clients-refuse")
def test_the_verdict_is_that_of_the_clients(
    table: dict[str, tuple[Case, dict[str, str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    wrong = {}
    for name, (case, said) in table.items():
        found = judged(tmp_path_factory.mktemp("judged"), case)
        verdict = REFUSED if found.part is None else WARNED if found.warnings else TAKEN
        told = [str(problem) for problem in (*found.problems, *found.warnings)]
        as_told = verdict == case.verdict and (not case.said or any(case.said in one for one in told))
        consistent = bool({"skopeo", "curl"} & set(said)) if verdict == REFUSED else verdict == WARNED or not said
        if not as_told or set(said) != case.fails or not consistent:
            wrong[name] = {"we": (verdict, told), "they": said}
    assert not wrong, "\n".join(f"{name}: {what}" for name, what in wrong.items())
    assert len(table) > 30


@pytest.mark.promise("certificate-before-its-time")
def test_one_whose_time_comes_serves_by_itself(instance: Instance, tmp_path: Path) -> None:
    instance.start("--watch")
    before = instance.served_fingerprint()
    made = Maker(tmp_path).make(None, *changed("authorityKeyIdentifier ="), begins=8 / 86400)
    (leaf,) = chains.read(made.crt, "")
    for name, data in (("key", made.key), ("crt", made.crt)):
        instance.write(f"docker-registry.{name}", data)
    instance.wait_for("a word", lambda: instance.has_said("valid only from") or datetime.now(UTC) > leaf.validity[0])
    assert instance.served_fingerprint() == before or datetime.now(UTC) > leaf.validity[0]
    instance.wait_for("its time", lambda: instance.served_fingerprint() == leaf.fingerprint, 25)
