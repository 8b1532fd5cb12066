"""Sealing a file by a passphrase: what is in it can be read, and changed unnoticed, by nobody without.

    secure-registry-sealed 1\\n     what it is
    16 bytes                       salt
    pieces                         each of 4 bytes, its length (big-endian), and AES-256-GCM of up to 1 MiB

The key is scrypt(passphrase, salt, n=2**16, r=8, p=1), of 32 bytes: another one for each file. The nonce of a piece is
its number, of 12 bytes, from 0 on; its associated data is `more`, and `last` for the last one (which is there always),
so that a file that was cut is found.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from secreg_host.base.errors import bad_input

FIRST = b"secure-registry-sealed 1\n"
SALT, LENGTH, NONCE, TAG = 16, 4, 12, 16
PIECE = 1 << 20
COST = 1 << 16
MORE, LAST = b"more", b"last"


class Sealer:
    """Seals what is written to it, piece by piece, for `write`."""

    def __init__(self, passphrase: str, write: Callable[[bytes], object]) -> None:
        salt = secrets.token_bytes(SALT)
        self._write, self._cipher = write, AESGCM(_key(passphrase, salt))
        self._held, self._number = b"", 0
        write(FIRST + salt)

    def write(self, data: bytes) -> None:
        """Seal `data`, as soon as there is enough for a piece."""
        self._held += data
        while len(self._held) > PIECE:
            self._seal(self._held[:PIECE], MORE)
            self._held = self._held[PIECE:]

    def finish(self) -> None:
        """The last piece."""
        self._seal(self._held, LAST)

    def _seal(self, data: bytes, which: bytes) -> None:
        sealed = self._cipher.encrypt(_nonce(self._number), data, which)
        self._write(len(sealed).to_bytes(LENGTH) + sealed)
        self._number += 1


def is_sealed(data: bytes) -> bool:
    """Whether a file that begins with `data` is a sealed one."""
    return data.startswith(FIRST)


def opened(data: bytes, passphrase: str, where: str = "passphrase") -> bytes:
    """What is sealed in `data`, which is `where`. Raises BadInput with another passphrase, and for what was changed or
    cut."""
    salt = data[len(FIRST) : len(FIRST) + SALT]
    cipher = AESGCM(_key(passphrase, salt))
    pieces = list(_pieces(data[len(FIRST) + SALT :]))
    try:
        return b"".join(
            cipher.decrypt(_nonce(number), piece, LAST if number == len(pieces) - 1 else MORE)
            for number, piece in enumerate(pieces)
        )
    except InvalidTag:
        what = "the passphrase is another one than this backup was made with"
        hint = "type that one, as it was typed then; another backup may have another one: --at NAME; images need none: "
        raise bad_input(where, what, f"{hint}--images-only") from None


def _pieces(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data) or not at:
        size = int.from_bytes(data[at : at + LENGTH])
        yield data[at + LENGTH : at + LENGTH + size]
        at += LENGTH + max(size, 1)


def _nonce(number: int) -> bytes:
    return number.to_bytes(NONCE)


def _key(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=COST, r=8, p=1).derive(os.fsencode(passphrase))
