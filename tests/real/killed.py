"""The program, killed as it is about to change a name in a directory for the so many-th time: a crash at each step.

Run in the place of the launcher: `python3 killed.py LAUNCHER ARGUMENTS`; $KILLED_AT says how many such changes are
done before, by what Python itself tells of them (PEP 578).
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from typing import Any

CHANGES = ("os.rename", "os.remove", "shutil.rmtree")
left = int(os.environ["KILLED_AT"])


def audited(event: str, _: tuple[Any, ...]) -> None:
    """Count down."""
    global left
    if event in CHANGES:
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    sys.addaudithook(audited)
    runpy.run_path(sys.argv[0], run_name="__main__")
