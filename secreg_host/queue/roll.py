"""The roll: which users there are, so that a name that nobody has takes as long to refuse as one that somebody has.

Without that, whoever measures learns the names. In the place of a user who is not there, one of those is asked for
whom nobody knows a password (formats/decoy.py); the answer to that is no, whatever it is. For a name it is always the
same, after a restart, too: the one whose hash, as a key, gives the name the highest number. When users change, only
those names have another one whose decoy has gone, or for which a new one is higher (rendezvous hashing). A name that
begins as robots' do is a robot's that is not there, where there are any.
"""

from __future__ import annotations

import base64
import hmac
import re
from typing import NamedTuple

from secreg_host.formats import decoy, robots
from secreg_host.generation.liveusers import LiveUsers

BASIC = re.compile(rb"basic +([A-Za-z0-9+/]*)(?:=.*)?", re.IGNORECASE | re.DOTALL)
"""What nginx reads of the header: up to the first `=` (ngx_decode_base64)."""


class Login(NamedTuple):
    """What an Authorization header says (RFC 7617)."""

    user: bytes
    password: bytes


class Asked(NamedTuple):
    """What to ask the password check: the header; decoy: of a user that nobody is, so that no yes counts."""

    authorization: bytes
    decoy: bool = False


def login(authorization: bytes) -> Login | None:
    """User and password of an Authorization header, as nginx reads them; None: it finds none there."""
    if (found := BASIC.fullmatch(authorization)) is None or len(found[1]) % 4 == 1:
        return None
    user, colon, password = base64.b64decode(found[1] + b"==").partition(b":")
    return Login(user, password) if colon else None


class Decoy(NamedTuple):
    """A user that nobody is, and a key that stays as long as the user does whom it is like."""

    name: bytes
    key: bytes


class Roll:
    """The users that count, looked at again whenever others do."""

    def __init__(self, live: LiveUsers) -> None:
        self.live = live
        self.epoch = ""
        self.users: frozenset[bytes] = frozenset()
        self.decoys: tuple[Decoy, ...] = ()
        self.robots: tuple[Decoy, ...] = ()

    def _look(self) -> None:
        if (epoch := self.live.epoch) != self.epoch:
            try:
                lines = [line.rstrip().partition(b":") for line in self.live.lines()]
            except OSError:  # nobody is let in, which the password check says itself; or it is tried again
                epoch, lines = "", []
            self.epoch, self.users = epoch, frozenset(name for name, _, _ in lines)
            found = [Decoy(name, decoy.lasting(value)) for name, _, value in lines if decoy.is_one(name)]
            self.robots = tuple(one for one in found if one.name.startswith(decoy.ROBOT))
            self.decoys = tuple(one for one in found if not one.name.startswith(decoy.ROBOT))

    def asked(self, authorization: bytes) -> Asked:
        """What to ask for a header: itself, or for a user that is not there, one by a decoy."""
        said = login(authorization)
        self._look()
        if said is None or said.user in self.users or not (stand := self._stand_ins(said.user)):
            return Asked(authorization)
        one = max(stand, key=lambda one: hmac.digest(one.key, said.user, "sha256"))
        instead = base64.b64encode(one.name + b":" + said.password)
        return Asked(b"Basic " + instead, decoy=True)

    def _stand_ins(self, user: bytes) -> tuple[Decoy, ...]:
        """Of whom one is asked for in the place of `user`."""
        mine, others = self.decoys, self.robots
        if user.startswith(robots.PREFIX.encode()):
            mine, others = others, mine
        return mine or others
