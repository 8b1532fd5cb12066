"""Certificates by the cryptography library: the host's own CA, server certificates, and a judge of pairs (RFC 5280)."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from secreg_host.base import bugs
from secreg_host.base.names import IPAddress, network
from secreg_host.formats.opensslcnf import Request

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


@dataclass(frozen=True)
class KeyPair:
    """crt: a PEM chain, leaf first; key: the leaf's private key, PEM."""

    crt: bytes
    key: bytes


@dataclass(frozen=True)
class Certificate:
    """What a certificate says. fingerprint: SHA-256 of its DER form, hexadecimal; times in UTC."""

    subject: str
    names: tuple[str, ...]
    addresses: tuple[IPAddress, ...]
    not_before: datetime
    not_after: datetime
    fingerprint: str
    issuer: str


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _usage(names: Iterable[str]) -> x509.KeyUsage:
    given = set(names)
    return x509.KeyUsage(**{field: name in given for name, field in USAGES.items()})


def validity(certificate: x509.Certificate) -> tuple[datetime, datetime]:
    """Not before and not after in UTC; cryptography before 42 knows them only without a time zone."""
    if hasattr(certificate, "not_valid_before_utc"):
        return certificate.not_valid_before_utc, certificate.not_valid_after_utc  # type: ignore[attr-defined, unused-ignore]
    return certificate.not_valid_before.replace(tzinfo=UTC), certificate.not_valid_after.replace(tzinfo=UTC)


def make_ca(
    names: Sequence[str], addresses: Sequence[IPAddress], now: datetime, organization: str, host: str
) -> KeyPair:
    """A CA of ten years that may sign `names`, their subdomains, localhost, `addresses` and private addresses only.

    The limits are critical name constraints (RFC 5280, 4.2.1.10): a stolen CA key is of no use for other names.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    allowed = dict.fromkeys([*(name.removeprefix("*.") for name in names), "localhost"])
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


def is_made_here(ca_crt: bytes) -> bool:
    """Whether `make_ca` made this CA certificate, on this host or on another one, by its name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            names = chain(ca_crt)[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except BaseException as error:
        if not bugs.is_failure(error):
            raise
        return False
    return any(str(name.value).startswith(f"{CA_NAME} ") for name in names)


def outside(ca_crt: bytes, names: Iterable[str], addresses: Iterable[IPAddress]) -> tuple[str, ...]:
    """Which of `names` and `addresses` the CA's name constraints do not let it sign."""
    ca = x509.load_pem_x509_certificate(ca_crt)
    try:
        permitted = ca.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    except x509.ExtensionNotFound:
        return ()
    domains = [str(item.value).lower() for item in permitted if isinstance(item, x509.DNSName)]
    networks = [network(str(item.value)) for item in permitted if isinstance(item, x509.IPAddress)]
    return (
        *(name for name in names if not any(_within(name, domain) for domain in domains)),
        *(str(address) for address in addresses if not any(address in one for one in networks)),
    )


def _within(name: str, domain: str) -> bool:
    bare = name.lower().removeprefix("*.")
    return bare == domain or bare.endswith(f".{domain}")


def issue(ca: KeyPair, request: Request, key_type: str, days: int, now: datetime) -> KeyPair:
    """A server certificate for `request`, signed by `ca`, with a new key of `key_type` (P-256 or RSA-4096).

    It is valid for `days`, but within the CA's own life. The chain holds the leaf alone: clients have the CA. Whether
    clients take it is another question (issued.py). Raises ValueError for what can't be a certificate at all.
    """
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    if key_type == "P-256":
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        key = rsa.generate_private_key(65537, request.rsa_bits or 4096)
    issuer = x509.load_pem_x509_certificate(ca.crt)
    signer = serialization.load_pem_private_key(ca.key, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    begins, ends = validity(issuer)
    sans = [*(x509.DNSName(name) for name in request.dns_names), *(x509.IPAddress(ip) for ip in request.addresses)]
    extended = [EXTENDED_USAGES[name] for name in request.extended_key_usage]
    usage = set(request.key_usage) - ({"keyEncipherment"} if key_type == "P-256" else set())
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
        .sign(signer, hashes.SHA256())
    )
    return KeyPair(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))


def identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """How a certificate names its issuer's key: by the issuer's own identifier, if it has one (RFC 5280, 4.2.1.1)."""
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def chain(crt: bytes) -> list[x509.Certificate]:
    """All certificates of a PEM file, in order. Raises ValueError when one of them is damaged."""
    end = b"-----END CERTIFICATE-----"
    try:
        return [x509.load_pem_x509_certificate(piece + end) for piece in crt.split(end)[:-1]]
    except BaseException as error:  # the library raises other types, too, such as InvalidVersion
        if not bugs.is_failure(error):
            raise
        raise ValueError(type(error).__name__) from error


def first(crt: bytes) -> bytes:
    """The first certificate of a PEM file, and nothing else of it."""
    return chain(crt)[0].public_bytes(serialization.Encoding.PEM)


def describe(leaf: x509.Certificate) -> Certificate:
    """What `leaf` says."""
    names: list[str] = []
    addresses: list[IPAddress] = []
    try:
        sans = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = sans.get_values_for_type(x509.DNSName)
        addresses = sans.get_values_for_type(x509.IPAddress)  # type: ignore[assignment]
    except (x509.ExtensionNotFound, ValueError):
        pass
    begins, ends = validity(leaf)
    fingerprint = leaf.fingerprint(hashes.SHA256()).hex()
    return Certificate(
        leaf.subject.rfc4514_string(),
        tuple(names),
        tuple(addresses),
        begins,
        ends,
        fingerprint,
        leaf.issuer.rfc4514_string(),
    )


def is_issued_by(crt: bytes, ca_crt: bytes) -> bool:
    """Whether the leaf of `crt` carries the CA's signature; no, if either is no certificate."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _is_issued_by(chain(crt)[0], x509.load_pem_x509_certificate(ca_crt))
    except BaseException as error:
        if not bugs.is_failure(error):
            raise
        return False


def _is_issued_by(leaf: x509.Certificate, ca: x509.Certificate) -> bool:
    key = ca.public_key()
    algorithm = leaf.signature_hash_algorithm or hashes.SHA256()
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(leaf.signature, leaf.tbs_certificate_bytes, padding.PKCS1v15(), algorithm)
    else:
        assert isinstance(key, ec.EllipticCurvePublicKey)
        key.verify(leaf.signature, leaf.tbs_certificate_bytes, ec.ECDSA(algorithm))
    return leaf.issuer == ca.subject


def public_bytes(key: object) -> bytes:
    """A public key as bytes, by which keys are compared (DER)."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.DER, form)  # type: ignore[attr-defined, no-any-return]
