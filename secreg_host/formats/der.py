"""DER (X.690) of certificates, as far as their bytes matter: what is signed, by which algorithm, and a form without
defaults that are written out, which DER forbids and OpenSSL and Go take all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

OCTETS, SEQUENCE, VERSION, EXTENSIONS = 0x04, 0x30, 0xA0, 0xA3
FALSE = b"\x01\x01\x00"
BASIC_CONSTRAINTS = b"\x06\x03\x55\x1d\x13"
"""Their OID, 2.5.29.19, in DER."""

LONG = 0x80


@dataclass(frozen=True)
class Value:
    """One value: its tag, its content, and all of it as it stands."""

    tag: int
    content: bytes
    whole: bytes


@dataclass(frozen=True)
class Signed:
    """A certificate's outer form (RFC 5280, 4.1). tbs: the bytes that are signed; parameters: of the algorithm, DER;
    issuer and subject: names as they stand, DER; key: the OID of its key, DER."""

    tbs: bytes
    parameters: bytes
    signature: bytes
    issuer: bytes
    subject: bytes
    key: bytes


def values(data: bytes) -> list[Value]:
    """The values that `data` consists of. Raises ValueError for what is no DER, or has tags of more than a byte."""
    found, at = [], 0
    while at < len(data):
        tag, begins = data[at], at + 2
        if tag & 0x1F == 0x1F or begins > len(data):
            raise ValueError("no DER that a certificate may hold")
        length = data[at + 1]
        if length & LONG:
            begins += length - LONG
            if length == LONG or begins > len(data):
                raise ValueError("no length of DER")
            length = int.from_bytes(data[at + 2 : begins], "big")
        if begins + length > len(data):
            raise ValueError("cut short")
        found.append(Value(tag, data[begins : begins + length], data[at : begins + length]))
        at = begins + length
    return found


def encoded(tag: int, content: bytes) -> bytes:
    """A value of `tag`."""
    size = len(content)
    if size < LONG:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, LONG | len(length)]) + length + content


def first(data: bytes) -> bytes:
    """The value that `data` begins with: in a TRUSTED CERTIFICATE, what OpenSSL trusts it for comes after it. Raises
    ValueError where there is none."""
    if len(data) < 2:
        raise ValueError("cut short")
    size = data[1] - LONG if data[1] & LONG else 0
    length = int.from_bytes(data[2 : 2 + size], "big") if size else data[1]
    return data[: 2 + size + length]


def signed(der: bytes) -> Signed:
    """What there is to verify of the certificate `der`. Raises ValueError or IndexError for what is none."""
    tbs, algorithm, signature = values(values(der)[0].content)
    fields = [value for value in values(tbs.content) if value.tag != VERSION]
    parameters = values(algorithm.content)[1:]
    return Signed(
        tbs=tbs.whole,
        parameters=parameters[0].whole if parameters else b"",
        signature=signature.content[1:],
        issuer=fields[2].whole,
        subject=fields[4].whole,
        key=values(values(fields[5].content)[0].content)[0].whole,
    )


def plain(der: bytes) -> bytes:
    """The certificate `der` with `critical FALSE` and `CA:FALSE` left out where they are written out; the same bytes
    where they are not, or it is no certificate. Its signature is not that of these bytes any more."""
    try:
        tbs, *rest = values(values(der)[0].content)
        *fields, last = values(tbs.content)
        if last.tag != EXTENSIONS:
            return der
        extensions = values(values(last.content)[0].content)
    except (ValueError, IndexError):
        return der
    shorter = b"".join(map(_extension, extensions))
    if shorter == b"".join(one.whole for one in extensions):
        return der
    listed = encoded(EXTENSIONS, encoded(SEQUENCE, shorter))
    told = encoded(tbs.tag, b"".join(one.whole for one in fields) + listed)
    return encoded(SEQUENCE, told + b"".join(one.whole for one in rest))


def _extension(one: Value) -> bytes:
    try:
        parts = [part for part in values(one.content) if part.whole != FALSE]
        kind, content = parts[0], parts[-1]
        told = content.whole
        if kind.whole == BASIC_CONSTRAINTS and content.tag == OCTETS:
            items = [item.whole for item in values(values(content.content)[0].content) if item.whole != FALSE]
            told = encoded(OCTETS, encoded(SEQUENCE, b"".join(items)))
        return encoded(one.tag, b"".join(part.whole for part in parts[:-1]) + told)
    except (ValueError, IndexError):
        return one.whole
