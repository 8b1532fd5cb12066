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


@pytest.mark.parametrize(
    ("before", "user", "after"),
    [
        (b"alice:x\nbob:yy\ncarol:z\n", "bob", b"alice:x\n\n\n\n\n\n\n\ncarol:z\n"),
        (b"alice:x\nbob:y\n", "bob", b"alice:x\n"),
        (b"alice:x\nbob:y", "bob", b"alice:x\n"),
        (b"alice:x\nbob:y", "alice", b"\n\n\n\n\n\n\n\nbob:y"),
        (b"alice:x\n", "alice", b""),
        (b"a:x\nalice:x\nnobody:z\n", "a", b"\n\n\n\nalice:x\nnobody:z\n"),
    ],
)
def test_who_is_taken_out_in_place_moves_nobody(before: bytes, user: str, after: bytes) -> None:
    assert userlines.blanked(before, user) == after and len(after) <= len(before)
    assert all(before.find(line) == after.find(line) for line in after.split(b"\n") if line)


def test_all_names_are_listed_or_none() -> None:
    """An entry of the journal is one datagram: what does not fit there is counted, in `changes`."""
    before, after = b"a:1\nb:1\nc:1\n", b"b:2\nc:1\nd:1\ne, f; g:1\n"
    assert userlines.listed(before, after) == {"added": "d\ne, f; g", "removed": "a", "changed": "b"}
    many = b"".join(b"%d:x\n" % number for number in range(userlines.LISTED + 1))
    assert userlines.listed(b"", many) == {} and "and 281 more" in userlines.changes(b"", many)
    assert userlines.listed(many, many) == {}
