"""`secure-registry images`."""

from __future__ import annotations

import argparse

from secreg_host.command import deletes
from secreg_host.command.call import Call

ABOUT = "delete images, get them back, and get their space back"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the actions to `parser`."""
    deletes.add(parser.add_subparsers(metavar="ACTION", dest="action", required=True, title="actions"))


def run(call: Call) -> int:
    """Do what `action` says."""
    return deletes.run(call)
