"""hooks.d: programs of the administrator's that are told what was rejected or applied (mail, chat, monitoring).

Names as run-parts(8) takes them; each gets the facts in its environment and at most `SECONDS`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from secreg_host import process
from secreg_host.errors import Problem, SecregError
from secreg_host.paths import Paths

NAME = re.compile(r"[A-Za-z0-9_-]+")
SECONDS = 30.0


def run(paths: Paths, event: str, facts: Mapping[str, str]) -> tuple[Problem, ...]:
    """Run every hook for `event` (`rejected`, `waiting`, `applied`), `facts` in its environment as SECREG_NAME.

    Returns a problem for each that failed; the registry serves all the same.
    """
    if not paths.hooks.is_dir():
        return ()
    found = []
    environment = {"SECREG_EVENT": event, **{f"SECREG_{name.upper()}": value for name, value in facts.items()}}
    for path in sorted(paths.hooks.iterdir()):
        if not NAME.fullmatch(path.name) or not path.is_file() or not os.access(path, os.X_OK):
            continue
        try:
            done = process.run(process.outside([str(path)], SECONDS, environment), SECONDS, environment)
        except SecregError as error:
            found.append(Problem(str(path), error.message, error.hint))
            continue
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            found.append(Problem(str(path), f"the hook failed with exit code {done.returncode}: {said}", "mend it"))
    return tuple(found)
