"""Who was right, by tags that are made with a key of this process and tell nobody who or what it was; in memory alone.

Within a day: a tag of client and user, which has nothing of the password. What is forgotten costs a place in the queue.
A moment ago: a tag of the password and of the users that counted, so that whoever logs in asks twice and has it checked
once, until the front remembers it (proxy_cache_min_uses).
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict

DAY_SECONDS = 24 * 3600.0
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
    """Who was right, within a day and a moment ago; `now` as of `Tags`."""

    def __init__(self) -> None:
        self.users, self.passwords = Tags(DAY_SECONDS), Tags(MOMENT_SECONDS)

    def right(self, client: str, user: bytes, now: float) -> None:
        """`user` came from `client`, and the password was right."""
        self.users.add(client.encode(), user, now=now)

    def lately(self, client: str, user: bytes, now: float) -> bool:
        """Whether `user` was right from `client` within a day."""
        return self.users.has(client.encode(), user, now=now)

    def checked(self, ask: bytes, users: str, now: float) -> None:
        """`ask` was right by a check that began while `users` counted."""
        self.passwords.add(users.encode(), ask, now=now)

    def a_moment_ago(self, ask: bytes, users: str, now: float) -> bool:
        """Whether `ask` was right a moment ago, and `users` still count."""
        return self.passwords.has(users.encode(), ask, now=now)
