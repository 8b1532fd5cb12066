"""Users whom nobody can be: their hashes cost what those of the others cost, and no password is known for one.

A name that nobody has is checked against one of them, so that it takes as long as one that somebody has.
"""

from __future__ import annotations

import re
import secrets

from secreg_host.formats.users import DECOY

MOST = 64
"""So many stand for all users: whose hashes differ in cost as theirs do."""

KIND = re.compile(rb"\{\w+\}|\$(?:g?y|7)\$[^$]+|\$\w+\$(?:rounds=\d+\$|\d\d\$)?")
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


def among(htpasswd: bytes) -> bytes:
    """The lines of `htpasswd` (USER:HASH), and before some of them a decoy for it: for each, or for `MOST` of them and
    one of each kind. So its place costs no other time either."""
    lines = htpasswd.splitlines(keepends=True)
    step = -(-len(lines) // MOST)
    kinds: set[bytes] = set()
    found = []
    for number, line in enumerate(lines):
        value = line.rstrip().partition(b":")[2]
        if number % step == 0 or _kind(value) not in kinds:
            kinds.add(_kind(value))
            found.append(b"%s-%d:%s\n" % (DECOY.encode(), number, like(value)))
        found.append(line)
    return b"".join(found)


def _kind(value: bytes) -> bytes:
    """What the cost of a hash depends on: its scheme, and how often that is done."""
    found = KIND.match(value)
    return found[0] if found else b""
