"""images: which images there are; deleting them, and getting them back."""

from __future__ import annotations

import argparse

from secreg_host.command import deletes, looks
from secreg_host.command.call import Call

ABOUT = "see which images there are and whether they are whole, delete them, get them back"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the actions to `parser`."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True, title="actions")
    looks.add(actions)
    deletes.add(actions)


def run(call: Call) -> int:
    """Do what `action` says."""
    return looks.run(call) if call.args.action in looks.ACTIONS else deletes.run(call)
