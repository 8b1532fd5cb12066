"""What `nginx -t` says, and whether it is said of the configuration at all. A real nginx: tests/real/test_edits.py."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from secreg_host.apply import choice, probe, rehearsal
from secreg_host.base import process
from secreg_host.base.errors import Problem
from secreg_host.base.process import Account
from secreg_host.formats.listening import Listen
from secreg_host.generation.generations import Generation
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
    'cannot load certificate "/mnt/live/full chain.pem": BIO_new_file() failed (SSL: error:8000000D:system '
    "library::Permission denied:calling fopen(/mnt/live/full chain.pem, r))": "/mnt/live/full chain.pem",
    'unknown directive "nonsense" in {0}/front/nginx.conf:7': "/etc/secure-registry/nginx.conf:7",
}  # fmt: skip


@pytest.mark.parametrize("said", SAID)
def test_a_certificate_s_fault_is_blamed_on_the_certificate(said: str) -> None:
    (problem,) = rehearsal.explain(f"nginx: [emerg] {said.format(STAGED)}", STAGED, GENERATION)
    assert problem.where == SAID[said] and problem.hint
    assert ("include secure-registry" in problem.hint) is False


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
