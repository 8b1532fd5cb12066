"""Names for none of which there is a certificate are held back, whichever of the two changes first."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from secreg_host.base.errors import BadInput
from secreg_host.base.snapshot import Snapshot
from secreg_host.host.host import Host
from secreg_host.wanted import authority, defaults, unserved
from secreg_host.wanted.authority import Order
from secreg_host.wanted.defaults import Facts
from secreg_host.wanted.parts import certificate
from secreg_host.wanted.settings import Settings
from tests.unit.pki.test_clientrules import NAME, OTHER, Leaf

FACTS = Facts("host", (), False)
BEFORE = Settings(server_names=(NAME,))
ELSEWHERE = Settings(server_names=("xn--bcher-kva.example.org",))


def told(host: Host, settings: Settings, known: Settings = BEFORE) -> list[str]:
    lines = [
        f"SERVER_NAME={' '.join(settings.server_names)}",
        "PORT=8443",
        f"SERVER_IP={' '.join(settings.server_ips)}",
    ]
    host.paths.conf.write_text("\n".join(lines))
    found = unserved.problems(Snapshot(host.paths), settings, known)
    return [str(one).removeprefix(f"{host.paths.conf}:") for one in found]


@pytest.fixture
def brought(host: Host) -> Host:
    """With a certificate for NAME of another CA."""
    host.paths.etc.mkdir(parents=True)
    host.paths.crt.write_bytes(Leaf(by=OTHER).pair().crt)
    return host


@pytest.fixture
def own(host: Host) -> Host:
    """With one for NAME that the host's CA issued, as an openssl.cnf says that follows the settings."""
    disk = Snapshot(host.paths)
    host.paths.etc.mkdir(parents=True)
    defaults.follow(disk, defaults.render(host, BEFORE, FACTS), create=True)
    authority.issue(disk, BEFORE, FACTS, datetime.now(UTC), Order())
    return host


def test_names_that_a_brought_certificate_is_not_for(brought: Host) -> None:
    """Seen: they served, a warning beside them, and `status` said CRITICAL half a minute later."""
    for known in (BEFORE, Settings()):
        (said,) = told(brought, ELSEWHERE, known)
        assert said.startswith("1: the certificate is for none of xn--bcher-kva.example.org") and "bring one" in said
    (said,) = told(brought, Settings(server_ips=("192.0.2.1",)))
    assert said.startswith("3: the certificate is for none of 192.0.2.1")
    assert told(brought, Settings(server_names=(*ELSEWHERE.server_names, NAME))) == [], "one is enough"
    assert told(brought, ELSEWHERE, ELSEWHERE) == [], "they serve"
    assert told(brought, Settings()) == [], "nobody says by which name clients come"
    assert told(brought, ELSEWHERE, Settings(server_names=("other.example",))) == [], "they are no worse"
    brought.paths.crt.write_bytes(Leaf(names=ELSEWHERE.server_names, by=OTHER).pair().crt)
    assert told(brought, ELSEWHERE) == []


def test_names_for_which_the_hosts_ca_issues_one(own: Host) -> None:
    assert told(own, Settings(server_names=(f"sub.{NAME}",))) == []
    strange = Settings(server_names=("a.example.net",), server_ips=("203.0.113.9",))
    first, second = told(own, strange)
    assert first.startswith("1: the host's CA may not sign a.example.net") and "gencert --new-ca" in first
    assert second.startswith("3: the host's CA may not sign 203.0.113.9")


def test_names_that_an_edited_openssl_cnf_does_not_follow(own: Host) -> None:
    text = own.paths.openssl_cnf.read_text()
    own.paths.openssl_cnf.write_text(f"{text}# mine\n")
    (said,) = told(own, Settings(server_names=(f"sub.{NAME}",)))
    assert said.startswith("1: the certificate is for none of") and "[alt_names]" in said
    own.paths.openssl_cnf.write_text(text.replace(f"DNS.1 = {NAME}", f"DNS.1 = *.{NAME}"))
    assert told(own, Settings(server_names=(f"sub.{NAME}",))) == [], "it is issued by then"
    own.paths.openssl_cnf.write_text("broken")
    assert told(own, Settings(server_names=(f"sub.{NAME}",))) != []


def test_what_the_ca_may_not_sign_is_told_at_its_line(own: Host) -> None:
    """Seen: an address of SERVER_IP at the line of SERVER_NAME, and beside it to write it into openssl.cnf, which is
    refused."""
    settings = Settings(server_names=(NAME,), server_ips=("203.0.113.9",))
    assert told(own, settings) == [], "one of them is served"
    disk = Snapshot(own.paths)
    defaults.follow(disk, defaults.render(own, settings, FACTS), create=False)
    with pytest.raises(BadInput, match=r"secure-registry.conf:3: the host's CA may not sign 203\.0\.113\.9"):
        authority.issue(disk, settings, FACTS, datetime.now(UTC), Order())
    found = certificate.read(disk, datetime.now(UTC), None, unserved.named(settings))
    (hint,) = [one.hint for one in found.warnings if "it is not for 203.0.113.9" in one.what]
    assert hint.startswith("the host's CA may not sign 203.0.113.9: ") and hint.endswith("gencert --new-ca")
    found = certificate.read(disk, datetime.now(UTC), None, (NAME, f"sub.{NAME}"))
    (hint,) = [one.hint for one in found.warnings if "it is not for sub." in one.what]
    assert "openssl.cnf: subjectAltName = DNS:sub." in hint, "that it may"
