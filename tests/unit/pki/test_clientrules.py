"""What is issued is judged as a client would, before anything is written. (By clients: tests/real/test_issued.py,
test_clientrules.py.)"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from secreg_host.base.errors import BadInput
from secreg_host.base.snapshot import Snapshot
from secreg_host.host.host import Host
from secreg_host.pki import certs, chains, clientrules
from secreg_host.pki.certs import KeyPair
from secreg_host.wanted import authority, defaults
from secreg_host.wanted.authority import Order
from secreg_host.wanted.defaults import Facts
from secreg_host.wanted.settings import Settings

NOW = datetime.now(UTC)
NAME = "registry.example.org"
FACTS = Facts(NAME, (), False)
CA = certs.make_ca([NAME], [], NOW, "Void", "host")
OTHER = certs.make_ca([NAME], [], NOW, "Void", "host")
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OLD = certs.make_ca([NAME], [], NOW - timedelta(days=certs.CA_DAYS + 1), "Void", "host")


@dataclass(frozen=True)
class Leaf:
    """A server certificate as somebody might build it."""

    names: Sequence[str] = (NAME,)
    addresses: Sequence[str] = ()
    common: str = NAME
    usage: Sequence[str] | None = ("digitalSignature",)
    extended: Sequence[x509.ObjectIdentifier] | None = (ExtendedKeyUsageOID.SERVER_AUTH,)
    is_ca: bool = False
    days: int = 90
    by: KeyPair = CA
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = EC_KEY

    def pair(self) -> KeyPair:
        issuer = x509.load_pem_x509_certificate(self.by.crt)
        signer = serialization.load_pem_private_key(self.by.key, None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        sans = [
            *map(x509.DNSName, self.names),
            *(x509.IPAddress(ipaddress.ip_address(address)) for address in self.addresses),
        ]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.common)]))
            .issuer_name(issuer.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=200))
            .not_valid_after(NOW + timedelta(days=self.days))
            .add_extension(x509.BasicConstraints(self.is_ca, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(certs.identifier(issuer), critical=False)
        )
        if self.usage is not None:
            bits = {field: name in self.usage for name, field in certs.USAGES.items()}
            builder = builder.add_extension(x509.KeyUsage(**bits), critical=True)
        if self.extended is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(self.extended), critical=False)
        if sans:
            builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
        crt = builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        form = serialization.PrivateFormat.PKCS8
        key = self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        return KeyPair(crt, key)


GOOD = {
    "as issued": Leaf(),
    "no key usage": Leaf(usage=None),
    "no extended key usage": Leaf(extended=None),
    "both usages": Leaf(extended=(ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)),
    "an address": Leaf(addresses=("10.0.0.1",)),
    "RSA": Leaf(key=rsa.generate_private_key(65537, 2048), usage=("digitalSignature", "keyEncipherment")),
}
BAD = {
    "keyUsage": Leaf(usage=("keyEncipherment",)),
    "keyUsage of none": Leaf(usage=()),
    "keyUsage of a CA": Leaf(usage=("digitalSignature", "keyCertSign")),
    "extendedKeyUsage": Leaf(extended=(ExtendedKeyUsageOID.CLIENT_AUTH,)),
    "basicConstraints": Leaf(is_ca=True, usage=("digitalSignature", "keyCertSign")),
    "subjectAltName of another name": Leaf(names=(NAME, "evil.example")),
    "subjectAltName of another address": Leaf(addresses=("8.8.8.8",)),
    "subjectAltName missing": Leaf(names=()),
    "CN of another name": Leaf(names=(), addresses=("10.0.0.1",), common="evil.example"),
    "validity": Leaf(days=-1),
    "CA": Leaf(by=OTHER),
    "CA too old": Leaf(by=OLD),
    "default_bits": Leaf(key=rsa.generate_private_key(65537, 1024)),
}


def verdict(leaf: Leaf) -> tuple[str, ...]:
    return abouts(leaf.pair(), trusted(leaf))


def abouts(pair: KeyPair, ca: KeyPair, *configured: str) -> tuple[str, ...]:
    """What keeps `ca` from issuing `pair`."""
    (root,) = chains.read(ca.crt, "")
    return tuple(fact.about for fact in clientrules.of_issued(chains.read(pair.crt, ""), root, configured, NOW))


def trusted(leaf: Leaf) -> KeyPair:
    """The CA that the client has."""
    return OLD if leaf.by is OLD else CA


@pytest.mark.parametrize("case", GOOD)
def test_what_clients_take(case: str) -> None:
    assert verdict(GOOD[case]) == ()


@pytest.mark.parametrize("case", BAD)
def test_what_they_do_not(case: str) -> None:
    assert case.partition(" ")[0] in verdict(BAD[case])


@pytest.mark.parametrize(
    ("configured", "good"),
    [(NAME, True), ("a.example.org", True), ("10.0.0.1", True), ("a.b.example.org", False), ("10.0.0.2", False)],
)
def test_one_of_the_configured_names_must_be_served(configured: str, good: bool) -> None:
    wide = certs.make_ca(["example.org"], [], NOW, "Void", "host")
    leaf = Leaf(names=(NAME, "*.example.org"), addresses=("10.0.0.1",), by=wide)
    assert (abouts(leaf.pair(), wide, configured) == ()) is good


@pytest.fixture
def set_up(host: Host) -> Host:
    host.paths.etc.mkdir(parents=True)
    defaults.follow(Snapshot(host.paths), defaults.render(host, Settings(), FACTS), create=True)
    authority.issue(Snapshot(host.paths), Settings(), FACTS, NOW, Order())
    return host


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("digitalSignature, keyEncipherment", "keyEncipherment", "without digitalSignature"),
        ("digitalSignature, keyEncipherment", "critical", "a word is not known"),
        ("digitalSignature,", "digitalSignature, keyCertSign,", "keyCertSign"),
        ("digitalSignature,", "digitalSignature, encipherOnly,", "keyAgreement"),
        ("= serverAuth", "= clientAuth", "without serverAuth"),
        ("CA:FALSE", "CA:TRUE", "no CA"),
        (f"DNS.1 = {NAME}", "DNS.1 = evil.example", "may not sign evil.example"),
    ],
)
def test_a_renewal_never_replaces_what_works_by_what_no_client_takes(
    set_up: Host, old: str, new: str, said: str
) -> None:
    paths = set_up.paths
    text, before = paths.openssl_cnf.read_text(), paths.crt.read_bytes()
    assert old in text
    paths.openssl_cnf.write_text(text.replace(old, new))
    if "DNS" not in old:  # told when it is edited, not when it is needed
        with pytest.raises(BadInput):
            authority.due(Snapshot(set_up.paths), NOW)
    with pytest.raises(BadInput) as caught:
        if authority.due(Snapshot(set_up.paths), NOW + timedelta(days=300)):
            authority.issue(Snapshot(set_up.paths), Settings(), FACTS, NOW + timedelta(days=300), Order())
    (problem,) = caught.value.problems
    assert said in problem.what and problem.hint
    file, _, line = problem.where.rpartition(":")
    assert file == str(paths.openssl_cnf) and old.split()[0] in text.splitlines()[int(line) - 1]
    assert paths.crt.read_bytes() == before and not paths.pending.exists()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            "DNS.1 = {n}\nDNS.2 = a.{n}\nDNS.3 = Evil.example\nIP.1 = 10.0.0.1\nIP.2 = 8.8.8.8",
            {10: "evil.example", 12: "8.8.8.8"},
        ),
        ("DNS.1 = evil.example\nDNS.2 = {n}", {8: "evil.example"}),
        ("IP.1 = 10.0.0.1", {6: "evil.example, its only name"}),
    ],
)
def test_what_the_ca_may_not_sign_is_told_where_it_stands(set_up: Host, names: str, expected: dict[int, str]) -> None:
    cnf = set_up.paths.openssl_cnf
    head = f"[req]\nprompt = no\ndistinguished_name = dn\n[dn]\n0.CN = {NAME}\n1.CN = evil.example\n[alt_names]\n"
    cnf.write_text(head + names.format(n=NAME))
    with pytest.raises(BadInput) as caught:
        authority.issue(Snapshot(set_up.paths), Settings(), FACTS, NOW, Order())
    told = {problem.where: problem.what for problem in caught.value.problems}
    assert {where: what.partition(" may not sign ")[2] for where, what in told.items()} == {
        f"{cnf}:{line}": what for line, what in expected.items()
    }


def test_only_what_is_configured_counts(set_up: Host) -> None:
    """openssl.cnf alone decides; but when SERVER_NAME says where clients are, one of these names must be there."""
    cnf = set_up.paths.openssl_cnf
    cnf.write_text(f"[req]\nprompt = no\ndistinguished_name = dn\n[dn]\nCN = {NAME}\n[alt_names]\nIP.1 = 10.1.2.3\n")
    authority.issue(Snapshot(set_up.paths), Settings(), FACTS, NOW, Order())
    with pytest.raises(BadInput, match=r"openssl.cnf:7: it is for none of registry.example.org"):
        authority.issue(Snapshot(set_up.paths), replace(Settings(), server_names=(NAME,)), FACTS, NOW, Order())


def test_a_ca_that_ended_is_named(set_up: Host) -> None:
    before = set_up.paths.crt.read_bytes()
    for days in (1, 30):
        with pytest.raises(BadInput, match="--new-ca"):
            authority.issue(
                Snapshot(set_up.paths), Settings(), FACTS, NOW + timedelta(days=certs.CA_DAYS + days), Order()
            )
    assert set_up.paths.crt.read_bytes() == before
