"""CA_DOMAIN and the CA that is there: what is told when they differ."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from secreg_host.base.snapshot import Snapshot
from secreg_host.host.host import Host
from secreg_host.wanted import authority, defaults
from secreg_host.wanted.authority import Order
from secreg_host.wanted.defaults import Facts
from secreg_host.wanted.settings import Settings

NARROW = Settings(server_names=("registry.example.org",))
WIDE = replace(NARROW, ca_domains=("example.org",))
FACTS = Facts("host", (), False)


def issue(host: Host, settings: Settings, *, new_ca: bool = False) -> None:
    defaults.follow(Snapshot(host.paths), defaults.render(host, settings, FACTS), create=True)
    authority.issue(Snapshot(host.paths), settings, FACTS, datetime.now(UTC), Order(new_ca=new_ca))


def told(host: Host, settings: Settings) -> list[str]:
    return [str(problem) for problem in authority.differs(Snapshot(host.paths), settings)]


@pytest.fixture
def etc(host: Host) -> Host:
    host.paths.etc.mkdir(parents=True)
    host.paths.conf.write_text("# mine\n\nCA_DOMAIN=example.org\n")
    return host


def test_a_ca_that_is_there_stays_and_the_line_is_named(etc: Host) -> None:
    assert told(etc, WIDE) == [], "there is no CA yet"
    issue(etc, NARROW)
    assert told(etc, NARROW) == []
    issue(etc, WIDE)
    (one,) = told(etc, WIDE)
    assert one.startswith(f"{etc.paths.conf}:3: CA_DOMAIN: the host's CA may not sign names below example.org")
    assert "secure-registry gencert --new-ca" in one
    issue(etc, WIDE, new_ca=True)
    assert told(etc, WIDE) == []


def test_a_ca_that_may_sign_more_than_is_set(etc: Host) -> None:
    issue(etc, WIDE)
    assert told(etc, WIDE) == []
    etc.paths.conf.write_text("")
    for settings in (NARROW, replace(NARROW, ca_domains=("registry.example.org",))):
        (one,) = told(etc, settings)
        assert one.startswith(f"{etc.paths.conf}: CA_DOMAIN: the host's CA may sign any name below example.org")
        assert "set CA_DOMAIN" in one
    assert told(etc, replace(NARROW, ca_domains=("example.org", "example.com")))[0].count("example.com") == 1


def test_a_bad_openssl_cnf_is_told_elsewhere(etc: Host) -> None:
    issue(etc, NARROW)
    etc.paths.openssl_cnf.write_text("[")
    assert "may not sign names below example.org" in told(etc, WIDE)[0]
