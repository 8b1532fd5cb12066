"""images: which images there are; tags; deleting them, and getting them back."""

from __future__ import annotations

import argparse

from secreg_host.command import deletes, looks, tags
from secreg_host.command.call import Call

ABOUT = "see which images there are and whether they are whole, tag and delete them, get them back"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the actions to `parser`."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True, title="actions")
    looks.add(actions)
    tags.add(actions)
    deletes.add(actions)


def run(call: Call) -> int:
    """Do what `action` says."""
    if call.args.action in looks.ACTIONS:
        return looks.run(call)
    return tags.run(call) if call.args.action in tags.ACTIONS else deletes.run(call)
