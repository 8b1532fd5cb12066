"""Backups of two machines in one directory."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import timedelta

import pytest

from secreg_host.base.errors import BadInput, Note
from secreg_host.host.host import Host
from secreg_host.upkeep import create, whose
from secreg_host.upkeep.create import Made
from secreg_host.upkeep.place import Place
from tests.stores import Store
from tests.unit.upkeep.conftest import BEGIN, SILENT

OURS = {"host": "one", "machine": "a" * 32, "root": "/"}


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({}, True),
        ({"host": "renamed"}, True),
        ({"machine": "b" * 32}, False),
        ({"root": "/srv/other"}, False),
        ({"machine": ""}, True),
        ({"machine": "", "host": "two"}, False),
        ({"machine": None, "host": ["two"]}, False),
    ],
)
def test_which_are_of_one_instance(other: dict[str, object], same: bool) -> None:
    assert whose.is_same(OURS, OURS | other) == whose.is_same(OURS | other, OURS) == same


Back = Callable[..., Made]


@pytest.fixture
def typed(host: Host, store: Store, there: Place, monkeypatch: pytest.MonkeyPatch) -> Back:
    """Makes a backup as the machine by an id, called by a name."""
    made: list[Made] = []

    def act(machine: str, called: str, take_over: bool = False) -> Made:
        (host.paths.etc.parent / "machine-id").write_text(f"{machine}\n")
        monkeypatch.setattr(socket, "gethostname", lambda: called)
        when = BEGIN + timedelta(hours=len(made))
        made.append(create.create(host, there, store.tree.root, when, SILENT, take_over=take_over))
        return made[-1]

    return act


@pytest.mark.promise("backup-of-one-machine")
def test_another_machine_is_refused_until_it_takes_over(typed: Back, there: Place, store: Store) -> None:
    store.push("app", "one", "1.0")
    first = typed("one", "old")
    before = sorted(there.path.rglob("*"))
    with pytest.raises(BadInput) as caught:
        typed("two", "new")
    said = str(caught.value.problems[0])
    assert "old (machine " in said and "this is new (machine " in said and "--take-over" in said
    assert sorted(there.path.rglob("*")) == before and there.names() == [first.name], "nothing came of it"
    assert typed("two", "new", take_over=True).problems == ()
    assert typed("two", "new").problems == (), "once is enough"
    with pytest.raises(BadInput, match="this is old"):
        typed("one", "old")
    assert len(there.names()) == 3, "what was there before stays"


def test_a_list_that_can_not_be_read_says_nothing(typed: Back, there: Place) -> None:
    typed("one", "old")
    second = typed("one", "old")
    (there.lists / second.name).write_bytes(b"cut")
    with pytest.raises(BadInput, match="old"):
        typed("two", "new")
    assert typed("one", "old").problems == ()


def test_a_copy_of_a_machine_is_told(typed: Back, there: Place) -> None:
    """It has the same id: it may be the same machine that was renamed."""
    typed("one", "old")
    made = typed("one", "copy")
    (problem,) = made.problems
    assert isinstance(problem, Note) and "made as old, and this is copy" in problem.what and not made.degraded
