"""How far it is, is told at a terminal, and nowhere else."""

from __future__ import annotations

import io
import sys
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import pytest

from secreg_host.upkeep import progress
from secreg_host.upkeep.pool import ignored


class Bar:
    """In the place of tqdm's."""

    made: ClassVar[list[Bar]] = []

    def __init__(self, **given: object) -> None:
        self.given, self.seen, self.closed = given, 0, False
        self.made.append(self)

    def update(self, count: int) -> None:
        self.seen += count

    def set_description_str(self, said: str) -> None:
        self.said = said

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True


@pytest.fixture
def tqdm(monkeypatch: pytest.MonkeyPatch) -> list[Bar]:
    module = ModuleType("tqdm")
    module.tqdm = Bar  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tqdm", module)
    monkeypatch.setattr(Bar, "made", [])
    return Bar.made


def at(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: terminal))


def test_at_a_terminal(tqdm: list[Bar], monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, True)
    with progress.to_terminal().of(10, "copied") as tell:
        tell(3)
        tell(4)
    assert [(bar.seen, bar.closed, bar.given["total"], bar.given["desc"]) for bar in tqdm] == [(7, True, 10, "copied")]
    assert Bar.monitor_interval == 0, "no thread besides, for processes are forked"  # type: ignore[attr-defined]


def test_nowhere_else(tqdm: list[Bar], monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, wanted in ((False, True), (True, False)):
        at(monkeypatch, terminal)
        with progress.to_terminal(wanted=wanted).of(10, "copied") as tell:
            assert tell is ignored
    assert tqdm == []


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_without_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is recommended, no more: a line now and then is in its place. Seen red: nothing was told."""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    with progress.to_terminal().of(10_000_000, "copied") as tell:
        for _ in range(5):
            tell(1_000_000)
        assert screen.getvalue() == "", "who is done at once hears nothing"
        monkeypatch.setattr(progress, "SECONDS", 0.0)
        with progress.to_terminal().of(4_000_000, "hashed") as other:
            other(1_000_000)
            other(5_000_000)
    assert screen.getvalue() == "hashed: 1 of 4 MB (25 %)\nhashed: 6 of 4 MB (100 %)\n"
    with progress.to_terminal(wanted=False).of(10, "copied") as tell:
        assert tell is ignored


def test_how_far_it_is_in_words(tqdm: list[Bar], monkeypatch: pytest.MonkeyPatch) -> None:
    with progress.Progress(shown=True).steps() as tell:
        tell("half of it")
    assert tqdm[0].said == "half of it" and tqdm[0].closed
    with progress.Progress(shown=False).steps() as tell:
        tell("half of it")
    assert len(tqdm) == 1
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    with progress.Progress(shown=True).steps() as tell:
        tell("half of it")
    assert screen.getvalue() == "half of it\n"
