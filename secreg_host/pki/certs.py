"""What is issued: the host's own CA and server certificates, by the cryptography library (RFC 5280)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from secreg_host.base.names import IPAddress, network
from secreg_host.formats.opensslcnf import Request
from secreg_host.pki import chains
from secreg_host.pki.chains import Cert

CA_DAYS = 3653
CA_NAME = "secure-registry CA of"
"""What the common name of each CA made here begins with."""

SKEW = timedelta(days=1)
"""Certificates are valid from a day ago: the clocks of clients differ."""

PRIVATE_NETWORKS = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)
"""Networks that only this site reaches (RFC 1918, 3927, 4193, 4291): the CA may sign any address in them."""

ATTRIBUTES = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
    "emailAddress": NameOID.EMAIL_ADDRESS,
}
USAGES = {
    "digitalSignature": "digital_signature",
    "nonRepudiation": "content_commitment",
    "keyEncipherment": "key_encipherment",
    "dataEncipherment": "data_encipherment",
    "keyAgreement": "key_agreement",
    "keyCertSign": "key_cert_sign",
    "cRLSign": "crl_sign",
    "encipherOnly": "encipher_only",
    "decipherOnly": "decipher_only",
}
EXTENDED_USAGES = {"serverAuth": ExtendedKeyUsageOID.SERVER_AUTH, "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH}


PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
"""The kinds of keys that nginx serves with, and certificates are signed with."""


@dataclass(frozen=True)
class KeyPair:
    """crt: a PEM chain, leaf first; key: the leaf's private key, PEM."""

    crt: bytes
    key: bytes


def _pem(key: PrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _usage(names: Iterable[str]) -> x509.KeyUsage:
    given = set(names)
    return x509.KeyUsage(**{field: name in given for name, field in USAGES.items()})


def make_ca(
    names: Sequence[str],
    addresses: Sequence[IPAddress],
    now: datetime,
    organization: str,
    host: str,
    domains: Sequence[str] = (),
) -> KeyPair:
    """A CA of ten years that may sign `names` and `domains`, what is below them, localhost, `addresses` and private
    addresses only.

    The limits are critical name constraints (RFC 5280, 4.2.1.10): a stolen CA key is of no use for other names.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    allowed = dict.fromkeys([*(name.removeprefix("*.") for name in names), *domains, "localhost"])
    networks = dict.fromkeys(map(network, (*PRIVATE_NETWORKS, *addresses)))
    permitted = [*(x509.DNSName(name) for name in allowed), *(x509.IPAddress(one) for one in networks)]
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization or "secure-registry"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{CA_NAME} {host}"[:64]),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(["keyCertSign", "cRLSign"]), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))


def is_made_here(ca: Cert) -> bool:
    """Whether `make_ca` made this CA certificate, on this host or on another one, by its name."""
    return any(name.startswith(f"{CA_NAME} ") for name in ca.common)


def issue(ca: KeyPair, request: Request, key_type: str, days: int, now: datetime, kept: bytes | None = None) -> KeyPair:
    """A server certificate for `request`, signed by `ca`, with a new key of `key_type` (P-256 or RSA-4096), or with the
    key in `kept` (PEM).

    It is valid for `days`, but within the CA's own life. The chain holds the leaf alone: clients have the CA. Whether
    clients take it is another question (clientrules.py). Raises ValueError for what can't be a certificate at all.
    """
    key: PrivateKey
    if kept is not None:
        key = serialization.load_pem_private_key(kept, None)  # type: ignore[assignment]
    elif key_type == "P-256":
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        key = rsa.generate_private_key(65537, request.rsa_bits or 4096)
    issuer = chains.read(ca.crt, "")[0].parsed
    signer: PrivateKey = serialization.load_pem_private_key(ca.key, None)  # type: ignore[assignment]
    begins, ends = chains.validity(issuer)
    sans = [*(x509.DNSName(name) for name in request.dns_names), *(x509.IPAddress(ip) for ip in request.addresses)]
    extended = [EXTENDED_USAGES[name] for name in request.extended_key_usage]
    usage = set(request.key_usage) - (set() if isinstance(key, rsa.RSAPrivateKey) else {"keyEncipherment"})
    own_hash = isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(ATTRIBUTES[short], value) for short, value in request.subject]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - SKEW, begins))
        .not_valid_after(min(max(now - SKEW, begins) + SKEW + timedelta(days=days), ends))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage(extended), critical=False)
        .add_extension(x509.SubjectAlternativeName(sans), critical=not request.subject)  # RFC 5280, 4.1.2.6
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(identifier(issuer), critical=False)
        .sign(signer, None if own_hash else hashes.SHA256())
    )
    return KeyPair(certificate.public_bytes(serialization.Encoding.PEM), _pem(key) if kept is None else kept)


def identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """How a certificate names its issuer's key: by the issuer's own identifier, if it has one (RFC 5280, 4.2.1.1)."""
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
