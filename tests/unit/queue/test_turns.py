"""Turns: fair between clients, bounded over all, nothing for who has gone."""

from __future__ import annotations

import pytest

from secreg_host.queue.turns import CYCLE, OF_ONE, Question, Rank, Turns

NOW = "epoch"


def join(turns: Turns, client: str, ask: str, rank: Rank = Rank.STRANGER, asker: object = None) -> set[object]:
    return turns.join(client, ask.encode(), asker or (client, ask), NOW, rank)


def order(turns: Turns) -> list[str]:
    """What is asked, one after the other, each done before the next."""
    found = []
    while (question := turns.take(NOW)) is not None:
        found.append(f"{question.client}{question.ask.decode()}")
        turns.done(question)
    return found


@pytest.mark.promise("fair-turns")
def test_clients_take_turns() -> None:
    turns = Turns()
    for number in range(3):
        join(turns, "a", str(number))
    join(turns, "b", "0")
    join(turns, "c", "0")
    join(turns, "b", "1")
    assert order(turns) == ["a0", "b0", "c0", "a1", "b1", "a2"]
    assert turns.take(NOW) is None


@pytest.mark.promise("fair-turns")
def test_the_better_lanes_have_more_turns_and_none_has_all() -> None:
    turns = Turns()
    for number in range(8):
        for rank in Rank:
            join(turns, f"{rank.name}{number}", "", rank)
    served = [name.rstrip("0123456789") for name in order(turns)]
    assert served[: len(CYCLE)] == [rank.name for rank in CYCLE]
    assert [CYCLE.count(rank) for rank in Rank] == [5, 2, 1] and CYCLE[0] is Rank.KNOWN
    assert sorted(served) == sorted(rank.name for rank in Rank for _ in range(8))


@pytest.mark.parametrize("rank", Rank)
def test_a_lane_has_all_turns_where_nobody_else_waits(rank: Rank) -> None:
    turns = Turns()
    for number in range(9):
        join(turns, "s", str(number), rank)
    assert order(turns) == [f"s{number}" for number in range(9)]


@pytest.mark.promise("fair-turns")
def test_who_comes_anew_does_not_wait_for_those_who_were_wrong() -> None:
    """But for one of them, perhaps."""
    turns = Turns()
    for number in range(30):
        join(turns, f"flood{number}", "", Rank.WRONG)
    for number in range(5):
        turns.take(NOW)
        join(turns, f"new{number}", "")
        found = turns.take(NOW), turns.take(NOW)
        assert f"new{number}" in {one.client for one in found if one}


@pytest.mark.promise("gone-is-not-checked")
def test_what_nobody_waits_for_is_not_checked() -> None:
    turns = Turns()
    join(turns, "a", "0", asker=1)
    join(turns, "a", "0", asker=2)
    join(turns, "a", "1", asker=3)
    turns.leave("a", b"1", 3)
    turns.leave("a", b"0", 1)
    turns.leave("a", b"0", 1)
    turns.leave("b", b"0", 1)
    question = turns.take(NOW)
    assert question is not None and question.ask == b"0" and question.askers == {2}
    turns.leave("a", b"0", 2)  # it is being checked
    assert turns.take(NOW) is None and turns.asking == 0


def test_the_same_password_is_checked_once() -> None:
    turns = Turns()
    join(turns, "a", "0", asker=1)
    first = turns.take(NOW)
    assert first is not None
    join(turns, "a", "0", asker=2)
    assert first.askers == {1, 2} and turns.take(NOW) is None
    turns.done(first)
    join(turns, "a", "0", asker=3)
    assert turns.take(NOW) is not first


@pytest.mark.promise("epochs")
def test_what_began_before_users_changed_answers_nobody_who_came_after() -> None:
    """Else the front kept a removed user's password under the number of the new users."""
    turns = Turns()
    turns.join("a", b"0", 1, "before", Rank.STRANGER)
    first = turns.take("before")
    assert first is not None
    turns.join("a", b"0", 2, "after", Rank.STRANGER)
    second = turns.take("after")
    assert first.askers == {1} and second is not None and second.askers == {2}
    turns.done(first)
    turns.join("a", b"0", 3, "after", Rank.STRANGER)
    assert second.askers == {2, 3}, "the one that has begun since"


@pytest.mark.promise("fair-turns")
def test_there_is_a_bound_over_all() -> None:
    """Beyond it, the client that has most loses what it asked last; of those who were right, as the last resort."""
    turns = Turns(places=4)
    for number in range(3):
        assert join(turns, "many", str(number)) == set()
    assert join(turns, "k", "0", Rank.KNOWN) == set()
    assert join(turns, "new", "0") == {("many", "2")}
    assert join(turns, "many", "3") == {("many", "3")}, "itself"
    assert order(turns) == ["k0", "many0", "new0", "many1"]
    few = Turns(places=1)
    join(few, "k", "0", Rank.KNOWN)
    assert join(few, "k", "1", Rank.KNOWN) == {("k", "1")}
    assert join(few, "s", "0") == {("s", "0")}
    assert join(few, "w", "0", Rank.WRONG) == {("w", "0")}
    one = Turns(places=1)
    join(one, "w", "0", Rank.WRONG)
    assert join(one, "s", "0") == {("w", "0")}


@pytest.mark.promise("fair-turns")
def test_there_is_a_bound_for_each_client() -> None:
    """Not for who was right lately, behind the same address (NAT)."""
    turns = Turns()
    for number in range(OF_ONE):
        assert join(turns, "a", str(number)) == set()
    assert join(turns, "a", "more") == {("a", "more")}
    assert join(turns, "a", "0", asker="another") == set(), "it is no other password"
    assert join(turns, "a", "known", Rank.KNOWN) == set() and join(turns, "b", "0") == set()
    assert order(turns)[0] == "aknown"
    assert join(turns, "a", "more") == set()


def test_places_are_free_again() -> None:
    turns = Turns(places=2)
    for number in range(10):
        assert join(turns, "a", str(number)) == set()
        question = turns.take(NOW)
        assert isinstance(question, Question)
    for number in range(10):
        assert join(turns, "b", str(number)) == set()
        turns.leave("b", str(number).encode(), ("b", str(number)))
    assert turns.asking == 0


@pytest.mark.promise("fair-turns")
def test_of_clients_that_have_as_many_the_newest_goes() -> None:
    """Not the one whose turn it is next: else those who come one by one (networks of IPv6) let nobody get there."""
    turns = Turns(places=3)
    for name in "abc":
        join(turns, name, "0")
    assert join(turns, "d", "0") == {("d", "0")}
    assert order(turns) == ["a0", "b0", "c0"]


@pytest.mark.promise("fair-turns")
def test_places_of_one_password_are_the_clients_too() -> None:
    """Who has most places loses one, by however many passwords it took them."""
    turns = Turns(places=10)
    for number in range(8):
        join(turns, "flood", "0", asker=f"f{number}")
    join(turns, "a", "0")
    join(turns, "a", "1")
    assert join(turns, "b", "0") <= {f"f{number}" for number in range(8)}
