"""Certificates as OpenSSL and Go read them: a PEM file as a chain, what each certificate says, who signed which.

The cryptography library reads their fields; it refuses defaults that are written out, and Debian 12's knows no PSS.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

from secreg_host.base import bugs, marks, names
from secreg_host.base.errors import SecregError, bad_input
from secreg_host.base.names import IPAddress
from secreg_host.formats import der, pem

Extension = TypeVar("Extension", bound=x509.ExtensionType)
LABELS, TRUSTED = ("CERTIFICATE", "X509 CERTIFICATE"), "TRUSTED CERTIFICATE"
"""What OpenSSL takes for a certificate, the last one only in the first place (PEM_read_bio_X509, …_AUX)."""

READ = ("extensions", "validity", "key", "signed", "digest", "names", "addresses", "subject", "issuer", "common")
"""What is read at once: each may be malformed, and raise what it likes."""

SENT = 10
"""How many certificates of a chain are looked at: no client takes a way that is longer (Go: 100 signatures in all)."""

PSS_HASHES = {
    b"\x06\x05\x2b\x0e\x03\x02\x1a": hashes.SHA1(),
    b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01": hashes.SHA256(),
    b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02": hashes.SHA384(),
    b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03": hashes.SHA512(),
}
"""OIDs in DER -> hashes that RSASSA-PSS is used with (RFC 4055)."""


@dataclass(frozen=True)
class Pss:
    """Parameters of RSASSA-PSS (RFC 4055, 3.1). salt: bytes."""

    hash: hashes.HashAlgorithm = field(default_factory=hashes.SHA1)
    mask: hashes.HashAlgorithm = field(default_factory=hashes.SHA1)
    salt: int = 20


@dataclass(frozen=True)
class Cert:
    """One certificate. data: its DER form as it stands; parsed: its fields, of a form that the library reads."""

    data: bytes
    parsed: x509.Certificate

    @functools.cached_property
    def signed(self) -> der.Signed:
        """What its signature is about."""
        return der.signed(self.data)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its DER form, hexadecimal."""
        return marks.digest(self.data)

    @property
    def pem(self) -> bytes:
        """It as a PEM file."""
        return pem.encoded("CERTIFICATE", self.data)

    @functools.cached_property
    def subject(self) -> str:
        """Whose it is, for people."""
        return self.parsed.subject.rfc4514_string()

    @functools.cached_property
    def issuer(self) -> str:
        """Who issued it, for people."""
        return self.parsed.issuer.rfc4514_string()

    @functools.cached_property
    def common(self) -> tuple[str, ...]:
        """Its common names."""
        return tuple(str(one.value) for one in self.parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME))

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """The host names that it is for, as they stand there."""
        found = self.extension(x509.SubjectAlternativeName)
        return tuple(found.get_values_for_type(x509.DNSName)) if found else ()

    @functools.cached_property
    def addresses(self) -> tuple[IPAddress, ...]:
        """The addresses that it is for."""
        found = self.extension(x509.SubjectAlternativeName)
        given = found.get_values_for_type(x509.IPAddress) if found else []
        return tuple(one for one in map(names.address, map(str, given)) if one is not None)

    @functools.cached_property
    def validity(self) -> tuple[datetime, datetime]:
        """Not before and not after, in UTC."""
        return validity(self.parsed)

    @functools.cached_property
    def public(self) -> object:
        """Its public key."""
        return self.parsed.public_key()

    @functools.cached_property
    def key(self) -> bytes:
        """The same, by which keys are compared (DER)."""
        return public_bytes(self.public)

    @functools.cached_property
    def extensions(self) -> x509.Extensions:
        """All of its extensions."""
        return self.parsed.extensions

    def extension(self, kind: type[Extension]) -> Extension | None:
        """Its extension of `kind`, if it has one."""
        try:
            return self.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return None

    @functools.cached_property
    def pss(self) -> Pss | None:
        """How it is signed by RSASSA-PSS; None: it is signed in another way."""
        if self.parsed.signature_algorithm_oid != SignatureAlgorithmOID.RSASSA_PSS:
            return None
        found: dict[int, bytes] = {}
        if self.signed.parameters:
            found = {one.tag & 0x1F: one.content for one in der.values(der.values(self.signed.parameters)[0].content)}
        default = Pss()
        mask = der.values(der.values(found[1])[0].content)[1].content if 1 in found else b""
        return Pss(
            _hash(der.values(found[0])[0].content) if 0 in found else default.hash,
            _hash(mask) if mask else default.mask,
            int.from_bytes(der.values(found[2])[0].content, "big") if 2 in found else default.salt,
        )

    @functools.cached_property
    def digest(self) -> str:
        """The hash that is signed, such as "sha256"; "" where the algorithm brings its own, or is not known."""
        try:
            found = self.pss.hash if self.pss else self.parsed.signature_hash_algorithm
        except UnsupportedAlgorithm:
            return ""
        return found.name if found else ""

    def is_signed_by(self, other: Cert) -> bool:
        """Whether `other`, whose subject is its issuer's name, has the key that signed it."""
        if self.signed.issuer != other.signed.subject:
            return False
        try:
            _verify(self, other.public)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
            return False
        return True

    @functools.cached_property
    def is_root(self) -> bool:
        """Whether it signed itself."""
        return self.is_signed_by(self)


def validity(of: x509.Certificate) -> tuple[datetime, datetime]:
    """Not before and not after in UTC; cryptography before 42 knows them only without a time zone."""
    if hasattr(of, "not_valid_before_utc"):
        return of.not_valid_before_utc, of.not_valid_after_utc  # type: ignore[attr-defined, unused-ignore]
    return of.not_valid_before.replace(tzinfo=UTC), of.not_valid_after.replace(tzinfo=UTC)


def _hash(algorithm: bytes) -> hashes.HashAlgorithm:
    found = PSS_HASHES.get(der.values(algorithm)[0].whole)
    if found is None:
        raise UnsupportedAlgorithm("a hash that RSASSA-PSS is not used with")
    return found


def _verify(of: Cert, key: object) -> None:
    signature, told = of.signed.signature, of.signed.tbs
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        key.verify(signature, told)
    elif isinstance(key, rsa.RSAPublicKey) and (pss := of.pss):
        key.verify(signature, told, padding.PSS(padding.MGF1(pss.mask), pss.salt), pss.hash)
    elif (algorithm := of.parsed.signature_hash_algorithm) is None:
        raise InvalidSignature
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, told, padding.PKCS1v15(), algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, told, ec.ECDSA(algorithm))
    else:
        raise InvalidSignature


def read(data: bytes, where: str) -> tuple[Cert, ...]:
    """The certificates of the PEM file `where` that holds `data`, in order. Raises BadInput, with the line, for what
    OpenSSL does not take, and with what helps where there is none."""
    taken = [block for block in pem.blocks(data, where) if block.label in (*LABELS, TRUSTED)]
    found = [block for number, block in enumerate(taken) if block.label != TRUSTED or number == 0]
    if not found:
        if b"PRIVATE KEY-----" in data:
            raise bad_input(where, "it holds a private key where the certificate belongs", "swap the two files")
        what = "it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)" if data.strip() else "it is empty"
        raise bad_input(where, what, "copy it again; from DER: openssl x509 -inform DER -in FILE")
    return tuple(_cert(block, where) for block in found)


def _cert(block: pem.Block, where: str) -> Cert:
    place = f"{where}:{block.line}"
    if block.headers:
        raise bad_input(
            place, "the block that begins there has headers", "remove all before its base64 but its first line"
        )
    try:
        return _parsed(der.first(block.data) if block.label == TRUSTED else block.data)
    except BaseException as error:  # a dozen types, which come and go with the library's versions
        if not bugs.is_failure(error):
            raise
        what = f"the certificate there is malformed or damaged ({type(error).__name__}): clients would refuse it"
        raise bad_input(place, what, f"copy it again, whole; look: openssl x509 -noout -text -in {where}") from None


@functools.lru_cache(maxsize=64)
def _parsed(data: bytes) -> Cert:
    """The certificate `data`. Raises whatever the library does where it is malformed anywhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the library has to say of odd fields
        one = Cert(data, x509.load_der_x509_certificate(der.plain(data)))
        assert all(hasattr(one, word) for word in READ)
        return one


def peek(data: bytes | None) -> tuple[Cert, ...]:
    """The certificates in `data`; none where `read` raises."""
    try:
        return read(data or b"", "")
    except SecregError:
        return ()


def public_bytes(key: object) -> bytes:
    """A public key as bytes, by which keys are compared (DER)."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.DER, form)  # type: ignore[attr-defined, no-any-return]


@dataclass(frozen=True)
class Path:
    """A way from a server's certificate up: the certificates on it that the server sends, the first one its own; and
    what of the client's own ends it (None: nothing that is known here)."""

    sent: tuple[Cert, ...]
    anchor: Cert | None


def path(chain: Sequence[Cert], anchors: Sequence[Cert]) -> Path:
    """The best way from `chain[0]` up, by what is sent with it: one that ends at a root of `anchors`, else at any of
    them, else the one that leads furthest."""
    ways: list[tuple[Cert, ...]] = [(chain[0],)]
    seen, found = {chain[0].data}, []
    for way in ways:  # which grows meanwhile
        by = [one for one in anchors if way[-1].data == one.data or way[-1].is_signed_by(one)]
        anchor = next((one for one in by if one.is_root), by[0] if by else None)
        found.append((anchor is not None and anchor.is_root, anchor is not None, len(way), Path(way, anchor)))
        for one in chain[1:SENT]:
            if one.data not in seen and way[-1].is_signed_by(one):
                seen.add(one.data)
                ways.append((*way, one))
    return max(found, key=lambda one: one[:3])[3]
