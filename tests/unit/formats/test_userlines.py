"""What the journal says of a change of users."""

from __future__ import annotations

import pytest

from secreg_host.formats import userlines

TWENTY = ", ".join(f"u{number}" for number in range(20))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (b"", b"alice:x\n", "added alice"),
        (b"alice:x\nbob:y\n", b"bob:y\n", "removed alice"),
        (b"alice:x\n", b"alice:y\n", "changed alice"),
        (b"alice:x\nbob:y\n", b"bob:z\ncarol:x\n", "added carol; removed alice; changed bob"),
        (b"alice:x\nbob:y\n", b"bob:y\nalice:x\n", ""),
        ("jürgen:x\n".encode(), b"", "removed jürgen"),
        (b"", b"".join(b"u%d:x\n" % number for number in range(30)), f"added {TWENTY} and 10 more"),
    ],
)  # fmt: skip
def test_who_came_and_went(before: bytes, after: bytes, said: str) -> None:
    assert userlines.changes(before, after) == said
