"""`secure-registry images`."""

from __future__ import annotations

import argparse

from secreg_host.command import looks
from secreg_host.command.call import Call

ABOUT = "see which images there are, what they need, and whether they are whole"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the actions to `parser`."""
    looks.add(parser.add_subparsers(metavar="ACTION", dest="action", required=True, title="actions"))


def run(call: Call) -> int:
    """Do what `action` says."""
    return looks.run(call)
