"""What a certificate authority issues, judged as a client would before it serves: the rules that Go's crypto/x509 and
OpenSSL share, and those of one of them that the other leaves out (RFC 5280, 6.1; RFC 8446, 4.4.2.2; RFC 6125).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from secreg_host.base import names
from secreg_host.base.errors import Problem
from secreg_host.base.names import IPAddress
from secreg_host.pki import certs, pairs
from secreg_host.pki.certs import KeyPair

Extension = TypeVar("Extension", bound=x509.ExtensionType)
CURVES = ("secp256r1", "secp384r1", "secp521r1")
RSA_BITS = 2048
"""What OpenSSL asks of a key at its default security level (SSL_CTX_set_security_level(3))."""

STRONG = "write: default_bits = 4096; or set KEY_TYPE=P-256 in secure-registry.conf"


@dataclass(frozen=True)
class Flaw:
    """Why clients would not take it. about: what of openssl.cnf is to blame, a name in it, too ("CA", "validity":
    nothing of it)."""

    about: str
    what: str
    hint: str


def authority_flaw(crt: bytes, key: bytes, key_where: str) -> str:
    """Why `key` can't sign in the name of the CA `crt` (both PEM); "": it can."""
    problems: list[Problem] = []
    signer = pairs.private_key(key, key_where, problems)
    if signer is None:
        return problems[0].what
    try:
        ca = certs.chain(crt)[0]
    except (ValueError, IndexError):
        return "the certificate beside it is damaged"
    return "" if certs.public_bytes(ca.public_key()) == certs.public_bytes(signer.public_key()) else MISMATCH


MISMATCH = "it does not belong to the CA's certificate"


def flaws(pair: KeyPair, ca_crt: bytes, configured: Iterable[str], now: datetime) -> tuple[Flaw, ...]:
    """Why a client that trusts `ca_crt` would not take `pair` at time `now`, for one of the names and addresses
    `configured` (none: for any that the certificate has). Pure."""
    leaf, ca = certs.chain(pair.crt)[0], certs.chain(ca_crt)[0]
    chain = _chain(leaf, pair.crt, ca, ca_crt, now)
    return (*chain, *_key(leaf, pair.key), *_usage(leaf), *_names(leaf, ca_crt, configured))


def _chain(leaf: x509.Certificate, crt: bytes, ca: x509.Certificate, ca_crt: bytes, now: datetime) -> list[Flaw]:
    found = []
    hint = "if this host's clock is right, make a new CA for all clients: secure-registry gencert --new-ca"
    if not certs.is_issued_by(crt, ca_crt):
        found.append(Flaw("CA", "the host's CA did not sign it", hint))
    constraints, usage = _extension(ca, x509.BasicConstraints), _extension(ca, x509.KeyUsage)
    if constraints is None or not constraints.ca or (usage is not None and not usage.key_cert_sign):
        found.append(Flaw("CA", "what the host has as its CA is no CA", hint))
    for certificate, about, who in ((ca, "CA", "the host's CA"), (leaf, "validity", "it")):
        begins, ends = certs.validity(certificate)
        if now >= ends or begins >= ends:  # before its time is another matter: this host's clock may be wrong
            found.append(Flaw(about, f"{who} is valid until {ends:%Y-%m-%d} only", hint))
    return found


def _key(leaf: x509.Certificate, pem: bytes) -> list[Flaw]:
    key = serialization.load_pem_private_key(pem, None).public_key()
    if certs.public_bytes(key) != certs.public_bytes(leaf.public_key()):
        return [Flaw("CA", "the certificate does not belong to the key", "run it again: secure-registry gencert")]
    strong = (isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES) or (
        isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS
    )
    return [] if strong else [Flaw("default_bits", "its key is too weak, or of a kind that clients don't know", STRONG)]


def _usage(leaf: x509.Certificate) -> list[Flaw]:
    found = []
    constraints = _extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        found.append(Flaw("basicConstraints", "a server certificate is no CA", "write: basicConstraints = CA:FALSE"))
    usage = _extension(leaf, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        found.append(
            Flaw(
                "keyUsage",
                "without digitalSignature no client goes on (TLS 1.3, and ECDHE before it)",
                "add digitalSignature",
            )
        )
    if usage is not None and usage.key_cert_sign:
        found.append(
            Flaw("keyUsage", "keyCertSign is for CAs; clients refuse it in a server certificate", "remove keyCertSign")
        )
    extended = _extension(leaf, x509.ExtendedKeyUsage)
    if extended is not None and ExtendedKeyUsageOID.SERVER_AUTH not in extended:
        found.append(Flaw("extendedKeyUsage", "without serverAuth clients refuse it as a server's", "add serverAuth"))
    return found


def _names(leaf: x509.Certificate, ca_crt: bytes, configured: Iterable[str]) -> list[Flaw]:
    said = certs.describe(leaf)
    if not said.names and not said.addresses:
        return [Flaw("subjectAltName", "it has no name and no address", "add DNS.1 = NAME to [alt_names]")]
    found = outside(ca_crt, said.names, said.addresses)
    common = [str(item.value) for item in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if not said.names:  # OpenSSL takes the common name for a host's then, and the CA's limits for limits on it
        hosts = [name for name in names.usable(common) if not names.is_ipv6(name)]
        found += [
            Flaw(name, f"the host's CA may not sign {name}, its only name", "add a DNS.1 that it may")
            for name in certs.outside(ca_crt, hosts, ())
        ]
    wanted = tuple(configured)
    if wanted and not any(covers(said, name) for name in wanted):
        found.append(
            Flaw("subjectAltName", f"it is for none of {', '.join(wanted)}", "add one of them, or correct SERVER_NAME")
        )
    return found


def outside(ca_crt: bytes, given: Iterable[str], addresses: Iterable[IPAddress]) -> list[Flaw]:
    """A flaw about each of the names `given` and the `addresses` that the CA's limits do not let it sign."""
    hint = "remove it, or make a new CA, which every client must then trust anew: secure-registry gencert --new-ca"
    return [Flaw(name, f"the host's CA may not sign {name}", hint) for name in certs.outside(ca_crt, given, addresses)]


def covers(certificate: certs.Certificate, name: str) -> bool:
    """Whether a client that was given `name`, a host name or an address, takes `certificate` for it (RFC 6125, 6.4)."""
    if name in map(str, certificate.addresses):
        return True
    wild = f"*.{name.partition('.')[2]}"
    return any(own.lower() in (name.lower(), wild.lower()) for own in certificate.names)


def _extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
