"""Where the command begins. `watch` runs for years and must stay small: it never loads what the other verbs need."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from secreg_host.errors import SecregError
from secreg_host.journal import Level, say
from secreg_host.paths import Paths


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv`; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments != ["watch"]:
        gc.disable()  # nothing that is imported is garbage
        from secreg_host import cli

        gc.enable()
        return cli.main(arguments)
    from secreg_host import watch

    try:
        return watch.main(Paths())
    except SecregError as error:
        say("\n".join(f"secure-registry: {problem}" for problem in error.problems), Level.ERROR)
        return int(error.code)
