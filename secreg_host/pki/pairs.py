"""A certificate and its key as files of the administrator's: whether nginx could serve them, and if not, why."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from secreg_host.base import bugs, quoting
from secreg_host.base.errors import Problem
from secreg_host.pki import certs
from secreg_host.pki.certs import Certificate, KeyPair


@dataclass(frozen=True)
class Judgement:
    """What there is to say of a pair.

    certificate: None if it can't be used; mismatch: both files are fine, but they are not a pair.
    """

    certificate: Certificate | None
    problems: tuple[Problem, ...] = ()
    mismatch: bool = False


def judge(pair: KeyPair, crt_where: str, key_where: str, now: datetime, renew: str = "") -> Judgement:
    """Whether nginx could serve `pair` at time `now`; if not, why, and what to do. renew: how there is a new one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the library has to say of odd fields
            return _judge(pair, crt_where, key_where, now, renew)
    except BaseException as error:  # a dozen types, which come and go with the library's versions
        if not bugs.is_failure(error):
            raise
        what = f"a certificate in it is malformed ({type(error).__name__}): clients would refuse it"
        return Judgement(None, (Problem(crt_where, what, f"look: openssl x509 -noout -text -in {crt_where}"),))


def _judge(pair: KeyPair, crt_where: str, key_where: str, now: datetime, renew: str) -> Judgement:
    problems: list[Problem] = []
    certificates = _certificates(pair.crt, crt_where, problems)
    key = private_key(pair.key, key_where, problems)
    if not certificates or key is None:
        return Judgement(None, tuple(problems))
    leaf = certificates[0]
    own = certs.public_bytes(key.public_key())
    if certs.public_bytes(leaf.public_key()) != own:
        if any(certs.public_bytes(other.public_key()) == own for other in certificates[1:]):
            hint = "put them in order: the server's own certificate must come first, its issuers after it"
        else:
            hint = f"bring the {key_where.rpartition('/')[2]} that belongs to it"
        problem = Problem(crt_where, f"it does not belong to the key in {key_where}", hint)
        return Judgement(None, (problem,), mismatch=True)
    found = certs.describe(leaf)
    if now >= found.not_after:
        problems.append(Problem(crt_where, f"it expired on {found.not_after:%Y-%m-%d}", renew))
    elif now < found.not_before:
        what = f"it is valid only from {found.not_before:%Y-%m-%d}; this host's clock says {now:%Y-%m-%d}"
        problems.append(Problem(crt_where, what, "set the clock (timedatectl), or bring another one"))
    return Judgement(None if problems else found, tuple(problems))


def _certificates(data: bytes, where: str, problems: list[Problem]) -> list[x509.Certificate]:
    try:
        found = certs.chain(data)
    except ValueError:
        problems.append(Problem(where, "a certificate in it is damaged (PEM)", "copy it again, whole"))
        return []
    if not found:
        if b"PRIVATE KEY-----" in data:
            problems.append(
                Problem(where, "it holds a private key where the certificate belongs", "swap the two files")
            )
        else:
            problems.append(
                Problem(
                    where,
                    "it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
                    "from DER: openssl x509 -inform DER -in FILE",
                )
            )
    return found


def private_key(
    data: bytes, where: str, problems: list[Problem]
) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None:
    """The key in the PEM file `where`; None after adding to `problems` why it can't be used."""
    hint = "copy it again, whole"
    try:
        key = serialization.load_pem_private_key(data, None)
        if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            return key
        what, hint = "clients of registries know RSA and ECDSA keys only", "bring an RSA or a P-256 key"
    except TypeError:
        what, hint = (
            "the key has a passphrase, and nobody is there to type it",
            f"openssl pkey -in {quoting.shell(where)} -out {quoting.shell(f'{where}.open')}",
        )
    except BaseException as error:  # the library raises half a dozen types for a damaged key, ValueError among them
        if not bugs.is_failure(error):
            raise
        what = "it holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)"
        if b"BEGIN CERTIFICATE" in data and b"PRIVATE KEY" not in data:
            what, hint = "it holds a certificate where the private key belongs", "swap the two files"
    problems.append(Problem(where, what, hint))
    return None
