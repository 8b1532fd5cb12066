"""Who was right or wrong, by tags that are made with a key of this process and tell nobody who or what it was.

Right within a day: a tag of client and user, which has nothing of the password. Right a moment ago: a tag of the
password and of the users that counted, so that whoever logs in asks twice and has it checked once, until the front
remembers it (proxy_cache_min_uses). Wrong a minute ago: a tag of the client. All of it is in memory alone; what is
forgotten costs a place in the queue.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict

from secreg_host.queue.turns import Rank

DAY_SECONDS = 24 * 3600.0
WRONG_SECONDS = 60.0
"""How long a client stands behind strangers after a wrong password."""

MOMENT_SECONDS = 30.0
"""As long as the front takes an answer for true (proxy_cache_valid)."""

MOST = 65_536
"""Tags that are kept; the oldest go first."""


class Tags:
    """Tags that count for so many `seconds`. `now` is a time in seconds that never goes back (time.monotonic)."""

    def __init__(self, seconds: float, most: int = MOST) -> None:
        self.key = secrets.token_bytes(32)
        self.seconds, self.most = seconds, most
        self.until: OrderedDict[bytes, float] = OrderedDict()

    def _tag(self, words: tuple[bytes, ...]) -> bytes:
        said = b"".join(b"%d:%s" % (len(word), word) for word in words)
        return hmac.digest(self.key, said, "sha256")

    def add(self, *words: bytes, now: float) -> None:
        """`words` count from now on."""
        tag = self._tag(words)
        self.until[tag] = now + self.seconds
        self.until.move_to_end(tag)
        if len(self.until) > self.most:
            self.until.popitem(last=False)

    def has(self, *words: bytes, now: float) -> bool:
        """Whether `words` count still."""
        return self.until.get(self._tag(words), now) > now


class Known:
    """Who was right, within a day and a moment ago, and who was wrong; `now` as of `Tags`."""

    def __init__(self) -> None:
        self.users, self.passwords, self.clients = Tags(DAY_SECONDS), Tags(MOMENT_SECONDS), Tags(WRONG_SECONDS)

    def wrong(self, client: str, now: float) -> None:
        """A password of `client` was wrong."""
        self.clients.add(client.encode(), now=now)

    def rank(self, client: str, user: bytes, now: float) -> Rank:
        """In which lane a password of `user` from `client` waits."""
        if self.users.has(client.encode(), user, now=now):
            return Rank.KNOWN
        return Rank.WRONG if self.clients.has(client.encode(), now=now) else Rank.STRANGER

    def right(self, client: str, user: bytes, now: float) -> None:
        """`user` came from `client`, and the password was right."""
        self.users.add(client.encode(), user, now=now)

    def checked(self, ask: bytes, users: str, now: float) -> None:
        """`ask` was right by a check that began while `users` counted."""
        self.passwords.add(users.encode(), ask, now=now)

    def a_moment_ago(self, ask: bytes, users: str, now: float) -> bool:
        """Whether `ask` was right a moment ago, and `users` still count."""
        return self.passwords.has(users.encode(), ask, now=now)
