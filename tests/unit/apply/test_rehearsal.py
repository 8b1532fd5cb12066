"""What `nginx -t` says, and whether it is said of the configuration at all. A real nginx: tests/real/test_edits.py."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from secreg_host.apply import choice, probe, rehearsal
from secreg_host.base import process
from secreg_host.base.errors import Later, Problem, SecregError
from secreg_host.base.process import Account
from secreg_host.formats.listening import Listen
from secreg_host.formats.serverblocks import Door
from secreg_host.generation import assemble
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import RegistryPart
from tests import made

GONE = [
    'mkdir() "{run}/body" failed (2: No such file or directory)',
    "bind() to unix:{run}/check.sock failed (2: No such file or directory)",
]


@pytest.mark.parametrize("said", GONE)
def test_a_run_directory_that_systemd_took_away_is_no_fault_of_the_configuration(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen on a busy host: nginx was killed, and nginx.conf rejected."""
    run, left = tmp_path / "front", [f"nginx: [emerg] {said}".format(run=tmp_path / "front"), ""]

    def nginx(argv: list[str]) -> subprocess.CompletedProcess[str]:
        stderr = left.pop(0)
        return subprocess.CompletedProcess(argv, bool(stderr), "", stderr)

    monkeypatch.setattr(process, "run", nginx)
    account = Account("me", 0, 0)
    assert rehearsal._test(Path("/usr/sbin/nginx"), tmp_path / "nginx.conf", account, run) is None
    assert left == [] and run.is_dir()


STAGED = Path("/var/lib/secure-registry/generations/x")
PAIR = made.certificate(
    {}, (), ("/etc/secure-registry/docker-registry.crt", "/etc/secure-registry/docker-registry.key")
)
NGINX = NginxPart(origin={"front/nginx.conf": "/etc/secure-registry/nginx.conf"})
GENERATION = Generation(Parts(made.settings(), PAIR, RegistryPart(root=None), NGINX), "a", {})
SAID = {
    'cannot load certificate "{0}/front/docker-registry.crt": PEM_read_bio_X509() failed (SSL: error:04800066:PEM '
    "routines::bad end line)": PAIR.sources[0],
    'cannot load certificate key "{0}/front/docker-registry.key": PEM_read_bio_PrivateKey() failed': PAIR.sources[1],
    'SSL_CTX_use_certificate("{0}/front/docker-registry.crt") failed (SSL: ee key too small)': PAIR.sources[0],
    'SSL_CTX_use_PrivateKey("{0}/front/docker-registry.key") failed (SSL: key values mismatch)': PAIR.sources[1],
    'unknown directive "nonsense" in {0}/front/nginx.conf:7': "/etc/secure-registry/nginx.conf:7",
}  # fmt: skip


@pytest.mark.parametrize("said", SAID)
def test_a_certificate_s_fault_is_blamed_on_the_certificate(said: str) -> None:
    (problem,) = rehearsal.explain(f"nginx: [emerg] {said.format(STAGED)}", STAGED, GENERATION)
    assert problem.where == SAID[said] and problem.hint
    assert ("include secure-registry" in problem.hint) is False


@pytest.mark.parametrize(
    ("said", "later"),
    [
        ('host not found in upstream "later.example:80" in {0}/front/nginx.conf:7', True),
        ("bind() to 192.0.2.7:443 failed (99: Cannot assign requested address)", True),
        ('unknown directive "nonsense" in {0}/front/nginx.conf:7', False),
    ],
)
def test_what_is_no_fault_of_the_file_is_tried_again(said: str, later: bool) -> None:
    """Seen: a name that was known a minute later was held back until a reload."""
    (problem,) = rehearsal.explain(f"nginx: [emerg] {said.format(STAGED)}", STAGED, GENERATION)
    assert (isinstance(problem, Later), "tried again by itself" in problem.hint) == (later, later)


CONF = """events { }
http {
    ssl_dhparam dh.pem;
    server {
        ssl_certificate /mnt/live/full_chain.pem;
        ssl_certificate_key /etc/passwd;
        ssl_client_certificate clients.pem;
        ssl_crl /etc/passwd;
        ssl_session_ticket_key /etc/passwd;
        ssl_stapling_file /etc/passwd;
        location / {
            proxy_ssl_trusted_certificate /etc/passwd;
        }
    }
}
"""
NAMED = {
    'cannot load certificate "/mnt/live/full_chain.pem": BIO_new_file() failed (SSL: error:8000000D:system '
    "library::Permission denied:calling fopen(/mnt/live/full_chain.pem, r))": (5, "ssl_certificate", "copied for it"),
    'cannot load certificate "/mnt/live/full_chain.pem": PEM_read_bio_X509_AUX() failed': (5, "ssl_cert", "issuers"),
    'cannot load certificate key "/etc/passwd": PEM_read_bio_PrivateKey() failed': (6, "ssl_certificate_key", "key of"),
    'SSL_CTX_use_PrivateKey("/etc/passwd") failed (SSL: key values mismatch)': (6, "ssl_certificate_key", "the key"),
    'SSL_CTX_load_verify_locations("{0}/front/clients.pem") failed': (7, "ssl_client_certificate", "of CAs"),
    'SSL_CTX_load_verify_locations("/etc/passwd") failed': (12, "proxy_ssl_trusted_certificate", "of CAs"),
    'X509_LOOKUP_load_file("/etc/passwd") failed': (8, "ssl_crl", "revoked"),
    'PEM_read_bio_DHparams("{0}/front/dh.pem") failed': (3, "ssl_dhparam", "openssl dhparam"),
    'BIO_new_file("{0}/front/dh.pem") failed': (3, "ssl_dhparam", "openssl dhparam"),
    '"/etc/passwd" must be 48 or 80 bytes in {0}/front/nginx.conf:15': (9, "ssl_session_ticket_key", "openssl rand"),
    'd2i_OCSP_RESPONSE_bio("/etc/passwd") failed': (10, "ssl_stapling_file", "OCSP"),
}  # fmt: skip
"""What nginx says of a file that nginx.conf names: its line there, the directive, and what helps."""


@pytest.mark.promise("messages")
@pytest.mark.parametrize("said", NAMED)
def test_a_file_that_nginx_conf_names_is_blamed_on_the_line(said: str) -> None:
    """Seen: /etc/passwd was blamed, for it held no key."""
    etc = Path("/etc/secure-registry")
    origin = {f"front/{name}": str(etc / name) for name in ("nginx.conf", "dh.pem", "clients.pem")}
    nginx = NginxPart(files={"front/nginx.conf": CONF.encode()}, origin=origin)
    generation = Generation(GENERATION.parts.having(nginx), "a", {})
    (problem,) = rehearsal.explain(f"nginx: [emerg] {said.format(STAGED)}", STAGED, generation)
    line, directive, hint = NAMED[said]
    assert problem.where == f"{etc}/nginx.conf:{line}" and problem.what.startswith(directive), problem
    assert hint in problem.hint and str(STAGED) not in problem.what
    assert '"/' in problem.what, "the file is named, too"


@pytest.mark.parametrize(("own", "where"), [("fingerprint", PAIR.sources[0]), (None, NGINX.conf)])
def test_without_tls_the_certificate_is_to_blame_if_it_is_ours(own: str | None, where: str) -> None:
    want = probe.Expectation(Listen("", 443), "/x", own, "localhost")
    problem = rehearsal.at_fault(GENERATION, want, probe.NoHandshake("no TLS: SSLV3_ALERT_HANDSHAKE_FAILURE"))
    assert problem.where == where and problem.hint
    assert rehearsal.at_fault(GENERATION, want, "the new configuration does not answer").where == NGINX.conf


def test_what_came_with_a_certificate_alone_is_its_fault() -> None:
    told = Problem(NGINX.conf, "rehearsed on port 443: no answer", "include secure-registry/registry.conf;")
    blamed = choice._of_part(PAIR, told)
    assert blamed.where == PAIR.sources[0] and blamed.what == told.what and "include" not in blamed.hint
    assert choice._of_part(NGINX, told) == told


class Trial:
    """A trial of `one` in which nginx says and answers what a test sets; tested: whose `nginx -t` was asked."""

    def __init__(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host, self.tested, self.said = host, list[str](), dict[str, str]()
        self.fails, self.answers, self.open = "", "", ""
        self.one = Generation(made.parts(), "a", {"auth/nginx.conf": b"auth"})
        sockets = {Path("/nowhere/1.sock"): made.AT}
        monkeypatch.setattr(rehearsal.hosts, "nginx", lambda _: Path("/usr/sbin/nginx"))
        monkeypatch.setattr(rehearsal, "_copy", lambda *_: sockets)
        monkeypatch.setattr(rehearsal, "_running", lambda *_: self.running())
        monkeypatch.setattr(process, "run", self.run)
        monkeypatch.setattr(probe, "once", lambda *_: self.answers)
        monkeypatch.setattr(probe, "find_open", lambda doors, _: self.open if doors else "")

    def run(self, argv: list[str]) -> subprocess.CompletedProcess[str]:
        whose = Path(argv[argv.index("-c") + 1]).parent.name
        self.tested.append(whose)
        stderr = self.said.get(whose, "")
        return subprocess.CompletedProcess(argv, bool(stderr), "", stderr)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        if self.fails:
            raise SecregError(f"nginx did not start: {self.fails}", "see to it")
        yield

    def check(self, tried: Generation | None = None) -> list[str]:
        return [problem.what for problem in rehearsal.check(self.host, self.one, STAGED, tried)]


@pytest.fixture
def trial(host: Host, monkeypatch: pytest.MonkeyPatch) -> Trial:
    return Trial(host, monkeypatch)


def test_a_rehearsal_that_finds_nothing(trial: Trial) -> None:
    assert trial.check() == [] and sorted(trial.tested) == ["auth", "front"]
    assert not trial.host.paths.rehearsal.exists()


@pytest.mark.parametrize("whose", ["front", "auth"])
def test_what_nginx_says_of_either_counts(trial: Trial, whose: str) -> None:
    trial.said[whose] = f"nginx: [emerg] unknown directive in {STAGED}/{whose}/nginx.conf:7"
    assert trial.check() == ["unknown directive"]


def test_a_password_check_that_is_as_it_was_is_not_tried_again(trial: Trial) -> None:
    """It could only hold back what has nothing to do with it; with another nginx it is another one."""
    trial.said["auth"] = "nginx: [emerg] out of something"
    assert trial.check(trial.one) == [] and trial.tested == ["front"]
    assert trial.check(replace(trial.one, rendered={"auth/nginx.conf": b"other"})) != []
    assert trial.check(replace(trial.one, parts=made.parts(nginx_binary="/opt/nginx"))) != []


def test_what_the_run_shows_counts(trial: Trial) -> None:
    trial.answers = "/v2/ without a password is answered by HTTP 200, not 401"
    assert trial.check() == [f"rehearsed on port 443: {trial.answers}"]
    trial.answers, trial.fails = "", "no more memory"
    assert trial.check() == ["rehearsal: nginx did not start: no more memory"]
    assert not trial.host.paths.rehearsal.exists()


def test_what_is_open_behind_a_door_counts(trial: Trial) -> None:
    trial.open = "127.0.0.1:443 (other.example): /v2/ is answered without a password"
    assert trial.check() == [], "it has none"
    door = made.nginx(doors=(Door(made.AT, "other.example"),))
    trial.one = Generation(made.parts(door), "a", trial.one.rendered)
    assert trial.check() == [f"rehearsed: {trial.open}"]


def test_a_bug_is_a_problem_of_nginx_conf(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "once", lambda *_: [].pop())
    (problem,) = rehearsal.check(trial.host, trial.one, STAGED)
    assert problem.where == "nginx.conf" and "a bug in secure-registry" in problem.what


def test_what_the_world_gets(host: Host) -> None:
    """The certificate of docker-registry.crt, unless nginx.conf names another; by a name that is served there."""
    named = Generation(made.parts(server_names=("a.example", "b.example")), "a", {})
    (want,) = rehearsal.expectations(host, named)
    assert (want.listen, want.fingerprint, want.server_name, want.inside) == (made.AT, "f", "a.example", None)
    assert want.answer_path == assemble.answer_path(named)
    nginx = made.nginx(own_pair=False, closed=True, called=(Door(made.AT, "own.example"),))
    (want,) = rehearsal.expectations(host, Generation(made.parts(nginx), "a", {}))
    assert (want.fingerprint, want.server_name) == (None, "own.example")
    assert want.inside == host.paths.front_run / assemble.GUARDED
