"""crypt(3) of the system, which nginx asks, too: Python has none from 3.13 on, and passlib knows fewer hashes."""

from __future__ import annotations

import ctypes
import functools
import hmac

from secreg_host.base.errors import SecregError

LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2")
"""Debian's name of libxcrypt, and Fedora's."""


def is_right(password: str, value: str) -> bool:
    """Whether `password` is the one of hash `value` (crypt(5)); not, where this host's crypt(3) does not know its
    method. Raises SecregError when the host has no crypt(3)."""
    found = _crypt()(password.encode(), value.encode())
    return found is not None and hmac.compare_digest(found, value.encode())


@functools.cache
def _crypt() -> ctypes._NamedFuncPointer:
    for name in LIBRARIES:
        try:
            function = ctypes.CDLL(name).crypt
        except OSError:
            continue
        function.argtypes, function.restype = (ctypes.c_char_p, ctypes.c_char_p), ctypes.c_char_p
        return function
    raise SecregError("this host has no crypt(3)", "try the password there: curl -u USER https://HOST/v2/")
