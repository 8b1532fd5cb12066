"""Bytes as text, by one rule: UTF-8 (RFC 3629), whoever wrote them and whatever the locale is."""

from __future__ import annotations

import codecs
import re

from secreg_host.base.errors import bad_input

BOM = "\ufeff"
"""With it some editors begin a file; it is no part of the text."""

MARKS_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

SURROGATE = re.compile("[\ud800-\udfff]")

HINT = "save the file as UTF-8"
UTF_16 = "is UTF-16, as > of PowerShell writes it, not UTF-8 text"


def text(data: bytes, where: str) -> str:
    """What is in the file `where` that holds `data`, without a byte order mark. Raises BadInput as `exact` does."""
    return exact(data, where).removeprefix(BOM)


def exact(data: bytes, where: str, hint: str = HINT) -> str:
    """The same with the mark, for an edit: encoded again it is `data`. Raises BadInput with `where`:LINE and `hint` for
    what is no UTF-8, and for a NUL, which no text has, and at which programs in C end."""
    if is_utf16(data):
        raise bad_input(f"{where}:1", UTF_16, hint)
    try:
        found, at, what = data.decode(), data.find(b"\0"), "holds a NUL byte, so it is no text"
    except UnicodeDecodeError as error:
        found, at, what = "", error.start, "not UTF-8 text"
    if at >= 0:
        line = data.count(b"\n", 0, at) + 1
        raise bad_input(f"{where}:{line}", what, hint)
    return found


def is_utf16(data: bytes) -> bool:
    """Whether `data` is UTF-16: it begins with a byte order mark of that (RFC 2781) and has ASCII characters, which are
    two bytes each, one of them NUL; or has nothing else."""
    if b"\0" not in data:
        return data in MARKS_16
    pairs = (data[::2], data[1::2]) if len(data) % 2 == 0 else (b"", b"")
    doubled = any(all(one) and other and not any(other) for one, other in (pairs, pairs[::-1]))
    return doubled or (data.startswith(MARKS_16) and (b"\0" in data or data in MARKS_16))


def is_text(found: str) -> bool:
    """Whether `found`, an argument or a variable of the environment, came as UTF-8: other bytes are surrogates in it
    (PEP 383), which nothing can be written with."""
    return SURROGATE.search(found) is None


def lossless(data: bytes) -> str:
    """`data` as text that `back` turns into the same bytes, whatever they are (PEP 383): of files that are searched,
    passed on or edited in a place that is text, where the rest need not be."""
    return data.decode(errors="surrogateescape")


def back(found: str) -> bytes:
    """The bytes that `lossless` made `found` of."""
    return found.encode(errors="surrogateescape")


def shown(data: bytes) -> str:
    """`data` as text to look at: U+FFFD stands where there is none. Of what programs say, and of what is known to be
    text, such as records and hashes of our own."""
    return data.decode(errors="replace")
