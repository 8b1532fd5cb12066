"""Certificates built byte by byte (DER, X.690; RFC 5280): with fields that no library would write."""

from __future__ import annotations

import base64

INTEGER, BITS, OCTETS, NULL, OID, UTF8, SEQUENCE, SET = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0C, 0x30, 0x31
PRINTABLE, T61, IA5, UTC_TIME, TIME, UNIVERSAL, BMP = 0x13, 0x14, 0x16, 0x17, 0x18, 0x1C, 0x1E


def tlv(tag: int, *content: bytes) -> bytes:
    """A value of `tag`: its length and its content."""
    whole = b"".join(content)
    size = len(whole)
    length = size.to_bytes((size.bit_length() + 7) // 8 or 1, "big")
    return bytes([tag]) + (length if size < 0x80 else bytes([0x80 | len(length)]) + length) + whole


def oid(dotted: str) -> bytes:
    first, second, *others = map(int, dotted.split("."))
    encoded = bytearray()
    for number in (first * 40 + second, *others):
        digits = [number & 0x7F]
        while number := number >> 7:
            digits.append(0x80 | number & 0x7F)
        encoded += bytes(reversed(digits))
    return tlv(OID, bytes(encoded))


def name(*attributes: tuple[str, int, bytes]) -> bytes:
    """A distinguished name of (type, tag of the string, its bytes)."""
    return tlv(SEQUENCE, *(tlv(SET, tlv(SEQUENCE, oid(kind), tlv(tag, value))) for kind, tag, value in attributes))


def extension(kind: str, content: bytes, critical: bytes = b"") -> bytes:
    return tlv(SEQUENCE, oid(kind), critical, tlv(OCTETS, content))


SAN, CONSTRAINTS, USAGE, NAMES, EXTENDED = "2.5.29.17", "2.5.29.19", "2.5.29.15", "2.5.29.30", "2.5.29.37"
PSS = oid("1.2.840.113549.1.1.10")
ECDSA = tlv(SEQUENCE, oid("1.2.840.10045.4.3.2"))
CN, COUNTRY, ORGANIZATION = "2.5.4.3", "2.5.4.6", "2.5.4.10"
TRUE, FALSE = b"\x01\x01\xff", b"\x01\x01\x00"
HOST = tlv(SEQUENCE, tlv(0x82, b"registry.example.org"))

VERSIONS = [tlv(0xA0, tlv(INTEGER, bytes([number]))) for number in (2, 3, 0, 1, 255, 4)] + [
    b"",
    tlv(0xA0),
    tlv(0xA0, b"\0"),
]
SERIALS = [tlv(INTEGER, value) for value in (b"\1", b"\0", b"\xff", b"\x80" * 21, b"", b"\0\0\1", b"\x7f" * 2000)]
ALGORITHMS = [
    ECDSA,
    tlv(SEQUENCE, PSS),
    tlv(SEQUENCE, PSS, tlv(SEQUENCE)),
    tlv(SEQUENCE, PSS, tlv(SEQUENCE, tlv(0xA0, tlv(SEQUENCE, oid("2.16.840.1.101.3.4.2.1"))))),
    tlv(SEQUENCE, PSS, tlv(SEQUENCE, tlv(0xA2, tlv(INTEGER, b"\xff")), tlv(0xA3, tlv(INTEGER, b"\7")))),
    tlv(SEQUENCE, PSS, tlv(NULL)),
    tlv(SEQUENCE, oid("1.2.840.113549.1.1.4"), tlv(NULL)),
    tlv(SEQUENCE, oid("1.3.101.112")),
    tlv(SEQUENCE, oid("1.2.3.4.5")),
    tlv(SEQUENCE),
]
SUBJECTS = [
    name((CN, UTF8, b"registry.example.org")),
    name(),
    name((CN, UTF8, b"")),
    name((CN, UTF8, b"\xff\xfe")),
    name((CN, PRINTABLE, b"caf\xe9")),
    name((CN, T61, b"\xe9\xff")),
    name((CN, BMP, b"\xd8\x00")),
    name((CN, BMP, b"odd")),
    name((CN, UNIVERSAL, b"\0\x11\xff\xff")),
    name((COUNTRY, PRINTABLE, b"Nowhere"), (ORGANIZATION, IA5, b"\0" * 9)),
    name((CN, INTEGER, b"\1")),
    name(*[(CN, UTF8, b"x" * 1000)] * 50),
    tlv(SEQUENCE, tlv(SET)),
]
TIMES = [tlv(UTC_TIME, b"200101000000Z"), tlv(UTC_TIME, b"491231235959Z"), tlv(TIME, b"99991231235959Z")] + [
    tlv(tag, text)
    for tag in (UTC_TIME, TIME)
    for text in (b"", b"000000000000Z", b"20010100", b"991332256161Z", b"00000101000000Z", b"20200101000000+0100")
]
EXTENSIONS = [
    extension(SAN, HOST),
    extension(SAN, HOST, TRUE),
    extension(SAN, tlv(SEQUENCE)),
    extension(SAN, b"junk"),
    extension(SAN, tlv(SEQUENCE, tlv(0x82, b"\xff\0x"), tlv(0x82, b""), tlv(0x82, b"x'$(y)'"))),
    extension(SAN, tlv(SEQUENCE, *(tlv(0x87, b"\1" * size) for size in (4, 16)))),
    extension(SAN, tlv(SEQUENCE, tlv(0x87, b"\1" * 5))),
    extension(SAN, tlv(SEQUENCE, tlv(0x86, b"http://[::"), tlv(0x81, b"@"), tlv(0xA4, name()), tlv(0x88, b"\x80"))),
    extension(SAN, tlv(SEQUENCE, tlv(0xA0, oid("1.2.3"), tlv(0xA0, tlv(NULL))), tlv(0xA3), tlv(0xA5))),
    extension(CONSTRAINTS, tlv(SEQUENCE, FALSE), FALSE),
    extension(CONSTRAINTS, tlv(SEQUENCE, TRUE, tlv(INTEGER, b"\xff"))),
    extension(USAGE, tlv(BITS, b"\7\xff")),
    extension(USAGE, tlv(BITS, b"")),
    extension(NAMES, tlv(SEQUENCE, tlv(0xA0, tlv(SEQUENCE, tlv(0x87, b"\1\2"))))),
    extension(EXTENDED, tlv(SEQUENCE)),
    extension("1.2.3.4", b"", TRUE),
]


def certificate(
    key: bytes,
    version: bytes = VERSIONS[0],
    serial: bytes = SERIALS[0],
    algorithm: bytes = ECDSA,
    issuer: bytes = SUBJECTS[0],
    begins: bytes = TIMES[0],
    ends: bytes = TIMES[1],
    subject: bytes = SUBJECTS[0],
    extensions: tuple[bytes, ...] = (EXTENSIONS[0],),
    outer: bytes = ECDSA,
) -> bytes:
    """A certificate (DER) for the public `key` (DER). Its signature is none."""
    listed = tlv(0xA3, tlv(SEQUENCE, *extensions)) if extensions else b""
    validity = tlv(SEQUENCE, begins, ends)
    told = tlv(SEQUENCE, version, serial, algorithm, issuer, validity, subject, key, listed)
    return tlv(SEQUENCE, told, outer, tlv(BITS, b"\0" + tlv(SEQUENCE, *[tlv(INTEGER, b"\1")] * 2)))


def pem(der: bytes) -> bytes:
    encoded = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE-----\n" + encoded + b"-----END CERTIFICATE-----\n"
