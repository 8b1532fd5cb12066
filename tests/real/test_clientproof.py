"""Our own probe on a real front and a real registry: what it proves, what it leaves, and what its password is worth."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from secreg_host.apply import asking, clientproof, storeproof
from secreg_host.base.paths import Paths
from secreg_host.base.process import Account
from secreg_host.formats.users import PROBE
from secreg_host.generation import assemble, generations, health
from secreg_host.generation.generations import Generation
from secreg_host.generation.liveusers import LiveUsers
from secreg_host.host import processes
from secreg_host.host.host import Accounts, Host
from secreg_host.wanted.parts.settings import SettingsPart
from tests.real.program import NOBODY, Answer, Instance, free_port

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="another owner is needed")


def host_of(instance: Instance) -> Host:
    uid = NOBODY if os.geteuid() == 0 else os.geteuid()
    me = Account(str(uid), uid, uid)
    return Host(Paths(instance.root), Accounts(me, me, me))


def serving_of(host: Host) -> Generation:
    found = generations.load(host, generations.current_name(host))
    assert found is not None
    return found


def asked(instance: Instance) -> dict[str, str]:
    """What each of the functions says."""
    host = host_of(instance)
    generation = serving_of(host)
    looks: dict[str, Callable[[Host, Generation], str]] = {
        "login": clientproof.login,
        "reads": clientproof.reads,
        "writes": clientproof.writes,
        "trusted": clientproof.trusted,
    }
    return {name: wrong for name, look in looks.items() if (wrong := look(host, generation))}


@contextmanager
def stopped(instance: Instance, part: str) -> Iterator[None]:
    """While the block runs, the processes of `part` hang."""
    assert instance.process is not None
    patterns = {"auth": "current/auth/", "registry": "docker-registry.yml"}
    argv = ["pgrep", "-P", str(instance.process.pid), "-f", patterns[part]]
    pids = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    for parent in list(pids):
        pids += subprocess.run(["pgrep", "-P", parent], capture_output=True, text=True).stdout.split()
    for pid in pids:
        os.kill(int(pid), signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(int(pid), signal.SIGCONT)


def ask_as_probe(
    instance: Instance,
    path: str,
    method: str = "GET",
    password: str | None = None,
    source: str = "127.0.0.1",
    word: str | None = None,
) -> Answer:
    """What our probe's password and its word are worth to whoever has both, and comes from address `source`."""
    given = LiveUsers(host_of(instance)).probe if password is None else password
    secret = base64.b64encode(f"{PROBE}:{given}".encode()).decode()
    plain = socket.create_connection(("127.0.0.1", instance.port), 10, (source, 0))
    link = http.client.HTTPConnection("localhost")
    link.sock = instance.context().wrap_socket(plain, server_hostname="localhost")
    link.putrequest(method, path, skip_accept_encoding=True)
    link.putheader("Authorization", f"Basic {secret}")
    link.putheader("User-Agent", asking.AGENT)
    link.putheader("X-Secreg-Probe", assemble.probe_word(serving_of(host_of(instance))) if word is None else word)
    link.putheader("Content-Length", "0")
    link.endheaders()
    answer = link.getresponse()
    found = Answer(answer.status, dict(answer.getheaders()), answer.read())
    link.close()
    return found


def storage(instance: Instance) -> Path:
    return instance.lib / "storage"


@pytest.mark.promise("nothing-hides-from-logs")
def test_what_works_is_proven_and_leaves_nothing(serving: Instance) -> None:
    log = serving.root / "var/log/secure-registry/access.log"
    assert asked(serving) == {}
    assert serving.ask("/v2/_catalog", user="docker").json == {"repositories": []}
    assert [path for path in storage(serving).rglob("docker/**/*") if path.is_file() or PROBE in path.parent.name] == []
    serving.edit("nginx.conf", "keepalive_timeout", "# more\n    keepalive_timeout")
    assert "rejected" not in serving.reload() and asked(serving) == {}
    serving.ask("/v2/some/thing/tags/list", user="docker")
    serving.wait_for("the log", lambda: "/v2/some/thing/tags/list" in log.read_text())
    assert [line for line in log.read_text().splitlines() if "secure-registry-probe" in line] == []
    assert not serving.has_said("password mismatch") and not serving.has_said(PROBE)
    # nobody hides by calling himself so
    hidden = {"User-Agent": "secure-registry-probe"}
    serving.ask("/v2/hidden/tags/list", user="docker", headers=hidden)
    serving.wait_for("the log", lambda: "/v2/hidden/tags/list" in log.read_text())


def test_what_others_store_stays(serving: Instance) -> None:
    """Blobs are kept once for all repositories: nobody can store what the proof is going to remove."""
    asked(serving)
    place = urlsplit(serving.ask("/v2/some/blobs/uploads/", "POST", user="docker").headers["Location"])
    data = b"secure-registry writes, reads and removes these bytes, to see that its store works.\n"
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert serving.ask(f"{place.path}?{place.query}&digest={digest}", "PUT", user="docker", body=data).status == 201
    before = set(storage(serving).rglob("data"))
    assert asked(serving) == {}
    assert set(storage(serving).rglob("data")) == before
    assert serving.ask(f"/v2/some/blobs/{digest}", user="docker").body == data
    shutil.rmtree(storage(serving) / "docker")


@pytest.mark.promise("probe")
def test_what_the_probes_password_is_worth(serving: Instance) -> None:
    """Its own repository, from this host. It mounts nothing, and whatever the path looks like, it gets nowhere else."""
    digest = f"sha256:{'1' * 64}"
    uploads = f"/v2/{PROBE}/blobs/uploads/"
    assert [ask_as_probe(serving, path).status for path in ("/v2/", "/v2/_catalog?n=1")] == [200, 200]
    for method, path in [
        ("GET", "/v2/_catalog"),
        ("GET", "/v2/_catalog?n=2"),
        ("GET", "/v2/_catalog?n=1&last=a"),
        ("GET", "/v2/some/tags/list"),
        ("GET", f"/v2/some/blobs/{digest}"),
        ("GET", f"/v2/{PROBE}/tags/list"),
        ("GET", f"/v2/{PROBE}/../some/blobs/{digest}"),
        ("GET", f"/v2/{PROBE}/blobs/..%2f..%2fsome/blobs/{digest}"),
        ("PUT", f"/v2/{PROBE}/manifests/latest"),
        ("POST", f"{uploads}?mount={digest}&from=some"),
        ("POST", "/v2/some/blobs/uploads/"),
        ("POST", f"/v2/x/..%2f{PROBE}/blobs/uploads/"),
        ("DELETE", f"/v2/some/blobs/{digest}"),
        ("HEAD", "/v2/"),
    ]:
        denied = ask_as_probe(serving, path, method)
        assert (path, denied.status, denied.headers["Content-Type"]) == (path, 403, "application/json")
        assert denied.json["errors"][0]["code"] == "DENIED" if method != "HEAD" else denied.body == b""
    for path in ("/v2/", "/v2/_catalog?n=1"):
        assert ask_as_probe(serving, path, source="127.0.0.2").status == 403
    assert ask_as_probe(serving, "/_secreg/login", source="127.0.0.2").status == 404
    assert ask_as_probe(serving, "/_secreg/login").status == 204
    assert ask_as_probe(serving, "/_secreg/login", password="wrong").status == 401
    assert serving.ask("/_secreg/login", user="docker").status == 404
    for path in (uploads, f"/v2/%73{PROBE[1:]}/blobs/uploads/", f"//v2//{PROBE}/x/blobs/uploads/"):
        assert (path, serving.ask(path, "POST", user="docker").status) in [(path, 403), (path, 404)]
    assert serving.ask(f"/v2/{PROBE}-of-mine/blobs/uploads/", "POST", user="docker").status == 202
    shutil.rmtree(storage(serving) / f"docker/registry/v2/repositories/{PROBE}-of-mine")


@pytest.mark.promise("probe", "nothing-hides-from-logs")
@pytest.mark.parametrize("word", ["", "0" * 32])
def test_without_its_word_nobody_is_the_probe(serving: Instance, word: str) -> None:
    """By no password, the right one neither, and whatever he asks for is logged."""
    logs = serving.root / "var/log/secure-registry"
    for path in logs.glob("*.log"):
        os.truncate(path, 0)
    paths = ("/v2/", "/v2/_catalog?n=1", "/_secreg/login", f"/v2/{PROBE}/blobs/uploads/")
    assert [ask_as_probe(serving, path, word=word).status for path in paths] == [401, 401, 404, 403]
    assert ask_as_probe(serving, "/v2/", password="wrong", word=word).status == 401
    serving.wait_for("the log", lambda: (logs / "access.log").read_text().count(PROBE) >= len(paths) + 1)
    assert (logs / "failed-logins.log").read_text().count(f'127.0.0.1 wrong password for user "{PROBE}"') == 3


@pytest.mark.promise("probe")
def test_nobody_is_our_probe(serving: Instance) -> None:
    users = (serving.etc / ".htpasswd").read_text()
    serving.write(".htpasswd", f"{PROBE}:{{SHA}}2jmj7l5rSw0yVb/vlWAYkK/YBwk=\n{users}")
    assert f"{serving.etc}/.htpasswd:1: {PROBE} is the user as which secure-registry itself" in serving.reload()
    assert ask_as_probe(serving, "/v2/", password="").status == 401
    done = serving.run("htpasswd", "-i", PROBE, input="x\n")
    assert done.returncode == 2 and "choose another name" in done.stderr
    assert "users        1\n" in serving.run("status").stdout


@pytest.mark.promise("probe")
def test_where_nobody_can_log_in_our_probe_can_not(serving: Instance) -> None:
    serving.write(".htpasswd", "")
    assert "holds no user" in serving.reload()
    host = host_of(serving)
    wrong = clientproof.login(host, serving_of(host))
    assert isinstance(wrong, clientproof.Nobody) and asked(serving) == {"login": wrong}
    assert ask_as_probe(serving, "/v2/", password="x").status == 401


def test_a_part_that_hangs_is_named(serving: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clientproof, "SECONDS", 1.0)
    monkeypatch.setattr(storeproof, "SECONDS", 1.0)
    with stopped(serving, "auth"):
        assert asked(serving)["login"] == "the password check does not answer within 1 s"
    with stopped(serving, "registry"):
        found = asked(serving)
        assert found == {
            "reads": "the registry does not answer within 1 s",
            "writes": "an upload is not answered within 1 s",
        }
    assert asked(serving) == {}


@ROOT_ONLY
def test_a_store_that_can_not_be_written(serving: Instance) -> None:
    """It is found, and holds back no change of the front or of users."""
    serving.ask("/v2/some/blobs/uploads/", "POST", user="docker")  # there is something
    places = [storage(serving), *storage(serving).rglob("*")]
    for path in places:
        os.chown(path, 0, 0)
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert asked(serving) == {"writes": "an upload is answered by HTTP 500"}
    serving.edit("nginx.conf", "server {", "add_header X-Changed yes always;\n    server {")
    said = serving.reload()
    assert f"the registry can't use rootdirectory {storage(serving)}: an upload is answered by HTTP 500" in said
    assert serving.ask("/none").headers["X-Changed"] == "yes"
    assert "can't use rootdirectory" in serving.reload(), "as long as it is so"
    for path in places:
        os.chown(path, NOBODY, NOBODY)
    assert "can't use rootdirectory" not in serving.reload()
    shutil.rmtree(storage(serving) / "docker")


def test_a_registry_that_takes_no_uploads_is_only_read(serving: Instance) -> None:
    serving.edit("docker-registry.yml", "    uploadpurging:", "    readonly:\n      enabled: true\n    uploadpurging:")
    assert "rejected" not in serving.reload()
    assert serving.ask("/v2/some/blobs/uploads/", "POST", user="docker").status == 405
    assert asked(serving) == {}


def test_a_certificate_is_judged_by_the_names_that_are_configured(serving: Instance) -> None:
    """One of them must be right."""
    host = host_of(serving)
    generation = serving_of(host)

    def trusted(*names: str) -> str:
        settings = SettingsPart.of(replace(generation.settings, server_names=names))
        return clientproof.trusted(host, replace(generation, parts=generation.parts.having(settings)))

    assert trusted("x.example", "localhost") == trusted() == ""
    assert trusted("x.example", "y.example").startswith("x.example: Hostname mismatch")


def test_what_the_front_says_itself_is_no_fault_of_the_store(serving: Instance) -> None:
    """Seen: a password check that was killed, and an apply that blamed `rootdirectory`: the front's answer has the
    registry's header."""
    host = host_of(serving)
    path = processes.auth_socket(host)
    path.rename(path.with_name("away"))
    try:
        serving.wait_for("an end of what it remembers", lambda: clientproof.writes(host, serving_of(host)) != "")
        for look in (clientproof.writes, clientproof.reads):
            wrong = look(host, serving_of(host))
            assert "HTTP 503" in wrong and isinstance(wrong, storeproof.Unreached), wrong
    finally:
        path.with_name("away").rename(path)
    serving.wait_for("its return", lambda: asked(serving) == {})


def strangers(instance: Instance) -> tuple[ssl.SSLContext, Path]:
    """A client with a certificate, and the authority of such clients as a file of /etc."""
    folder = instance.root / "clients"
    folder.mkdir(exist_ok=True)
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    subprocess.run(
        [*argv, "-keyout", folder / "key", "-out", folder / "crt", "-subj", "/CN=client"],
        check=True,
        capture_output=True,
    )
    instance.write("clients.crt", (folder / "crt").read_bytes())
    context = instance.context()
    context.load_cert_chain(folder / "crt", folder / "key")
    return context, instance.etc / "clients.crt"


CLOSED = {
    "client certificates": ("ssl_session_timeout", "ssl_client_certificate clients.crt; ssl_verify_client on;"),
    "deny": ("ssl_session_timeout", "allow 192.0.2.0/24; deny all;"),
    "geo": ("ssl_session_timeout", "geo $out { default 1; 192.0.2.0/24 0; }"),
    "nobody is answered": ("ssl_session_timeout", "geo $out { default 1; 192.0.2.0/24 0; }"),
}


@pytest.mark.parametrize("kind", CLOSED)
def test_who_keeps_strangers_out_keeps_out_this_host(serving: Instance, kind: str) -> None:
    """What was rejected in 0.1 is accepted, proven, and later changes are, too: of users, of the certificate."""
    context, _ = strangers(serving)
    before, line = CLOSED[kind]
    serving.edit("nginx.conf", before, f"{line}\n    {before}")
    if "geo" in line:
        status = 444 if kind == "nobody is answered" else 403
        serving.edit("nginx.conf", "server_name", f"if ($out) {{ return {status}; }}\n        server_name")
    said = serving.reload()
    assert "rejected" not in said and "unproven" not in said
    assert serving.run("status").returncode == 0, serving.run("status").stdout
    assert asked(serving) == {}
    with pytest.raises((AssertionError, http.client.HTTPException, OSError)):
        assert serving.ask("/v2/", user="docker").status == 200
    if kind == "client certificates":
        link = http.client.HTTPSConnection("localhost", serving.port, context=context)
        secret = base64.b64encode(f"docker:{serving.password}".encode()).decode()
        link.request("GET", "/v2/", headers={"Authorization": f"Basic {secret}"})
        assert link.getresponse().status == 200
    fingerprint = serving.served_fingerprint()
    assert serving.run("gencert").returncode == 0
    serving.wait_for("the certificate", lambda: serving.served_fingerprint() != fingerprint)
    assert "unproven" not in serving.take_over("htpasswd", "-i", "alice", input="one\n")
    # what is open behind another name is found all the same
    port = free_port()
    server = f"server {{ listen {port}; location /v2/ {{ return 200 '{{\"repositories\": []}}'; }} }}"
    serving.edit("nginx.conf", "ssl_protocols", f"{server}\n    ssl_protocols")
    assert "is answered without a password" in serving.reload()


LIMITED = {
    "one server": ("server_name", "limit_req zone=few burst=5;", 0),
    "all servers": ("ssl_session_timeout", "limit_req zone=few; limit_req_status 429; limit_conn one 1;", 429),
}


@pytest.mark.parametrize("kind", LIMITED)
def test_limits_are_for_clients(serving: Instance, kind: str) -> None:
    """Seen: where limit_req left nothing for our own requests, the password check was told to be away."""
    before, line, refused = LIMITED[kind]
    zones = "limit_req_zone $binary_remote_addr zone=few:1m rate=1r/m; limit_conn_zone $host zone=one:1m;"
    serving.edit("nginx.conf", "ssl_protocols", f"{zones}\n    ssl_protocols")
    serving.edit("nginx.conf", before, f"{line}\n    {before}")
    for _ in range(2):
        said = serving.reload()
        assert "rejected" not in said and "unproven" not in said and "warning" not in said, said
        assert serving.run("status").returncode == 0, serving.run("status").stdout
        assert asked(serving) == {}
    assert "unproven" not in serving.take_over("htpasswd", "-i", "alice", input="one\n")
    # nothing of what a client may ask was used up; what is beyond is delayed or refused
    path = "/v2/" if refused else "/healthz"
    answers = [serving.ask(path, user="docker").status for _ in range(2 if refused else 1)]
    assert answers == [200, refused][: len(answers)]


@pytest.mark.promise("metrics")
def test_metrics_are_for_whoever_asks(serving: Instance) -> None:
    """As they are of a registry without a front. Seen: limits for clients, and who may come to pages, counted there."""
    port = free_port()
    yml = (serving.etc / "docker-registry.yml").read_text()
    debug = f"http:\n  debug:\n    addr: 127.0.0.1:{port}\n    prometheus:\n      enabled: true\n"
    serving.write("docker-registry.yml", yml + debug)
    serving.write("pages.users", "")
    zones = "limit_req_zone $binary_remote_addr zone=few:1m rate=1r/m; limit_conn_zone $host zone=one:1m;"
    for line in (
        f"{zones} limit_req zone=few; limit_conn one 1;",
        "deny 127.0.0.1; error_page 404 =200 /metrics; proxy_intercept_errors on;",
        'auth_basic "mine"; auth_basic_user_file pages.users;',
        f"proxy_cache_path {serving.root}/kept keys_zone=kept:1m; proxy_cache kept; proxy_cache_valid any 1m;",
    ):
        was = serving.edit("nginx.conf", "ssl_protocols", f"{line}\n    ssl_protocols")
        serving.edit("nginx.conf", "server_name", "auth_basic off;\n        server_name")
        said = serving.reload()
        assert "rejected" not in said and "unproven" not in said, said
        bodies: list[bytes] = []
        for path, status in (("/metrics", 200), ("/metrics", 200), ("/none", 404)):
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as link:
                link.request("GET", path)
                answer = link.getresponse()
                assert answer.status == status, line
                bodies.append(answer.read())
                assert (b"go_goroutines" in bodies[-1]) == (status == 200)
        assert len({*bodies}) == len(bodies), "nothing of it is kept"
        serving.write("nginx.conf", was)


def test_a_server_that_catches_all_others(serving: Instance) -> None:
    """The registry is asked by a name of its own, whatever SERVER_NAME says."""
    name = "registry-of-mine.example"
    text = (serving.etc / "nginx.conf").read_text()
    head, _, rest = text.partition("    server {")
    listens = "".join(f"        {line.strip()}\n" for line in rest.splitlines() if line.strip().startswith("listen"))
    rest = "\n".join(f"        server_name {name};" if "server_name" in line else line for line in rest.splitlines())
    caught = listens.replace(" ssl;", " ssl default_server;")
    serving.write("nginx.conf", f"{head}    server {{\n{caught}        return 444;\n    }}\n    server {{{rest}\n")
    said = serving.reload()
    assert "rejected" not in said and "unproven" not in said, said
    assert {where: wrong for where, wrong in asked(serving).items() if where != "trusted"} == {}
    shown = serving.run("trust", "show", "--line")
    assert "curl -fsSk" in shown.stdout and shown.stderr == "", "/ca.crt is asked for by that name, too"


def healthz(instance: Instance) -> tuple[int, bytes]:
    answer = instance.ask("/healthz")
    return answer.status, answer.body


@pytest.mark.promise("healthz")
def test_healthz(serving: Instance) -> None:
    """200 or 503, and a word; without a password, and no line of a log says more."""
    paths = Paths(serving.root)
    assert healthz(serving) == (200, b"ok\n")
    health.tell(paths, away=True)
    assert healthz(serving) == (503, b"away\n")
    health.tell(paths, away=False)
    for part in ("auth", "registry"):
        assert healthz(serving) == (200, b"ok\n")
        with stopped(serving, part):
            time.sleep(1)  # for so long it may tell what it has found
            assert healthz(serving) == (503, b"away\n")
        time.sleep(1)
    assert healthz(serving) == (200, b"ok\n")
    serving.write(".htpasswd", "")
    serving.reload()
    assert healthz(serving) == (200, b"ok\n")


def test_healthz_answers_the_same_whatever_is_asked(serving: Instance) -> None:
    """Seen: 405 to POST, PUT, OPTIONS and DELETE, 304 and 412 to conditions."""
    paths = Paths(serving.root)
    conditions = {"If-None-Match": "*", "If-Match": "x", "Range": "bytes=0-0"} | dict.fromkeys(
        ("If-Modified-Since", "If-Unmodified-Since"), "Thu, 01 Jan 1970 00:00:01 GMT"
    )
    for away, expected in ((False, (200, b"ok\n")), (True, (503, b"away\n"))):
        health.tell(paths, away=away)
        for method in ("GET", "POST", "PUT", "OPTIONS", "DELETE", "PATCH", "PROPFIND"):
            body = b"x" * 9000 if method in ("POST", "PUT") else b""
            answer = serving.ask("/healthz", method, body=body)
            assert (method, answer.status, answer.body) == (method, *expected)
            assert answer.headers["Cache-Control"] == "no-store" and answer.headers["Content-Type"] == "text/plain"
        for name, value in conditions.items():
            answer = serving.ask("/healthz", headers={name: value})
            assert (name, answer.status, answer.body) == (name, *expected)
        assert (answer := serving.ask("/healthz", "HEAD")).status == expected[0] and answer.body == b""
    health.tell(paths, away=False)


@pytest.mark.promise("healthz")
def test_a_healthz_of_the_administrators_counts(serving: Instance) -> None:
    serving.edit("nginx.conf", "server_name", "location = /healthz { return 200 mine; }\n        server_name")
    assert "rejected" not in serving.reload()
    assert healthz(serving) == (200, b"mine")


def test_a_catalogue_that_is_listed_meanwhile_is_whole(serving: Instance) -> None:
    """Seen: "unknown error", HTTP 500 (readdirent), when the repository was removed while it was listed."""
    ended = threading.Event()
    found: set[int] = set()

    def list_on() -> None:
        while not ended.is_set():
            found.add(serving.ask("/v2/_catalog", user="docker").status)

    clients = [threading.Thread(target=list_on) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        assert [asked(serving) for _ in range(100)] == [{}] * 100
    finally:
        ended.set()
        for client in clients:
            client.join()
    assert found == {200}


@pytest.mark.promise("probe", "guessing-holds-up-nobody")
def test_a_flood_under_the_probes_name_keeps_it_from_nothing(serving: Instance) -> None:
    """Seen: any local user, who shared its place in the queue, and was neither slowed nor logged. The last of this
    module: that client is slowed for a while."""
    log, ended, found = serving.root / "var/log/secure-registry/failed-logins.log", threading.Event(), list[int]()
    os.truncate(log, 0)

    def ask_on() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                found.append(ask_as_probe(serving, "/v2/", password=str(len(found)), word="").status)

    threads = [threading.Thread(target=ask_on, daemon=True) for _ in range(40)]
    for thread in threads:
        thread.start()
    try:
        serving.wait_for("the flood", lambda: len(log.read_text().splitlines()) >= len(threads))
        answered, begun = len(found), time.monotonic()
        for _ in range(5):
            assert asked(serving) == {}
        serving.edit("nginx.conf", "keepalive_timeout", "# another\n    keepalive_timeout")
        assert "unproven" not in (said := serving.reload()) and "too much" not in said, said
        assert serving.run("status").returncode == 0
        assert len(found) - answered <= 10 + 3 * (time.monotonic() - begun), "two a second"
    finally:
        ended.set()
        for thread in threads:
            thread.join(60)
    assert {*found} <= {401, 429}
    assert f'127.0.0.1 wrong password for user "{PROBE}"' in log.read_text()
