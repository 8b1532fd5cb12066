"""Who answers /healthz, and the file by which it is told that something is away."""

from __future__ import annotations

import pytest

from secreg_host.generation import health
from secreg_host.host.host import Host
from secreg_host.wanted.parts.nginx import NginxPart


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("location = /healthz { return 200; }", True),
        ("server { location /healthz{ } }", True),
        ("location ^~ '/healthz' { }", True),
        ("location\n    =\n    /healthz\n{ }", True),
        ("# location = /healthz { }", False),
        ("location = /healthz2 { } location /x/healthz { }", False),
        ("return 301 /healthz;", False),
    ],
)
def test_whose_healthz_it_is(text: str, taken: bool) -> None:
    part = NginxPart(files={"front/nginx.conf": text.encode()}, sources=("nginx.conf",))
    assert health.taken(part) is taken


def test_what_is_away_is_told_by_a_file(host: Host) -> None:
    host.paths.run.mkdir(parents=True)
    for away in (True, True, False, False):
        health.tell(host.paths, away=away)
        assert health.flag(host.paths).exists() is away
    health.flag(host.paths).parent.rmdir()
    health.tell(host.paths, away=True)  # best effort
