"""hooks.d: programs of the administrator's that are told what was rejected or applied (mail, chat, monitoring).

Names as run-parts(8) takes them; each gets the facts in its environment and at most `SECONDS`. Nothing waits for them:
the next change, such as a removed user, must not. They run as root: one that others can write is not run.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from secreg_host.base import process, reading
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.paths import Paths
from secreg_host.wanted import exposure

NAME = re.compile(r"[A-Za-z0-9_-]+")
SECONDS = 30
Event = tuple[str, Mapping[str, str]]
"""The kind of a finding (report.py) or `applied`, and facts about it."""


def _programs(paths: Paths) -> Iterator[tuple[Path, tuple[exposure.Weakness, ...]]]:
    """The programs in hooks.d, in the order of their names, each with where others than root could change it."""
    if not reading.is_directory(paths.hooks):
        return
    for path in sorted(paths.hooks.iterdir()):
        with contextlib.suppress(OSError, SecregError):  # it has just gone, or does not answer
            if NAME.fullmatch(path.name) and reading.is_file(path) and os.access(path, os.X_OK):
                yield path, exposure.weaknesses(path)


def found(paths: Paths) -> tuple[Path, ...]:
    """The programs in hooks.d that are run, in the order of their names."""
    return tuple(path for path, weak in _programs(paths) if not weak)


def refused(paths: Paths) -> tuple[Problem, ...]:
    """A warning for each program in hooks.d that is not run."""
    return tuple(
        Problem(str(path), f"is not run: others than root can write {weak[0].path}", exposure.remedy(weak))
        for path, weak in _programs(paths)
        if weak
    )


def _environment(event: str, facts: Mapping[str, str]) -> dict[str, str]:
    return {"SECREG_EVENT": event, **{f"SECREG_{name.upper()}": value for name, value in facts.items()}}


def launch(paths: Paths, events: Iterable[Event]) -> tuple[Problem, ...]:
    """Have systemd run every hook for each of `events`, each in a unit of its own, which says in the journal how it
    ended. Returns a problem for each that could not be started."""
    wrong = []
    for event, facts in events:
        variables = [f"--setenv={name}={value}" for name, value in _environment(event, facts).items()]
        for path in found(paths):
            unit = f"--unit=secure-registry-hook-{path.name}-{secrets.token_hex(4)}"
            about = f"--description=secure-registry: hook {path.name} ({event})"
            limit = f"--property=RuntimeMaxSec={SECONDS}"
            argv = ["systemd-run", "--no-block", "--quiet", "--collect", unit, about, limit, *variables, str(path)]
            try:
                done = process.run(argv)
            except SecregError as error:
                wrong.append(Problem(str(path), error.message, error.hint))
                continue
            if done.returncode:
                hint = f"see whether it can be run: ls -l {path}; head -n 1 {path}"
                wrong.append(Problem(str(path), f"the hook was not started: {done.stderr.strip()}", hint))
    return tuple(wrong)


def run(paths: Paths, events: Iterable[Event]) -> tuple[Problem, ...]:
    """Run every hook for each of `events`, one after the other. Returns a problem for each that failed."""
    wrong = []
    for event, facts in events:
        for path in found(paths):
            try:
                done = process.run([str(path)], float(SECONDS), _environment(event, facts))
            except SecregError as error:
                wrong.append(Problem(str(path), error.message, error.hint))
                continue
            if done.returncode:
                said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
                hint = f"run it by hand as root, to see why: {path}"
                wrong.append(Problem(str(path), f"the hook failed with exit code {done.returncode}: {said}", hint))
    return tuple(wrong)
