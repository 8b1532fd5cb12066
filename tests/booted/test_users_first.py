"""A removed user is out, whatever else is broken, full, locked or hanging; how soon, `make bench` judges."""

from __future__ import annotations

import pytest

from tests.booted.obstacles import removals
from tests.booted.registry import Registry
from tests.hosts.fixtures import releases


@pytest.mark.promise("removed-user-is-out", "users-come-first")
def test_a_removed_user_is_out_whatever_is_wrong(watched: Registry, release: str) -> None:
    """By the command and by an editor in turns, on each release the other way round."""
    watched.expected.append(r".*")  # what is said of each of these has tests of its own
    watched.breaks()
    found = dict(removals(watched, commands_first=releases().index(release) % 2 == 0))
    assert [name for name, seconds in found.items() if seconds is None] == []
