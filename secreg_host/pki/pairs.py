"""A certificate and its key as files of the administrator's: whether they are a pair that nginx can read."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization

from secreg_host.base import bugs, quoting
from secreg_host.base.errors import BadInput, Problem, bad_input
from secreg_host.formats import pem
from secreg_host.pki import chains
from secreg_host.pki.certs import KeyPair, PrivateKey
from secreg_host.pki.chains import Cert


@dataclass(frozen=True)
class Read:
    """A pair that was read. chain: none if it can't be used; mismatch: both files are fine, but they are not a pair."""

    chain: tuple[Cert, ...]
    problems: tuple[Problem, ...] = ()
    mismatch: bool = False


def read(pair: KeyPair, crt_where: str, key_where: str) -> Read:
    """`pair`, read from the files `crt_where` and `key_where`; what keeps nginx from reading it, and what to do."""
    problems: list[Problem] = []
    chain: tuple[Cert, ...] = ()
    key: PrivateKey | None = None
    try:
        chain = chains.read(pair.crt, crt_where)
    except BadInput as error:
        problems += error.problems
    try:
        key = private_key(pair.key, key_where)
    except BadInput as error:
        problems += error.problems
    if key is None or problems:
        return Read((), tuple(problems))
    own = chains.public_bytes(key.public_key())
    if chain[0].key == own:
        return Read(chain)
    hint = f"bring the {key_where.rpartition('/')[2]} that belongs to it"
    if any(other.key == own for other in chain[1:]):
        hint = "put them in order: the server's own certificate must come first, its issuers after it"
    return Read((), (Problem(crt_where, f"it does not belong to the key in {key_where}", hint),), mismatch=True)


def private_key(data: bytes, where: str) -> PrivateKey:
    """The key in the PEM file `where` that holds `data`. Raises BadInput with why it can't be used."""
    if data.startswith(pem.UTF16):
        raise bad_input(
            where, "it is UTF-16, as some Windows tools write, which nothing here reads", pem.as_utf8(where)
        )
    try:
        key = serialization.load_pem_private_key(data, None)
    except TypeError:
        hint = f"openssl pkey -in {quoting.shell(where)} -out {quoting.shell(f'{where}.open')}"
        raise bad_input(where, "the key has a passphrase, and nobody is there to type it", hint) from None
    except BaseException as error:  # the library raises half a dozen types for a damaged key, ValueError among them
        if not bugs.is_failure(error):
            raise
        if b"BEGIN CERTIFICATE" in data and b"PRIVATE KEY" not in data:
            raise bad_input(
                where, "it holds a certificate where the private key belongs", "swap the two files"
            ) from None
        what = "it holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)"
        raise bad_input(where, what, "copy it again, whole") from None
    if not isinstance(key, PrivateKey):
        raise bad_input(where, "clients of registries don't know keys of this kind", "bring an RSA or a P-256 key")
    return key
