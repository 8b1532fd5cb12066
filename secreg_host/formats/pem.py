"""PEM as OpenSSL reads it, and with it nginx: a line that begins a block, base64, a line that ends it; all else is
passed over.

Source: PEM_read_bio_ex and sanitize_line in OpenSSL's crypto/pem/pem_lib.c; RFC 7468.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from secreg_host.base import utf8
from secreg_host.base.errors import BadInput, bad_input

BEGIN, END, TAIL = b"-----BEGIN ", b"-----END ", b"-----"
BOM = b"\xef\xbb\xbf"
UTF16 = (b"\xff\xfe", b"\xfe\xff")
TRAILING = bytes([*range(0x21), *range(0x80, 0x100)])
"""What OpenSSL strips from the end of a line: all that is no larger than a blank, as a signed char."""

CONTROL = re.compile(rb"[\0-\x1f\x7f]")
WHOLE = "copy it again, whole"


@dataclass(frozen=True)
class Block:
    """One block: what it says to be ("CERTIFICATE"), its bytes, the line on which it begins, whether it has headers
    (RFC 1421), as keys with a passphrase have."""

    label: str
    data: bytes
    line: int
    headers: bool = False


def blocks(data: bytes, where: str) -> tuple[Block, ...]:
    """The blocks of the file `where` that holds `data`, in order. Raises BadInput, with the line, for a block that
    OpenSSL does not take, which it stops at, and for UTF-16, in which it finds none."""
    if data.startswith(UTF16):
        raise bad_input(where, "it is UTF-16, as some Windows tools write, which nothing here reads", as_utf8(where))
    found = []
    lines = enumerate((_stripped(line) for line in data.removeprefix(BOM).split(b"\n")), 1)
    for number, line in lines:
        if line.startswith(BEGIN) and line.endswith(TAIL) and len(line) >= len(BEGIN) + len(TAIL):
            label = line[len(BEGIN) : -len(TAIL)]
            body: list[bytes] = []
            headers = False
            for _, inner in lines:
                if inner.startswith(END):
                    break
                if not inner and body and any(b":" in one for one in body):
                    body, headers = [], True
                    continue
                body.append(inner)
            else:
                raise bad_input(f"{where}:{number}", "a block begins there that nothing ends (-----END …)", WHOLE)
            if inner != END + label + TAIL:
                raise _wrong_end(where, number, inner)
            found.append(Block(utf8.shown(label), _decoded(body, f"{where}:{number}"), number, headers))
    return tuple(found)


def encoded(label: str, data: bytes) -> bytes:
    """`data` as a block."""
    text = base64.encodebytes(data).replace(b"\n", b"")
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    name = label.encode()
    return b"\n".join([BEGIN + name + TAIL, *lines, END + name + TAIL, b""])


def as_utf8(where: str) -> str:
    """How a file that is UTF-16 becomes one that is not."""
    return f"write it again as ASCII or UTF-8: iconv -f UTF-16 -t UTF-8 {where}"


def _stripped(line: bytes) -> bytes:
    return CONTROL.sub(b" ", line.rstrip(TRAILING))


def _wrong_end(where: str, number: int, end: bytes) -> BadInput:
    if BEGIN in end:
        what = "the block that begins there and the next one share a line: a newline is missing between them"
        return bad_input(f"{where}:{number}", what, "write -----BEGIN … of the next one on a line of its own")
    return bad_input(f"{where}:{number}", "the line that ends the block that begins there is another one's", WHOLE)


def _decoded(lines: list[bytes], where: str) -> bytes:
    """The bytes that `lines` stand for. A blank line among them has OpenSSL take those before it for headers."""
    if any(not line for line in lines[:-1]):
        raise bad_input(where, "there are blank lines in the block that begins there", "remove them, sed '/^$/d' does")
    try:
        return base64.b64decode(b"".join(lines).replace(b" ", b""), validate=True)
    except ValueError:
        raise bad_input(where, "the block that begins there is damaged (base64)", WHOLE) from None
