"""Certificates, judged by another library (Python's ssl, that is OpenSSL) as a client would."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from secreg_host.base.errors import BadInput
from secreg_host.formats import opensslcnf
from secreg_host.pki import certs, chains, limits, pairs
from secreg_host.pki.certs import KeyPair

NOW = datetime.now(UTC)
CNF = """
[req]
distinguished_name = dn
x509_extensions = ext
prompt = no
[dn]
C = AU
O = Void
CN = registry.example.org
[ext]
keyUsage = digitalSignature, keyEncipherment
subjectAltName = @alt_names
[alt_names]
DNS.1 = registry.example.org
DNS.2 = host
IP.1 = 192.0.2.1
IP.2 = 2001:db8::1
"""


def handshake(ca: bytes, pair: KeyPair, name: str, tmp_path: object) -> None:
    """A client that trusts only `ca` meets a server with `pair`; raises ssl.SSLError as the client would."""
    from pathlib import Path

    folder = Path(str(tmp_path))
    (folder / "crt").write_bytes(pair.crt)
    (folder / "key").write_bytes(pair.key)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(folder / "crt", folder / "key")
    client_side = ssl.create_default_context(cadata=ca.decode())
    a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(a, b, server_hostname=name)
    server = server_side.wrap_bio(b, a, server_side=True)
    for _ in range(5):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.getpeercert()


def leaf(pair: KeyPair) -> chains.Cert:
    return chains.read(pair.crt, "")[0]


def made(text: str = CNF, key_type: str = "P-256") -> tuple[KeyPair, KeyPair]:
    request = opensslcnf.parse(text.encode(), "openssl.cnf")
    ca = certs.make_ca(request.dns_names, request.addresses, NOW, "Void", "host")
    return ca, certs.issue(ca, request, key_type, 90, NOW)


@pytest.mark.parametrize("name", ["registry.example.org", "host", "192.0.2.1", "2001:db8::1"])
def test_a_client_that_trusts_the_ca_accepts_every_name(name: str, tmp_path: object) -> None:
    ca, pair = made()
    handshake(ca.crt, pair, name, tmp_path)


@pytest.mark.promise("ca-signs-its-names-only")
def test_a_ca_for_a_domain(tmp_path: object) -> None:
    """By choice: any name below it, and none above, beside or that only ends so."""
    request = opensslcnf.parse(CNF.encode(), "openssl.cnf")
    ca = certs.make_ca(request.dns_names, request.addresses, NOW, "Void", "host", ("Example.net",))
    root = chains.read(ca.crt, "")[0]
    assert limits.outside(root, ("example.net", "*.a.example.net", "registry.example.org", "a.host"), ()) == ()
    beside = ("example.org", "net", "notexample.net", "other.example.org")
    assert limits.outside(root, beside, ()) == beside
    wide = replace(request, dns_names=("a.b.example.net",))
    handshake(ca.crt, certs.issue(ca, wide, "P-256", 90, NOW), "a.b.example.net", tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        outside = replace(request, dns_names=("notexample.net",))
        handshake(ca.crt, certs.issue(ca, outside, "P-256", 90, NOW), "notexample.net", tmp_path)


def test_what_a_ca_may_sign_besides() -> None:
    root = chains.read(certs.make_ca(["a.example.org", "host"], [], NOW, "Void", "host", ("example.org",)).crt, "")[0]
    assert limits.beyond(root, ("a.example.org", "host")) == ("example.org",)
    assert limits.beyond(root, ("a.example.org", "Example.org")) == ()
    assert limits.beyond(root, ("b.example", "*.host")) == ()


def test_another_name_is_refused(tmp_path: object) -> None:
    ca, pair = made()
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(ca.crt, pair, "evil.example", tmp_path)


@pytest.mark.promise("ca-signs-its-names-only")
@pytest.mark.parametrize("outside", ["DNS.3 = evil.example", "IP.3 = 8.8.8.8"])
def test_a_stolen_ca_key_signs_nothing_else(outside: str, tmp_path: object) -> None:
    ca, _ = made()
    request = opensslcnf.parse((CNF + outside).encode(), "f")
    assert limits.outside(leaf(ca), request.dns_names, request.addresses) == (outside.partition(" = ")[2],)
    stolen = certs.issue(ca, request, "P-256", 90, NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        handshake(ca.crt, stolen, "registry.example.org", tmp_path)


def test_subdomains_and_private_addresses_are_within(tmp_path: object) -> None:
    ca, _ = made()
    more = "DNS.3 = a.b.registry.example.org\nDNS.4=localhost\nIP.3 = 10.1.2.3\nIP.4=fd00::7"
    request = opensslcnf.parse((CNF + more).encode(), "f")
    assert limits.outside(leaf(ca), request.dns_names, request.addresses) == ()
    handshake(ca.crt, certs.issue(ca, request, "P-256", 90, NOW), "10.1.2.3", tmp_path)


@pytest.mark.promise("reissuing-touches-no-client")
def test_reissuing_touches_no_client(tmp_path: object) -> None:
    ca, first = made()
    second = certs.issue(ca, opensslcnf.parse(CNF.encode(), "f"), "P-256", 90, NOW)
    assert first.crt != second.crt and first.key != second.key
    handshake(ca.crt, second, "host", tmp_path)
    assert leaf(second).is_signed_by(leaf(ca)) and not leaf(second).is_signed_by(leaf(made()[0]))


@pytest.mark.promise("settings")
def test_what_is_issued_is_read_and_lasts_as_asked() -> None:
    ca, pair = made()
    found = pairs.read(pair, "crt", "key")
    (one,) = found.chain
    assert found.problems == () and abs((one.validity[1] - NOW - timedelta(days=90)).total_seconds()) < 2
    assert one.names == ("registry.example.org", "host")
    assert one.addresses == (ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("2001:db8::1"))
    late = certs.issue(ca, opensslcnf.parse(CNF.encode(), "f"), "P-256", 90, NOW + timedelta(days=certs.CA_DAYS - 10))
    assert leaf(late).validity[1] <= NOW + timedelta(days=certs.CA_DAYS)


def test_a_pair_of_two_pairs_is_a_mismatch() -> None:
    _, one = made()
    _, two = made()
    found = pairs.read(KeyPair(one.crt, two.key), "crt", "key")
    assert found.mismatch and found.chain == ()


def test_a_chain_in_the_wrong_order_is_told() -> None:
    ca, pair = made()
    found = pairs.read(KeyPair(ca.crt + pair.crt, pair.key), "crt", "key")
    assert "must come first" in found.problems[0].hint


def test_an_openssl_cnf_without_any_name_is_told_what_it_lacks() -> None:
    with pytest.raises(BadInput) as caught:
        opensslcnf.parse(b"[req]\nprompt = no\n", "openssl.cnf")
    (problem,) = caught.value.problems
    assert "no alternative name" in problem.what and "[alt_names]" in problem.hint


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[alt_names]\nDNS.1 = bad_/name", "DNS: not a host name"),
        ("[alt_names]\nDNS.1 = 1.2.3.4", "DNS: not a host name"),
        ("[alt_names]\nIP.1 = fe80::1%eth0", "IP: not an IP address"),
        ("[alt_names]\nDNS.1 = 1.2.3.4/8", "DNS: not a host name"),
        ("[alt_names]\nIP.1 = 300.1.1.1", "IP: not an IP address"),
        ("[alt_names]\nFOO.1 = x", "neither DNS"),
        ("[ext]\nkeyUsage = nonsense", "keyUsage: a word is not known"),
        ("[ext]\nfoo = bar", "this extension is not known"),
        ("[ext]\nbasicConstraints = critical, CA:TRUE", "is no CA"),
        ("[dn]\nC = Australia", "two capital letters"),
        ("[dn]\nO = $nowhere", "a variable in it is not set"),
        ("[req]\ndefault_bits = 512", "not a number from 2048"),
        ("[req]\ndistinguished_name = gone", "no such section"),
        ("nonsense", "neither [section] nor"),
        ("[dn]\nOU = Joe's", "the quote ' is not closed"),
        ("[dn]\nOU = $ENV::HOME", "the environment is not the same"),
        ("[dn]\nDC = example", "this attribute is not known"),
        ("[dn]\nOU = \0", "holds a NUL byte"),
        ("[alt_names]\nDNS.1 = again.example", "the same name as in line 14"),
        ("[alt_names]\nDNS.3 = bücher.example", "not a host name as clients ask for it"),
        ("[alt_names]\nemail.1 = a@b.example", "neither DNS nor IP"),
        (".include other.cnf", "other files are not read"),
        ("[alt_names] # \\\nDNS.3 = c.example", "a comment that swallows"),
        ("[alt_names] DNS.3 = c.example", "not a section alone"),
    ],
)
def test_openssl_cnf_errors_have_lines(line: str, said: str) -> None:
    text = CNF + line + "\n"
    with pytest.raises(BadInput) as caught:
        opensslcnf.parse(text.encode(), "openssl.cnf")
    assert any(said in problem.what for problem in caught.value.problems), caught.value.problems
    assert caught.value.problems[0].where.startswith("openssl.cnf:")


def test_openssl_cnf_as_people_write_it() -> None:
    text = r"""
name = registry.example.org
[ req ]
distinguished_name = req_distinguished_name   # the prompting style
req_extensions = v3_req
[ req_distinguished_name ]
countryName = Country Name (2 letter code)
countryName_default = DE
organizationName_default = "Our, own"
commonName = Common Name
commonName_default = $name
[ v3_req ]
subjectAltName = DNS:${name}, IP:10.0.0.1, \
  DNS:*.apps.example.org
"""
    found = opensslcnf.parse(text.encode(), "f")
    assert found.subject == (("C", "DE"), ("O", "Our, own"), ("CN", "registry.example.org"))
    assert found.dns_names == ("registry.example.org", "*.apps.example.org")
    assert [str(address) for address in found.addresses] == ["10.0.0.1"]
