"""images: which images there are; tags; deleting them, and getting them back."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable

from secreg_host.command import imagewords
from secreg_host.command.call import Call

ABOUT = "see which images there are and whether they are whole, tag and delete them, get them back"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the actions to `parser`."""
    imagewords.add(parser.add_subparsers(metavar="ACTION", dest="action", required=True, title="actions"))


def run(call: Call) -> int:
    """Do what `action` says."""
    was = gc.isenabled()
    gc.disable()  # nothing that is imported is garbage (entry)
    try:
        act = _loaded(call.args.action)
    finally:
        if was:
            gc.enable()
    return act(call)


def _loaded(action: str) -> Callable[[Call], int]:
    """What does `action`, whose module is loaded only now: a list does without most of what deleting needs."""
    if action in imagewords.LOOKS:
        from secreg_host.command import looks

        return looks.run
    if action in imagewords.TAGS:
        from secreg_host.command import tags

        return tags.run
    from secreg_host.command import deletes

    return deletes.run
