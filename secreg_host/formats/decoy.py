"""Users whom nobody can be: their hashes cost what those of the others cost, and no password is known for one.

A name that nobody has is checked against one of them, so that it takes as long as one that somebody has.
"""

from __future__ import annotations

import secrets

from secreg_host.formats.users import DECOY

MOST = 64
"""So many stand for all users: whose hashes differ in cost as theirs do."""

RANDOM = 10
"""Characters at the end of a hash that are made up. Each scheme has more of its digest there (users.FORMS)."""


def is_one(name: bytes) -> bool:
    """Whether user `name` is one of them."""
    return name.startswith(f"{DECOY}-".encode())


def like(value: bytes) -> bytes:
    """A hash of the same scheme, cost and length as `value`, of which nobody knows a password."""
    begin, padding = value.rstrip(b"="), value[len(value.rstrip(b"=")) :]
    while (made := begin[:-RANDOM] + secrets.token_hex(RANDOM // 2).encode() + padding) == value:
        pass
    return made


def lines(htpasswd: bytes) -> bytes:
    """Lines of decoys for those of `htpasswd` (USER:HASH): one for each, or for `MOST` of them."""
    hashes = [line.partition(b":")[2] for line in htpasswd.splitlines()]
    some = hashes[:: -(-len(hashes) // MOST)] if hashes else []
    return b"".join(b"%s-%d:%s\n" % (DECOY.encode(), number, like(value)) for number, value in enumerate(some))
