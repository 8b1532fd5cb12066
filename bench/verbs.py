"""How long a command takes to begin: `--version`, and what the watchdog runs at each save, beside version 0.1."""

from __future__ import annotations

import statistics
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import watch
from bench.saves import OURS
from tests.real.program import OLD, PYTHON, installed

VERBS = ("--version", "ask")
RUNS = 100
"""Of each; the versions take turns, so that both have the same machine. The first runs compile and are not counted."""

MOST = 1.05
"""Times what 0.1 takes."""


def measure() -> dict[str, Any]:
    """Milliseconds of each verb, the median, of this version and of 0.1."""
    with ExitStack() as stack:
        launchers = {OURS: stack.enter_context(installed()), watch.OLD: stack.enter_context(installed(OLD))}
        return {verb: _of(verb, launchers) for verb in VERBS}


def _of(verb: str, launchers: dict[str, Path]) -> dict[str, float]:
    took: dict[str, list[float]] = {name: [] for name in launchers}
    for _ in range(RUNS + 2):
        for name, launcher in launchers.items():
            begun = time.perf_counter()
            subprocess.run([PYTHON, "-IS", launcher, verb], check=False, capture_output=True)
            took[name].append(1000 * (time.perf_counter() - begun))
    return {name: statistics.median(values[2:]) for name, values in took.items()}


def ratios(found: dict[str, Any]) -> dict[str, float]:
    """How many times as long as 0.1 each verb takes."""
    return {verb: found[verb][OURS] / found[verb][watch.OLD] for verb in VERBS}
