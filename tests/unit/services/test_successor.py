"""A registry moves to another slot, and what ran has ended then; or it is told that it did not."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from secreg_host.base.errors import SecregError
from secreg_host.services import successor
from secreg_host.watchdog import ask


class Running:
    """A registry in slot a, and another one in d that ends. moves: the slot in which it is after an apply."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.processes = {slot: subprocess.Popen(["sleep", "60"]) for slot in "ad"}
        self.slot, self.moves, self.answers = "a", "b", list[tuple[int, str]]()
        self.asked: list[bytes] = []
        monkeypatch.setattr(successor.generations, "current_name", lambda _: "name")
        monkeypatch.setattr(successor.generations, "load", lambda *_: SimpleNamespace(slot=self.slot))
        monkeypatch.setattr(ask, "ask", self.ask)
        for name in ("SECONDS", "ASK_SECONDS"):
            monkeypatch.setattr(successor, name, 0.3)

    def ask(self, wanted: bytes, outputs: tuple[int, int]) -> tuple[int, str]:
        self.asked.append(wanted)
        if self.answers:
            return self.answers.pop(0)
        self.slot = self.moves
        if self.moves == "b":
            self.end()
        return 0, ""

    def slots(self) -> set[str]:
        return {*self.processes}

    def pids(self, name: str) -> set[int]:
        return {self.processes[name.removeprefix("registry@")].pid}

    def end(self) -> None:
        for one in self.processes.values():
            one.kill()

    def renew(self) -> None:
        host: Any = None
        services: Any = self
        successor.renew(host, services)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Any:
    found = Running(monkeypatch)
    yield found
    found.end()
    for one in found.processes.values():
        one.wait()


def test_it_moves_and_each_that_ran_has_ended(running: Running) -> None:
    running.answers = [(ask.UNHEARD, ask.BUSY)]  # another apply goes on
    running.renew()
    assert running.asked == [ask.RENEWED, ask.RENEWED] and running.slot == "b"


def test_one_that_still_takes_an_upload_is_told(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "end", lambda: running.processes["d"].kill())
    with pytest.raises(SecregError, match="still takes something"):
        running.renew()
    running.processes["a"].kill()


@pytest.mark.parametrize(
    ("answer", "said"),
    [((0, ""), "did not move"), ((75, "cut short"), "cut short"), ((75, ask.BUSY), "goes on and on")],
)
def test_one_that_does_not_move_is_told(running: Running, answer: tuple[int, str], said: str) -> None:
    running.answers = [answer] * 100
    with pytest.raises(SecregError, match=said):
        running.renew()


def test_where_none_runs_nothing_is_remembered(running: Running) -> None:
    running.end()
    for one in running.processes.values():
        one.wait()
    running.renew()
    assert running.asked == []
