"""`secure-registry help`."""

from __future__ import annotations

import argparse

from secreg_host.base.errors import Exit
from secreg_host.command.call import Call

ABOUT = "show this help"


def add(parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def run(call: Call) -> int:
    """Print the help."""
    call.parser.print_help()
    return Exit.DONE
