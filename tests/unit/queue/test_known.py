"""Who was right lately: for a day, from there, by a tag that tells nobody who it is."""

from __future__ import annotations

import pytest

from secreg_host.queue.known import DAY_SECONDS, Known


@pytest.mark.promise("fair-turns")
def test_for_a_day_from_the_same_client() -> None:
    known = Known()
    assert not known.lately("192.0.2.1", b"alice", 0)
    known.right("192.0.2.1", b"alice", 10)
    assert known.lately("192.0.2.1", b"alice", 10 + DAY_SECONDS - 1)
    assert not known.lately("192.0.2.1", b"alice", 10 + DAY_SECONDS)
    assert not known.lately("192.0.2.2", b"alice", 11) and not known.lately("192.0.2.1", b"bob", 11)
    known.right("192.0.2.1", b"alice", 20)
    assert known.lately("192.0.2.1", b"alice", 10 + DAY_SECONDS)


def test_the_oldest_go_first() -> None:
    known = Known(most=2)
    for number, user in enumerate((b"a", b"b", b"a", b"c")):
        known.right("x", user, number)
    assert [known.lately("x", user, 5) for user in (b"a", b"b", b"c")] == [True, False, True]


def test_a_tag_tells_nobody_who_it_is() -> None:
    one, other = Known(), Known()
    for some in (one, other):
        some.right("192.0.2.1", b"alice", 0)
    assert set(one.until) & set(other.until) == set()
    assert not any(b"alice" in tag or b"192" in tag for tag in one.until)
