"""Users whom nobody can be: their hashes cost what those of the others cost, and no password is known for one.

A name that nobody has is checked against one of them, so that it takes as long as one that somebody has. Robots, whose
hashes cost nothing, have theirs, and users have theirs: else nearly each name that takes its time is a user's, where
there are many robots.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

from secreg_host.formats import robots
from secreg_host.formats.users import DECOY

MOST = 64
"""So many stand for all users: whose hashes differ in cost as theirs do."""

KIND = re.compile(
    rb"\{\w+\}|\$g?y\$[^$]+|\$7\$.{11}|\$sha1\$\d+|\$md5(?:,rounds=\d+)?|_.{4}"
    rb"|\$\w+\$(?:rounds=\d+\$|\d\d\$)?"
)
RANDOM = 10
"""Characters at the end of a hash that are made up. Each scheme has more of its digest there (users.FORMS)."""


ROBOT = f"{DECOY}-{robots.PREFIX}".encode()
"""How the names of those begin that stand for robots."""


def is_one(name: bytes) -> bool:
    """Whether user `name` is one of them."""
    return name.startswith(f"{DECOY}-".encode())


def like(value: bytes) -> bytes:
    """A hash of the same scheme, cost and length as `value`, of which nobody knows a password."""
    padding = value[len(value.rstrip(b"=")) :]
    while (made := lasting(value) + secrets.token_hex(RANDOM // 2).encode() + padding) == value:
        pass
    return made


def lasting(value: bytes) -> bytes:
    """What hash `value` and each decoy for it have in common, which nobody knows who can't read the hashes."""
    return value.rstrip(b"=")[:-RANDOM]


def among(htpasswd: bytes) -> bytes:
    """The lines of `htpasswd` (USER:HASH), and before some of them a decoy for it: for each, or for `MOST` of them and
    one of each kind. So its place costs no other time either. For which, their hashes say: who comes or goes changes
    that for one other at the most."""
    lines = htpasswd.splitlines(keepends=True)
    programs = [line for line in lines if line.startswith(robots.PREFIX.encode())]
    people = [line for line in lines if not line.startswith(robots.PREFIX.encode())]
    return _among(people, f"{DECOY}-".encode()) + _among(programs, ROBOT)


def _among(lines: Sequence[bytes], name: bytes) -> bytes:
    """The same of one kind of users, whose decoys are called `name`NUMBER."""
    values = [line.rstrip().partition(b":")[2] for line in lines]
    order = sorted(range(len(lines)), key=lambda number: _lot(values[number]))
    chosen = set(order[:MOST])
    kinds = {_kind(values[number]) for number in chosen}
    for number in order[MOST:]:
        if (kind := _kind(values[number])) not in kinds:
            kinds.add(kind)
            chosen.add(number)
    found = []
    for number, line in enumerate(lines):
        if number in chosen:
            found.append(b"%s%d:%s\n" % (name, number, like(values[number])))
        found.append(line)
    return b"".join(found)


def _lot(value: bytes) -> bytes:
    """What is as good as drawn by lot: of the digest, in which each character may be any."""
    return value.rstrip(b"=")[-9:-1]


def _kind(value: bytes) -> bytes:
    """What the cost of a hash depends on: its scheme, and how often that is done."""
    found = KIND.match(value)
    return found[0] if found else b""
