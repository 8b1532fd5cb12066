"""The faults that are kept can be applied, and what `make mutants` says of them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.mutants import CHECKOUT, Mutant, __main__, kept

EVERY = list(kept())
NAMED = {  # what issue 14 names: each was survived by all tests once
    "secreg_host/apply/choice.py": ["the rehearsal's verdict is dropped", "an unwritable storage isn't told"],
    "secreg_host/apply/rehearsal.py": ["the verdict of the run is dropped"],
    "secreg_host/apply/activate.py": [
        "the way back is skipped",
        "one proof instead of three",
        "nothing is ever marked proven",
    ],
    "secreg_host/apply/apply.py": ["an unwritable storage isn't told"],
    "secreg_host/apply/probe.py": ["the probe takes any certificate"],
    "secreg_host/apply/usersfirst.py": ["users revert"],
    "secreg_host/apply/hooks.py": ["hooks have no time limit"],
    "secreg_host/base/files.py": ["directories aren't fsynced"],
    "secreg_host/base/records.py": ["state/ is for everybody"],
    "secreg_host/wanted/provision.py": ["state/ is for everybody"],
    "templates/front/passing.conf.j2": ["Authorization is passed on to the registry"],
}


def test_each_is_one_still() -> None:
    """Its text stands in the file, once; else it is to be written anew, or goes."""
    assert {str(one): why for one in EVERY if (why := one.stale(CHECKOUT))} == {}


def test_each_is_kept_once_and_what_is_named_is_among_them() -> None:
    names = [str(one) for one in EVERY]
    assert len(names) == len(set(names)) >= 200
    assert {f"{path}: {fault}" for path, faults in NAMED.items() for fault in faults} - set(names) == set()


def test_most_are_seen_by_unit_tests() -> None:
    unit = [one for one in EVERY if all(test.startswith("tests/unit/") for test in one.tests)]
    assert len(unit) > 0.9 * len(EVERY)


def test_each_test_that_is_named_is_there() -> None:
    for test in {test for one in EVERY for test in one.tests}:
        path, _, name = test.partition("::")
        assert not name or re.search(rf"^def {name}\b", (CHECKOUT / path).read_text(), re.MULTILINE), test


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of one module and one test, which sees that the module says 1."""
    place = tmp_path / "checkout"
    place.mkdir()
    (place / "one.py").write_text("a = 1\nb = 2\n")
    (place / "test_one.py").touch()

    def tested(copy: Path, tests: Sequence[str], seconds: float) -> tuple[int, str]:
        text = (copy / "one.py").read_text()
        return (2, "SyntaxError") if "(" in text else (0 if "a = 1" in text else 1, "1 test")

    monkeypatch.setattr(__main__, "pytest", tested)
    monkeypatch.setattr(__main__, "CHECKOUT", place)
    return place


SEEN = Mutant("one.py", "it says 2", "a = 1", "a = 2", ("test_one.py",))
LIVES = Mutant("one.py", "it says 3", "b = 2", "b = 3", ("test_one.py",))
STALE = Mutant("one.py", "it says 4", "c = 4", "c = 5", ("test_one.py",))
BROKEN = Mutant("one.py", "it says nothing", "b = 2", "b = (", ("test_one.py",))
LOST = Mutant("one.py", "nobody looks", "b = 2", "b = 3", ("test_two.py",))


@pytest.mark.parametrize(
    ("mutants", "pattern", "code", "said"),
    [
        ([SEEN], "", 0, "1 of 1 mutants are seen"),
        ([SEEN, LIVES], "", 1, "it says 3\n  -> it survives"),
        ([SEEN, STALE], "", 1, "it says 4\n  -> it is stale: its text stands there 0 times"),
        ([SEEN, BROKEN], "", 1, "it can't be told: pytest ends with 2 (SyntaxError)"),
        ([SEEN, LOST], "", 1, "it is stale: there is no test_two.py"),
        ([SEEN, LIVES], "says 2", 0, "1 of 1 mutants are seen"),
        ([SEEN, LIVES], "says 5", 1, "0 of 0"),
    ],
)
def test_what_survives_is_named(
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    mutants: list[Mutant],
    pattern: str,
    code: int,
    said: str,
) -> None:
    monkeypatch.setattr(__main__, "kept", lambda: iter(mutants))
    assert __main__.main([pattern]) == code
    shown = capsys.readouterr()
    assert said in shown.out + shown.err
    assert (checkout / "one.py").read_text() == "a = 1\nb = 2\n", "it is done to a copy"


def test_tests_that_fail_by_themselves_tell_nothing(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "one.py").write_text("a = 0\nb = 2\n")
    monkeypatch.setattr(__main__, "kept", lambda: iter([LIVES]))
    assert __main__.main([]) == 1 and "do not pass as they are" in capsys.readouterr().err


def test_a_copy_is_as_it_was(checkout: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(checkout, copy)
    with __main__.applied(SEEN, copy):
        assert (copy / "one.py").read_text() == "a = 2\nb = 2\n"
    assert (copy / "one.py").read_text() == (checkout / "one.py").read_text()
