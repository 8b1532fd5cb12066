"""Bytes as text, by one rule: UTF-8 (RFC 3629), whoever wrote them and whatever the locale is."""

from __future__ import annotations

import re

from secreg_host.base.errors import bad_input

BOM = "\ufeff"
"""With it some editors begin a file; it is no part of the text."""

SURROGATE = re.compile("[\ud800-\udfff]")

HINT = "save the file as UTF-8"


def text(data: bytes, where: str) -> str:
    """What is in the file `where` that holds `data`, without a byte order mark. Raises BadInput as `exact` does."""
    return exact(data, where).removeprefix(BOM)


def exact(data: bytes, where: str, hint: str = HINT) -> str:
    """The same with the mark, for an edit: encoded again it is `data`. Raises BadInput with `where`:LINE and `hint` for
    what is no UTF-8, and for a NUL, which no text has: UTF-16 has many, and programs in C end at the first."""
    try:
        found, at, what = data.decode(), data.find(b"\0"), "holds a NUL byte, so it is no text"
    except UnicodeDecodeError as error:
        found, at, what = "", error.start, "not UTF-8 text"
    if at >= 0:
        line = data.count(b"\n", 0, at) + 1
        raise bad_input(f"{where}:{line}", what, hint)
    return found


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
