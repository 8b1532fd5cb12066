"""Faults that the tests must see: one line of the program changed, and which tests are to fail then.

They are kept in the TOML files beside this one, by the text that they change, so that they outlive other edits:

    [[file]]
    path = "secreg_host/apply/probe.py"
    tests = ["tests/unit/apply/test_probe.py"]      # what sees them, unless one names its own

    [[file.mutant]]
    fault = "the probe takes any certificate"
    old = "client.fingerprint == want.fingerprint"  # stands once in the file
    new = "True"

`make mutants` applies one after the other to a copy of the checkout, and names those that nothing sees.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Mutant:
    """A fault: the file that has it, the text that is replaced there, and the arguments of pytest that see it."""

    path: str
    fault: str
    old: str
    new: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path}: {self.fault}"

    def stale(self, checkout: Path) -> str:
        """Why it is none any more; "": it can be applied, and what is to see it is there."""
        file = checkout / self.path
        count = file.read_text().count(self.old) if file.is_file() else 0
        if count != 1 or self.new == self.old:
            return f"its text stands there {count} times, not once"
        gone = [test for test in self.tests if not (checkout / test.partition("::")[0]).is_file()]
        return f"there is no {gone[0]}" if gone else "" if self.tests else "nothing is named that sees it"


def kept() -> Iterator[Mutant]:
    """Every fault that is kept."""
    for listing in sorted(Path(__file__).parent.glob("*.toml")):
        for file in tomllib.loads(listing.read_text())["file"]:
            for one in file["mutant"]:
                tests = one.get("tests", file["tests"])
                yield Mutant(file["path"], one["fault"], one["old"], one["new"], tuple(tests))
