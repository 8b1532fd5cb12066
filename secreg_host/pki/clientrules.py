"""A certificate judged as its clients would, whoever issued it: by what Go's crypto/x509 or OpenSSL refuse, and by what
only some clients do. Pure. tests/real/test_clientrules.py has the clients themselves judge the same.

Source: RFC 5280 (4.2, 6.1), RFC 6125 (6.4), RFC 8446 (4.4.2.2); Go: crypto/x509/verify.go and parser.go; OpenSSL:
x509_vfy.c, v3_purp.c, v3_utl.c, and level 2 of its SSL_CTX_set_security_level(3), which is that of distributions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from secreg_host.base import names
from secreg_host.pki import chains, limits
from secreg_host.pki.chains import Cert, Path

CURVES = ("secp256r1", "secp384r1", "secp521r1")
RSA_BITS = 2048
BROKEN_DIGESTS = ("md5", "sha1")
GO_PSS = {"sha256": 32, "sha384": 48, "sha512": 64}
"""With which hashes and bytes of salt Go knows RSASSA-PSS (crypto/x509: getSignatureAlgorithmFromAI)."""

PSS_KEY = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"
"""The OID of a key that is for RSASSA-PSS alone (id-RSASSA-PSS), in DER."""

UNDERSTOOD = {f"2.5.29.{number}" for number in (14, 15, 17, 19, 30, 31, 32, 35, 37)}
"""Extensions that may be critical for Go and for OpenSSL."""

POLICIES = {f"2.5.29.{number}" for number in (33, 36, 54)}
"""Those that only OpenSSL and, since 1.24, Go take."""

GO = "clients in Go (docker, podman, skopeo, containerd)"
OLD = "clients that have no newer one"
STRICT = "strict clients (GnuTLS, Java, browsers)"
CA, ROOT, VALIDITY, AHEAD, NAMES = "CA", "root", "validity", "notBefore", "names"
"""What a fact can be about besides openssl.cnf's own words: its issuers, their root, its time, its time to come, and
whether it is for the names that are asked for."""

SAN = "subjectAltName"


@dataclass(frozen=True)
class Fact:
    """Something that clients have against a certificate.

    about: what of openssl.cnf asks for it, or CA, VALIDITY ...; what: one sentence; needs: what it should be issued
    with, in openssl.cnf's words ("": that does not help); by: the clients that refuse it ("": Go's or OpenSSL's do,
    under every name).
    """

    about: str
    what: str
    needs: str = ""
    by: str = ""

    @property
    def refused(self) -> bool:
        """Whether it is of no use to nearly all clients."""
        return not self.by


def judge(chain: Sequence[Cert], anchors: Sequence[Cert], configured: Sequence[str], now: datetime) -> tuple[Fact, ...]:
    """What clients have at time `now` against a server that sends `chain`.

    anchors: what they trust, as far as it is known here; configured: names and addresses by which they ask (none: any).
    """
    leaf, way = chain[0], chains.path(chain, anchors)
    found = [*_times(leaf, now), *_usage(leaf), *_names(leaf, configured)]
    for one in (leaf, *_authorities(way)):
        whose = "its" if one is leaf else f"of its {_who(one)}, the"
        found += (*_technique(one, whose), *(_signature(one, whose) if one in way.sent else ()))
    return tuple(dict.fromkeys((*found, *_issuers(way, now), *_sent(chain, way))))


def of_issued(chain: Sequence[Cert], ca: Cert, configured: Sequence[str], now: datetime) -> tuple[Fact, ...]:
    """What keeps the host's own `ca` from issuing `chain`: all that any client has against it. Where it is for one of
    the names it need not be for the others; before its time it comes when this host's clock was set back."""
    found = judge(chain, (ca,), configured, now)
    return tuple(fact for fact in found if fact.refused or fact.about not in (ROOT, NAMES) if fact.about != AHEAD)


def covers(leaf: Cert, name: str) -> bool:
    """Whether a client that was given `name`, a host name or an address, takes `leaf` for it; never by its CN."""
    return matches(name, leaf.names, leaf.addresses)


def matches(name: str, hosts: Iterable[str], addresses: Collection[names.IPAddress]) -> bool:
    """Whether `name`, a host name or an address, is one of a certificate's: by exact names, and by wildcards that are a
    whole label, with two more below."""
    if (address := names.address(name)) is not None:
        return address in addresses
    _, dot, above = name.lower().partition(".")
    wild = f"*.{above}" if dot and "." in above else ""
    return any(own.lower() in (name.lower(), wild) for own in hosts)


def worse(facts: Iterable[Fact], leaf: Cert, before: Iterable[Fact], served: Cert) -> tuple[Fact, ...]:
    """Those of `facts`, about `leaf`, that make it be refused where `served`, of which `before` is known, is not. What
    covers all that `served` does is no worse for its names; what expired always is."""
    known = {fact.about for fact in before if fact.refused} - {VALIDITY, NAMES}
    if _names_of(served) <= _names_of(leaf):
        known.add(NAMES)
    return tuple(fact for fact in facts if fact.refused and fact.about not in known)


def _names_of(leaf: Cert) -> set[str]:
    return {name.lower() for name in (*leaf.names, *map(str, leaf.addresses))}


def _who(one: Cert) -> str:
    return f"issuer {one.subject[:100]!a}"


def _listed(found: Sequence[str]) -> str:
    """Names of a certificate, which may hold anything, in a message."""
    return ", ".join(name if names.usable([name]) else f"{name[:60]!a}" for name in found[:5])


def _authorities(way: Path) -> tuple[Cert, ...]:
    """The CAs on the way, the anchor too."""
    ends = (way.anchor,) if way.anchor is not None and way.anchor not in way.sent else ()
    return (*way.sent[1:], *ends)


def _times(leaf: Cert, now: datetime) -> Iterator[Fact]:
    begins, ends = leaf.validity
    if now >= ends or begins >= ends:
        yield Fact(VALIDITY, f"it expired on {ends:%Y-%m-%d}")
    elif now < begins:
        yield Fact(
            AHEAD, f"it is valid only from {begins:%Y-%m-%d %H:%M} UTC on; this host's clock says {now:%Y-%m-%d}"
        )


def _technique(one: Cert, whose: str) -> Iterator[Fact]:
    """What is to be said of its key and its critical extensions. whose: with what a sentence begins."""
    key, about = one.public, "default_bits"
    if isinstance(key, rsa.RSAPublicKey):
        if one.signed.key == PSS_KEY:
            yield Fact(about, f"{whose} key is for RSASSA-PSS alone", "rsaEncryption, or a P-256 key", GO)
        if key.key_size < RSA_BITS:
            yield Fact(about, f"{whose} key is too weak (RSA of {key.key_size} bits)", "default_bits = 4096")
    elif isinstance(key, ed25519.Ed25519PublicKey):
        yield Fact(about, f"{whose} key is of Ed25519", "a P-256 key", "web browsers")
    elif not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in CURVES:
        yield Fact(about, f"{whose} key is of a kind that clients don't know", "an RSA or a P-256 key")
    critical = {item.oid.dotted_string for item in one.extensions if item.critical} - UNDERSTOOD
    for oid in sorted(critical):
        by = "clients built with Go before 1.24" if oid in POLICIES else ""
        yield Fact("extensions", f"{whose} extension {oid} is critical, and not known", f"{oid} not critical", by)


def _signature(one: Cert, whose: str) -> Iterator[Fact]:
    """What is to be said of its issuer's signature; nobody looks at one of its own, or of what is trusted anyway."""
    if one.is_root:
        return
    if one.digest in BROKEN_DIGESTS:
        yield Fact(
            "default_md", f"{whose} signature is by {one.digest.upper()}, which is broken", "default_md = sha256"
        )
    elif (pss := one.pss) and (pss.mask.name != pss.hash.name or GO_PSS.get(pss.hash.name) != pss.salt):
        said = f"{whose} signature is RSASSA-PSS with {pss.hash.name} and a salt of {pss.salt} bytes"
        yield Fact("default_md", said, "a salt as long as the hash", GO)


def _usage(leaf: Cert) -> Iterator[Fact]:
    constraints, usage = leaf.extension(x509.BasicConstraints), leaf.extension(x509.KeyUsage)
    if constraints is not None and constraints.ca and not leaf.is_root:
        said = "it is a CA's certificate, and a server's is no CA"
        yield Fact("basicConstraints", said, "basicConstraints = CA:FALSE", "Firefox")
    if usage is not None and not usage.digital_signature:
        other = usage.key_encipherment and isinstance(leaf.public, rsa.RSAPublicKey)  # OpenSSL's server knows no better
        said = "without digitalSignature no client goes on (TLS 1.3, and ECDHE before it)"
        yield Fact("keyUsage", said, "keyUsage = digitalSignature", STRICT if other else "")
    if usage is not None and usage.key_cert_sign and not (constraints and constraints.ca):
        said = "keyCertSign is for CAs; clients refuse it in a server certificate"
        yield Fact(
            "keyUsage", said, "keyUsage = digitalSignature, without keyCertSign", "clients in Python 3.13 and later"
        )
    extended = leaf.extension(x509.ExtendedKeyUsage)
    if extended is not None and ExtendedKeyUsageOID.SERVER_AUTH not in extended:
        yield Fact("extendedKeyUsage", "without serverAuth it is no server's", "extendedKeyUsage = serverAuth")


def _names(leaf: Cert, configured: Sequence[str]) -> Iterator[Fact]:
    if not leaf.names and not leaf.addresses:
        said = "it has no name and no address but its common name, if any"
        by = GO if not configured else ""  # nobody said by which name clients come
        yield Fact(SAN, said, _alternative(configured[0] if configured else "NAME"), by)
        return
    missing = [name for name in configured if not covers(leaf, name)]
    if missing and len(missing) == len(configured):
        yield Fact(NAMES, f"it is for none of {', '.join(missing)}", _alternative(missing[0]))
    elif missing:
        by = f"clients that ask for {missing[0]}"
        yield Fact(NAMES, f"it is not for {', '.join(missing)}", _alternative(missing[0]), by)


def _alternative(name: str) -> str:
    return f"subjectAltName = {'IP' if names.is_address(name) else 'DNS'}:{name}"


def _issuers(way: Path, now: datetime) -> Iterator[Fact]:
    leaf = way.sent[0]
    common = [name for name in names.usable(leaf.common) if not names.is_ipv6(name)]
    for below, ca in enumerate(_authorities(way)):
        for fault in limits.faults(ca, below):
            yield Fact(CA, f"its {_who(ca)} {fault}")
        if outside := limits.outside(ca, leaf.names, leaf.addresses):
            yield Fact(SAN, f"its {_who(ca)} may not sign {_listed(outside)}", "no such name")
        elif not leaf.names and (outside := limits.outside(ca, common, ())):  # OpenSSL takes it for a host's name then
            yield Fact("CN", f"its {_who(ca)} may not sign {_listed(outside)}, its only name", "a DNS name that it may")
        begins, ends = ca.validity
        if now >= ends:
            yield Fact(CA, f"its {_who(ca)} expired on {ends:%Y-%m-%d}", by=OLD)
        elif leaf.validity[0] <= now < begins:
            yield Fact(AHEAD, f"its {_who(ca)} is valid only from {begins:%Y-%m-%d} on", by=OLD)


def _sent(chain: Sequence[Cert], way: Path) -> Iterator[Fact]:
    """What is missing in what is sent, or does not belong there."""
    top, anchor = way.sent[-1], way.anchor
    if anchor is None and len(way.sent) == 1 and not top.is_root:
        said = f"it comes without the certificate of its issuer {top.issuer[:100]!a}, which is not in ca.crt either"
        yield Fact(CA, said, by="clients that don't have that")
    elif anchor is not None and not anchor.is_root and anchor != chain[0]:
        by = "programs that want one (openssl verify, Python before 3.13)"
        yield Fact(ROOT, f"its {_who(anchor)} is no root, and ca.crt has none", by=by)
        if anchor not in way.sent:
            yield Fact(
                ROOT, f"it comes without the certificate of its {_who(anchor)}", by="clients that know a root alone"
            )
    rest = chain[len(way.sent) : chains.SENT]
    if tuple(chain[: len(way.sent)]) != way.sent:
        yield Fact(CA, "the certificates are out of order: each one's issuer must follow it", by=STRICT)
    elif any(one not in way.sent and one != anchor and not one.is_root for one in rest):
        yield Fact(CA, "certificates follow it that did not sign it", by=STRICT)
