"""What was measured, kept in bench/results: a record for each version, and the table and the plot of this one's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench import facts, guard
from secreg_host import __version__

DIRECTORY = Path(__file__).parent / "results"
RECORD = DIRECTORY / f"{__version__}.json"
TABLE = DIRECTORY / "results.md"
PLOT = DIRECTORY / "front.png"
README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- begin: written by make bench -->", "<!-- end: written by make bench -->"

Results = dict[str, Any]


def load() -> Results:
    """What earlier runs left; each part is of one run."""
    found: Results = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    return found


def earlier(results: Results, directory: Path = DIRECTORY) -> tuple[str, Results] | None:
    """The last version before this one whose record is of the same kind of machine, and its record; None without."""
    there = {path.stem: path for path in directory.glob("*.*.*.json")}
    for version in sorted(there, key=_order, reverse=True):
        if _order(version) < _order(__version__):
            record: Results = json.loads(there[version].read_text())
            if guard.comparable(results, record):
                return version, record
    return None


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def save(results: Results, part: str, figures: dict[str, Any], *, write: bool = True) -> None:
    """Put in what a run measured, and the machine it ran on."""
    results[part] = figures | {"machine": facts.machine()}
    if not write:
        return
    DIRECTORY.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(_rounded(results), indent=1) + "\n")


def _rounded(value: Any) -> Any:
    """Figures with as many digits as they are worth."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def into_readme(text: str, readme: Path = README) -> None:
    """Replace what stands between the two markers."""
    before, begin, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise RuntimeError(f"{readme} has no lines {BEGIN!r} and {END!r}")
    readme.write_text(f"{before}{BEGIN}\n{text.strip()}\n{END}{after}")
