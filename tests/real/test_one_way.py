"""The data of an apply goes one way: what nothing changed for is read once, looked at twice, and acts on nothing."""

from __future__ import annotations

import json
import shutil
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real.conftest import new_instance
from tests.real.program import Instance

COUNTED = Path(__file__).with_name("counted.py")
PROBES_BEFORE, LOOKS_BEFORE = 21, 19
"""Connections, and looks at nginx.conf, that it took before files were read once (1ef6d63)."""

LOGINS = 2
"""Connections of a login as clients do it, which came later: both addresses. The password check is asked, too, and by
the queue once more, which is of the same process here: these are not counted."""


@dataclass
class Counted(Instance):
    """An instance whose process keeps an account of what it does (counted.py)."""

    @property
    def account(self) -> Path:
        return self.root / "account"

    def _argv(self, *args: str) -> list[str]:
        argv = super()._argv(*args)
        place = argv.index(str(self.program))
        return [*argv[:place], str(self.root / "counted.py"), *argv[place:]]

    def _environment(self, given: Mapping[str, str]) -> dict[str, str]:
        return super()._environment({**given, "COUNTED": str(self.account)})

    def apply(self) -> dict[str, Counter[str]]:
        """What one apply does, of each kind how often with what."""
        assert self.process is not None
        size = self.account.stat().st_size
        answered = sum("log in with" in line for line in self.said)
        self.process.send_signal(signal.SIGHUP)
        self.wait_for("the apply", lambda: sum("log in with" in line for line in self.said) > answered)
        found: dict[str, Counter[str]] = {}
        for line in self.account.read_bytes()[size:].splitlines():
            what, about = json.loads(line)
            found.setdefault(what, Counter())[about] += 1
        return found


@pytest.fixture(scope="module")
def counted(program: Path) -> Iterator[Counted]:
    with new_instance(program, Counted) as found:
        shutil.copy(COUNTED, found.root)
        found.start()
        found.apply()
        yield found


@pytest.mark.promise("one-way", "same-bytes-no-action")
def test_an_apply_without_a_change(counted: Counted) -> None:
    done = counted.apply()
    read = {path: times for path, times in done["read"].items() if path.startswith(str(counted.root))}
    assert {path: times for path, times in read.items() if times > 1} == {}
    assert str(counted.etc / "nginx.conf") in read, "it is counted"
    lock = str(counted.root / "run/secure-registry/lock")
    written = [path for path in done["write"] if path != lock and not path.isdigit()]  # who holds it stands in it
    assert (written, done.get("fsync"), done.get("program")) == ([], None, None)
    reached = sum(times for place, times in done["connect"].items() if not place.endswith("/auth.sock"))
    assert reached - LOGINS <= PROBES_BEFORE / 2
    assert done["look"][str(counted.etc / "nginx.conf")] <= LOOKS_BEFORE / 2


def test_an_apply_with_a_change_reads_what_etc_says_once(counted: Counted) -> None:
    counted.edit("nginx.conf", "server_name", "# one more\n    server_name")
    done = counted.apply()
    of_etc = {path: times for path, times in done["read"].items() if Path(path).parent == counted.etc}
    assert {path: times for path, times in of_etc.items() if times > 1} == {}
    assert done["program"], "nginx -t"
