"""Errors as problems: where they are, and what is to be done."""

from __future__ import annotations

import pickle

from secreg_host.base.errors import BadInput, Problem, SecregError


def test_what_has_no_place_gets_one() -> None:
    assert SecregError("it is away", "wait").at("x:1") == (Problem("x:1", "it is away", "wait"),)
    found = (Problem("y:2", "is a directory", "move it"), Problem("", "is empty", "fill it"))
    assert BadInput(found).at("x:1") == (found[0], Problem("x:1", "is empty", "fill it"))


def test_what_is_passed_on_as_a_message_has_its_hint_apart() -> None:
    error = BadInput([Problem("y:2", "is a directory", "move it"), Problem("z", "is empty", "fill it")])
    assert (error.message, error.hint) == ("y:2: is a directory", "move it")
    assert str(error) == "y:2: is a directory\n  -> move it"
    again = pickle.loads(pickle.dumps(error))  # as what a fork raises
    assert (again.message, again.hint, again.problems) == (error.message, error.hint, error.problems)
