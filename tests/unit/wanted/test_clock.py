"""Time passes, or jumps back: what serves goes on serving, what is new is judged by the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from secreg_host.base.errors import BadInput
from secreg_host.base.snapshot import Snapshot
from secreg_host.host.host import Host
from secreg_host.pki import chains
from secreg_host.pki.certs import KeyPair
from secreg_host.wanted import authority, defaults
from secreg_host.wanted.defaults import Facts
from secreg_host.wanted.parts import certificate
from secreg_host.wanted.settings import Settings
from tests.unit.pki.test_clientrules import OTHER, Leaf

NOW = datetime.now(UTC)
FACTS = Facts("host", (), False)
FOREIGN = Leaf(by=OTHER).pair()


@pytest.fixture
def issued(host: Host) -> Host:
    host.paths.etc.mkdir(parents=True)
    defaults.follow(Snapshot(host.paths), defaults.render(host, Settings(), FACTS), create=True)
    authority.issue(Snapshot(host.paths), Settings(), FACTS, NOW, authority.Order())
    return host


def bring(host: Host, pair: KeyPair = FOREIGN) -> None:
    host.paths.crt.write_bytes(pair.crt)
    host.paths.key.write_bytes(pair.key)


@pytest.mark.parametrize(
    ("days", "said"), [(0, ""), (-400, "it is valid only from"), (390, "expires on"), (500, "it expired on")]
)
def test_what_serves_goes_on_with_a_warning(issued: Host, days: int, said: str) -> None:
    before = certificate.read(Snapshot(issued.paths), NOW, None).part
    found = certificate.read(Snapshot(issued.paths), NOW + timedelta(days=days), before)
    assert found.part is not None and found.problems == ()
    assert [said in problem.what for problem in found.warnings] == ([True] if said else [])


@pytest.mark.parametrize(("days", "said"), [(-400, "valid only from"), (500, "it expired on")])
def test_what_is_new_must_be_valid(issued: Host, days: int, said: str) -> None:
    found = certificate.read(Snapshot(issued.paths), NOW + timedelta(days=days), None)
    assert found.part is None and said in found.problems[0].what and found.problems[0].hint


def test_a_setup_with_the_clock_set_back_keeps_within_the_life_of_the_ca(issued: Host) -> None:
    long_ago = NOW - timedelta(days=400)
    authority.issue(Snapshot(issued.paths), Settings(), FACTS, long_ago, authority.Order())
    (leaf,) = chains.read(issued.paths.crt.read_bytes(), "")
    assert leaf.validity[0] >= NOW - timedelta(days=2)


@pytest.mark.promise("renewal")
@pytest.mark.parametrize(("days", "due"), [(0, False), (200, False), (263, False), (270, True), (500, True)])
def test_our_own_certificate_is_renewed_after_two_thirds_of_its_life(issued: Host, days: int, due: bool) -> None:
    assert authority.due(Snapshot(issued.paths), NOW + timedelta(days=days)) is due


@pytest.mark.promise("renewal")
def test_it_is_renewed_when_names_change(issued: Host) -> None:
    text = issued.paths.openssl_cnf.read_text()
    issued.paths.openssl_cnf.write_text(text + "DNS.9 = new.host\n")
    assert authority.due(Snapshot(issued.paths), NOW)
    authority.issue(Snapshot(issued.paths), Settings(), FACTS, NOW, authority.Order())
    assert not authority.due(Snapshot(issued.paths), NOW)
    issued.paths.openssl_cnf.write_text(text + "IP.9 = 300.0.0.1\n")
    with pytest.raises(BadInput):
        authority.due(Snapshot(issued.paths), NOW)


def test_one_that_can_not_be_renewed_is_told_at_once(issued: Host) -> None:
    """Without openssl.cnf: it expired in silence. One of the administrator's needs none."""
    issued.paths.openssl_cnf.unlink()
    with pytest.raises(BadInput, match=r"openssl\.cnf: does not exist"):
        authority.due(Snapshot(issued.paths), NOW)
    bring(issued)
    assert not authority.due(Snapshot(issued.paths), NOW + timedelta(days=390))


def test_one_that_the_administrator_brought_is_never_renewed(issued: Host) -> None:
    bring(issued)
    assert not authority.due(Snapshot(issued.paths), NOW + timedelta(days=390))
