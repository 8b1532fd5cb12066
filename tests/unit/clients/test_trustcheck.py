"""`trust check`: the rules that are read from clients' files, and what a handshake by them says."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from secreg_host.base.proxies import Proxies
from secreg_host.clients import (
    certsd,
    trust,
    trust_containerd,
    trust_docker,
    trust_k3s,
    trust_podman,
    trustcheck,
)
from secreg_host.clients.served import Endpoint, Served
from secreg_host.formats.opensslcnf import Request
from secreg_host.host.host import Host
from secreg_host.pki import certs, handshake
from secreg_host.pki.certs import KeyPair
from secreg_host.pki.handshake import OUT_OF_TIME, Rule

NOW = datetime.now(UTC)
NAME = "registry.example.test"
CA = b"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"
HERE = Endpoint(NAME, 443)


def issued(now: datetime = NOW, names: tuple[str, ...] = (NAME,)) -> tuple[KeyPair, KeyPair]:
    """A CA, and a certificate of 30 days that it signed."""
    ca = certs.make_ca([NAME], [], now, "Void", "host")
    request = Request((("CN", NAME),), names, (), ("digitalSignature",), ("serverAuth",))
    return ca, certs.issue(ca, request, "P-256", 30, now)


@contextlib.contextmanager
def serving(pair: KeyPair, directory: Path) -> Iterator[int]:
    """A TLS server with `pair`; its port."""
    (directory / "crt").write_bytes(pair.crt)
    (directory / "key").write_bytes(pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "crt", directory / "key")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    link, _ = server.accept()
                    with contextlib.suppress(OSError), link, context.wrap_socket(link, server_side=True):
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_handshake_says_what_is_wrong(tmp_path: Path) -> None:
    ca, pair = issued()
    with serving(pair, tmp_path) as port:
        assert handshake.shake(NAME, port, Rule(cas=(ca.crt,)), "127.0.0.1") == ""
        assert handshake.shake(NAME, port, Rule(insecure=True), "127.0.0.1") == ""
        assert "unable to get local issuer" in handshake.shake(NAME, port, Rule(), "127.0.0.1")
        assert "issuer" in handshake.shake(NAME, port, Rule(cas=(issued()[0].crt,)), "127.0.0.1")
        assert "mismatch" in handshake.shake("else.example.test", port, Rule(cas=(ca.crt,)), "127.0.0.1")
        assert "mismatch" in handshake.shake("127.0.0.1", port, Rule(cas=(ca.crt,)))
    assert "refused" in handshake.shake("127.0.0.1", port, Rule())
    assert handshake.shake("127.0.0.1", port, Rule(cas=(b"no PEM",))), "a broken ca.crt is no crash"


@contextlib.contextmanager
def proxy(asked: list[list[str]], answer: str = "200 OK") -> Iterator[str]:
    """A proxy that keeps what it is `asked` and goes to 127.0.0.1, whatever the name; its URL."""

    def through(a: socket.socket, b: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                b.sendall(data)
        b.close()

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = listener.accept()
                head = b""
                while b"\r\n\r\n" not in head:
                    head += link.recv(65536)
                asked.append(head.split(b"\r\n\r\n")[0].decode().split("\r\n"))
                link.sendall(f"HTTP/1.1 {answer}\r\n\r\n".encode())
                if not answer.startswith("200"):
                    link.close()
                    continue
                there = socket.create_connection(("127.0.0.1", int(asked[-1][0].split()[1].rpartition(":")[2])))
                for pair in ((link, there), (there, link)):
                    threading.Thread(target=through, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield f"http://user:pa%20ss@127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_handshake_goes_through_the_proxy_that_is_used(tmp_path: Path) -> None:
    """As a client: the name is known there, and need not be here."""
    ca, pair = issued()
    asked: list[list[str]] = []
    with serving(pair, tmp_path) as port, proxy(asked) as url:
        assert handshake.shake(NAME, port, Rule(cas=(ca.crt,), proxy=url)) == ""
        assert handshake.shake("::1", port, Rule(insecure=True, proxy=url.removeprefix("http://"))) == ""
        assert "issuer" in handshake.shake(NAME, port, Rule(proxy=url))
    login = "Proxy-Authorization: Basic dXNlcjpwYSBzcw=="
    assert asked[0] == [f"CONNECT {NAME}:{port} HTTP/1.1", f"Host: {NAME}:{port}", login]
    assert asked[1][0] == f"CONNECT [::1]:{port} HTTP/1.1"


def test_a_proxy_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    ca, pair = issued()
    with serving(pair, tmp_path) as port:
        with proxy([], "403 Forbidden") as url:
            said = handshake.shake(NAME, port, Rule(cas=(ca.crt,), proxy=url))
        assert said.startswith("no TLS: the proxy 127.0.0.1:") and said.endswith("answers 403 Forbidden")
        assert "refused" in handshake.shake(NAME, port, Rule(proxy=url))
        assert "can't be tried" in handshake.shake(NAME, port, Rule(proxy="socks5://127.0.0.1:1"))
        assert handshake.shake(NAME, port, Rule(proxy="http://[")) and "pa" not in said


@pytest.fixture
def dockerless(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(trustcheck, "find_program", lambda name: None)


@pytest.mark.promise("trust-check")
@pytest.mark.usefixtures("dockerless")
def test_a_check_goes_through_the_proxy_and_says_what_helps(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: login by name failed, while `trust check` accepted it."""
    ca, pair = issued()
    with serving(pair, tmp_path) as port, proxy([], "403 Forbidden") as url:
        monkeypatch.setenv("HTTPS_PROXY", url)
        known = Served((Endpoint("127.0.0.1", port), Endpoint(NAME, port)), ca.crt)
        for path, data in trust_podman.wants(host.paths, known, insecure=True).items():
            put(path, data)
        checked, (problem,) = trustcheck.check(host.paths, None, known, ["podman"])
    assert [bool(one.wrong) for one in checked] == [False, True], "what is here needs no proxy"
    assert "through http://xxxxx@127.0.0.1" in str(checked[1]) and "pa%20ss" not in str(checked[1])
    assert "through the proxy http://xxxxx@" in problem.what
    assert problem.hint == f'for this shell: export NO_PROXY="$NO_PROXY,{NAME}"'


class Services:
    """systemd, with containerd as a service that has a proxy."""

    def __init__(self, host: Host, url: str) -> None:
        self.drop_in = host.paths.root / "etc/systemd/system/containerd.service.d/proxy.conf"
        put(self.drop_in, f'[Service]\nEnvironment="HTTPS_PROXY={url}" NO_PROXY=a\n'.encode())
        self.url = url

    def unit(self, name: str) -> dict[str, object]:
        if name != "containerd.service":
            return {"LoadState": "not-found"}
        found = {"LoadState": "loaded", "ActiveState": "active", "ExecStart": [("containerd", ["containerd"])]}
        return found | {
            "Environment": [f"HTTPS_PROXY={self.url}", "NO_PROXY=a"],
            "DropInPaths": [str(self.drop_in)],
            "EnvironmentFiles": [("/nowhere", True)],
        }

    def call(self, method: str, *args: object) -> None:
        raise AssertionError(method)


@pytest.mark.usefixtures("dockerless")
def test_a_service_goes_through_its_own_proxy(host: Host) -> None:
    services = Services(host, "http://127.0.0.1:1")
    known = Served((Endpoint(NAME, 443),), CA)
    _, (problem,) = trustcheck.check(host.paths, services, known, ["containerd"])
    again = "then, when it suits: systemctl restart containerd"
    assert problem.hint == f"add to NO_PROXY in {services.drop_in}: {NAME}; systemctl daemon-reload; {again}"
    services.drop_in.unlink()
    _, (problem,) = trustcheck.check(host.paths, services, known, ["containerd"])
    assert problem.hint.startswith("systemctl edit containerd.service, and add to NO_PROXY")


def test_the_containerd_of_docker_alone_is_no_client(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: on a host with Docker, which trusted the registry, `trust check` failed by what pulls nothing there."""
    there = {"containerd"}
    monkeypatch.setattr(trust_containerd, "find_program", lambda name: Path(name) if name in there else None)
    assert trust_containerd.found(host.paths) and not trust_containerd.used(host.paths)
    there.add("crictl")
    assert trust_containerd.used(host.paths)
    there.remove("crictl")
    (host.paths.containerd / "certs.d").mkdir(parents=True)
    assert trust_containerd.used(host.paths)


def test_a_certificate_without_names_is_refused_as_go_does(tmp_path: Path) -> None:
    """OpenSSL would look at the CN; clients written in Go do not."""
    ca, pair = issued(names=())
    with serving(pair, tmp_path) as port:
        assert "mismatch" in handshake.shake(NAME, port, Rule(cas=(ca.crt,)), "127.0.0.1")


def test_an_expired_certificate_is_told_from_an_untrusted_one(tmp_path: Path) -> None:
    ca, pair = issued(NOW - timedelta(days=90))
    with serving(pair, tmp_path) as port:
        assert handshake.shake(NAME, port, Rule(cas=(ca.crt,)), "127.0.0.1") == OUT_OF_TIME
        assert handshake.shake(NAME, port, Rule(), "127.0.0.1") != OUT_OF_TIME


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.mark.usefixtures("dockerless")
def test_each_client_that_can_be_named_is_checked(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: without any rules, `trust check NAME` looked at nothing and said that all is well."""
    monkeypatch.setattr(handshake, "shake", lambda *_: "")
    names = [name for name in trust.NAMES if name != trust_docker.NAME]
    for name in names:
        checked, _ = trustcheck.check(host.paths, None, Served((HERE,), CA), [name])
        assert {one.client for one in checked} == {name} and len(checked) == len(HERE.spellings)


def test_rules_of_docker(host: Host) -> None:
    put(host.paths.docker / f"certs.d/{NAME}/ca.crt", CA)
    put(host.paths.docker / f"certs.d/{NAME}/client.cert", b"no CA")
    put(host.paths.docker / f"certs.d/{NAME}/client.key", b"its key")
    config = {"IndexConfigs": {"a:1": {"Secure": False}}, "InsecureRegistryCIDRs": ["127.0.0.0/8"]}
    rule = trust_docker.rules(host.paths, {"RegistryConfig": config}, Proxies())
    assert rule(HERE, NAME) == Rule(False, (CA,))
    assert rule(HERE, f"{NAME}:443") == Rule()
    assert rule(Endpoint("192.0.2.1", 1), "a:1") == Rule(True)
    assert rule(Endpoint("127.0.0.1", 443), "127.0.0.1") == Rule(True), "an address of a network that it trusts"
    assert trust_docker.rules(host.paths, {}, Proxies())(HERE, "a:1") == Rule()


def test_rules_of_podman(host: Host) -> None:
    directory = host.paths.containers
    put(directory / f"certs.d/{NAME}/ca.crt", CA)
    put(host.paths.docker / f"certs.d/{NAME}:443/ca.crt", CA)
    put(directory / "registries.conf", b'[[registry]]\nlocation = "a:1"\ninsecure = true\n')
    put(directory / "registries.conf.d/1.conf", b'[[registry]]\nprefix = "*.loose.test"\ninsecure = true\n')
    put(directory / "registries.conf.d/2.conf", b"not TOML [")
    rule = trust_podman.rules(host.paths, Proxies())
    assert [rule(HERE, word) for word in (NAME, f"{NAME}:443", "a:1")] == [Rule(False, (CA,))] * 2 + [Rule(True)]
    assert rule(Endpoint("b.loose.test", 1), "b.loose.test:1") == Rule(True)
    assert rule(Endpoint("loose.test", 1), "loose.test:1") == Rule()
    put(directory / "registries.conf.d/3.conf", b'[[registry]]\nlocation = "a:1"\ninsecure = false\n')
    assert trust_podman.rules(host.paths, Proxies())(HERE, "a:1") == Rule(), "the last one counts"


@pytest.mark.parametrize(
    ("text", "blocked"),
    [
        (f'[[registry]]\nlocation = "{NAME}"\nblocked = true\n', [NAME, f"{NAME}:443"]),
        (f'[[registry]]\nprefix = "{NAME}:443"\nlocation = "x"\nblocked = true\n', [f"{NAME}:443"]),
        ('[[registry]]\nprefix = "*.example.test"\nblocked = true\n', [NAME, f"{NAME}:443"]),
        (f'[registries.block]\nregistries = ["{NAME}"]\n', [NAME, f"{NAME}:443"]),
        (f'[[registry]]\nlocation = "{NAME}"\nblocked = true\n[[registry]]\nlocation = "{NAME}:443"\n', [NAME]),
        (f'[[registry]]\nlocation = "{NAME}"\n', []),
        ('[[registry]]\nlocation = "registry.example.tes"\nblocked = true\n', []),
    ],
)
def test_what_podman_blocks_is_told(host: Host, text: str, blocked: list[str]) -> None:
    """By podman and skopeo: `registry ... is blocked`; seen with 5.4."""
    put(host.paths.containers / "registries.conf", text.encode())
    rule = trust_podman.rules(host.paths, Proxies())
    assert [word for word in (NAME, f"{NAME}:443") if rule(HERE, word).refuses] == blocked
    said = handshake.shake("127.0.0.1", 1, rule(HERE, blocked[0])) if blocked else ""
    assert bool(blocked) is ("is blocked in" in said)
    problems = trust_podman.notes(host.paths, Served((HERE,), CA))
    assert [problem.where for problem in problems] == [str(host.paths.containers / "registries.conf")] * bool(blocked)


@pytest.mark.parametrize("below", ["docker", "containers"])
def test_half_a_pair_in_certs_d_is_told(host: Host, below: str) -> None:
    """Seen with docker 20.10, 26.1 and podman 5.4: ca.cert in the place of ca.crt, and nobody gets there."""
    directory = host.paths.root / "etc" / below / "certs.d" / NAME
    put(directory / "ca.cert", CA)
    said = (
        trust_docker.rules(host.paths, {}, Proxies())
        if below == "docker"
        else trust_podman.rules(host.paths, Proxies())
    )
    assert "ca.cert is a client's own certificate" in said(HERE, NAME).refuses
    (problem,) = certsd.faults([directory])
    assert problem.hint.endswith(f"mv {directory}/ca.cert {directory}/ca.crt")
    put(directory / "ca.key", b"key")
    assert certsd.faults([directory]) == () and said(HERE, NAME).refuses == ""
    (directory / "ca.cert").unlink()
    (problem,) = certsd.faults([directory])
    assert "key without its other half" in problem.what and "put ca.cert beside it" in problem.hint


def test_podman_reads_the_first_directory_that_is_there(host: Host) -> None:
    put(host.paths.docker / f"certs.d/{NAME}/ca.crt", CA)
    assert trust_podman.rules(host.paths, Proxies())(HERE, NAME).cas == (CA,)
    (host.paths.containers / f"certs.d/{NAME}").mkdir(parents=True)
    assert trust_podman.rules(host.paths, Proxies())(HERE, NAME).cas == ()


@pytest.mark.parametrize(
    "text",
    ['[registry]\nlocation = "a:1"\n', 'registry = "a:1"\n', "[[registry]]\nprefix = 5\n", "x = " + "[" * 5000],
    ids=range(4),
)
def test_what_podman_does_not_take_is_no_rule(host: Host, text: str) -> None:
    put(host.paths.containers / "registries.conf", text.encode())
    assert trust_podman.rules(host.paths, Proxies())(HERE, "a:1") == Rule()


@pytest.mark.parametrize(
    "text", ['host = "a"\n', '[host]\ncapabilities = ["pull"]\n', "ca = 5\n", "ca = [5]\n", "[[host]]\nca = 'x'\n"]
)
def test_what_containerd_does_not_take_is_no_rule(host: Host, text: str) -> None:
    put(host.paths.containerd / "certs.d/a:1/hosts.toml", text.encode())
    assert trust_containerd.rules(host.paths, Proxies())(HERE, "a:1") == Rule()


@pytest.mark.parametrize("config", ["plain", "{tls: true}", "{tls: {ca_file: 5}}", "{tls: [a]}"])
def test_what_k3s_does_not_take_is_no_rule(host: Host, config: str) -> None:
    put(host.paths.k3s / "registries.yaml", f"configs:\n  a:1: {config}\n".encode())
    assert trust_k3s.rules(host.paths, Proxies())(HERE, "a:1") == Rule()


@pytest.mark.parametrize("insecure", [False, True])
def test_rules_of_containerd(host: Host, insecure: bool) -> None:
    for path, data in trust_containerd.wants(host.paths, Served((HERE,), CA), insecure=insecure).items():
        put(path, data)
    rule = trust_containerd.rules(host.paths, Proxies())
    assert (rule(HERE, NAME).insecure, set(rule(HERE, NAME).cas)) == (insecure, set() if insecure else {CA})
    theirs = host.paths.containerd / "certs.d/theirs:1"
    put(theirs / "my.crt", CA)
    put(theirs / "hosts.toml", b'server = "https://theirs:1"\n[host."https://theirs:1"]\nca = ["my.crt"]\n')
    assert rule(HERE, "theirs:1") == Rule(False, (CA,)), "written by somebody else, relative to its directory"
    assert rule(HERE, "nothing:1") == Rule()


def test_rules_of_k3s(host: Host) -> None:
    put(host.paths.k3s / "ca.crt", CA)
    ca_file = host.paths.k3s / "ca.crt"
    text = "configs:\n  a:1: {tls: {insecure_skip_verify: true}}\n" + f"  {NAME}: {{tls: {{ca_file: {ca_file}}}}}\n"
    put(host.paths.k3s / "registries.yaml", text.encode())
    rule = trust_k3s.rules(host.paths, Proxies())
    assert (rule(HERE, "a:1"), rule(HERE, NAME), rule(HERE, "b:2")) == (Rule(True), Rule(False, (CA,)), Rule())
