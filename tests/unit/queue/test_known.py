"""Who was right: within a day, from there; a moment ago; by tags that tell nobody who it is."""

from __future__ import annotations

import pytest

from secreg_host.queue.known import DAY_SECONDS, MOMENT_SECONDS, WRONG_SECONDS, Known, Tags
from secreg_host.queue.turns import Rank


@pytest.mark.promise("fair-turns")
def test_for_a_day_from_the_same_client() -> None:
    known = Known()
    assert known.rank("192.0.2.1", b"alice", 0) is Rank.STRANGER
    known.right("192.0.2.1", b"alice", 10)
    assert known.rank("192.0.2.1", b"alice", 10 + DAY_SECONDS - 1) is Rank.KNOWN
    assert known.rank("192.0.2.1", b"alice", 10 + DAY_SECONDS) is Rank.STRANGER
    assert known.rank("192.0.2.2", b"alice", 11) is known.rank("192.0.2.1", b"bob", 11) is Rank.STRANGER
    known.right("192.0.2.1", b"alice", 20)
    assert known.rank("192.0.2.1", b"alice", 10 + DAY_SECONDS) is Rank.KNOWN


@pytest.mark.promise("fair-turns")
def test_who_was_wrong_stands_behind_strangers_for_a_minute() -> None:
    """But for a user who was right from there."""
    known = Known()
    known.wrong("192.0.2.1", 0)
    known.right("192.0.2.1", b"alice", 0)
    assert known.rank("192.0.2.1", b"bob", WRONG_SECONDS - 1) is Rank.WRONG
    assert known.rank("192.0.2.1", b"alice", 1) is Rank.KNOWN
    assert known.rank("192.0.2.2", b"bob", 1) is known.rank("192.0.2.1", b"bob", WRONG_SECONDS) is Rank.STRANGER


@pytest.mark.promise("epochs")
def test_for_a_moment_while_the_same_users_count() -> None:
    known = Known()
    known.checked(b"Basic eDp5", "before", 0)
    assert known.a_moment_ago(b"Basic eDp5", "before", MOMENT_SECONDS - 1)
    assert not known.a_moment_ago(b"Basic eDp5", "before", MOMENT_SECONDS)
    assert not known.a_moment_ago(b"Basic eDp5", "after", 1)
    assert not known.a_moment_ago(b"Basic eDpa", "before", 1)


def test_the_oldest_go_first() -> None:
    tags = Tags(10, most=2)
    for number, word in enumerate((b"a", b"b", b"a", b"c")):
        tags.add(word, now=number)
    assert [tags.has(word, now=5) for word in (b"a", b"b", b"c")] == [True, False, True]


def test_words_are_told_apart() -> None:
    tags = Tags(10)
    tags.add(b"ab", b"c", now=0)
    assert tags.has(b"ab", b"c", now=1) and not tags.has(b"a", b"bc", now=1)


def test_a_tag_tells_nobody_what_it_is_of() -> None:
    one, other = Tags(10), Tags(10)
    for some in (one, other):
        some.add(b"192.0.2.1", b"alice", now=0)
    assert set(one.until) & set(other.until) == set()
    assert not any(b"alice" in tag or b"192" in tag for tag in one.until)
