"""Who was right lately: a tag of client and user, which tells nobody who that is, and has nothing of the password.

Kept in memory alone, by a key of this process: what is forgotten at its end costs a place in the queue, nothing else.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict

DAY_SECONDS = 24 * 3600.0
MOST = 65_536
"""Tags that are kept; the oldest go first."""


class Known:
    """Tags of who was right within a day. `now` is a time in seconds that never goes back (time.monotonic)."""

    def __init__(self, most: int = MOST) -> None:
        self.key = secrets.token_bytes(32)
        self.most = most
        self.until: OrderedDict[bytes, float] = OrderedDict()

    def _tag(self, client: str, user: bytes) -> bytes:
        return hmac.digest(self.key, client.encode() + b"\0" + user, "sha256")

    def right(self, client: str, user: bytes, now: float) -> None:
        """`user` came from `client`, and the password was right."""
        tag = self._tag(client, user)
        self.until[tag] = now + DAY_SECONDS
        self.until.move_to_end(tag)
        if len(self.until) > self.most:
            self.until.popitem(last=False)

    def lately(self, client: str, user: bytes, now: float) -> bool:
        """Whether `user` was right from `client` within a day."""
        return self.until.get(self._tag(client, user), now) > now
