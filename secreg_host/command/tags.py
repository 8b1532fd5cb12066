"""What of `secure-registry images` gives an image one more tag."""

from __future__ import annotations

import sys

from secreg_host.base.errors import Exit, bad_input
from secreg_host.command import asking, collected
from secreg_host.command.call import Call
from secreg_host.images import tagging, targets
from secreg_host.images.layout import HERE, TAG
from secreg_host.images.survey import NONE
from secreg_host.upkeep import tending


def run(call: Call) -> int:
    """Do it."""
    host, args = call.host(), call.args
    target = targets.parse(args.image)
    if not (target.tag or target.digest):
        raise bad_input(str(target), "is a whole repository", f"name one of its tags: {target}:TAG")
    if not TAG.fullmatch(args.tag):
        raise bad_input(
            repr(args.tag), "is no tag", "write letters, digits, _, . and -, 128 at the most, no repository"
        )
    images = tending.images(host)
    (planned,) = collected.right(tending.as_owner(host, images, lambda: [tagging.plan(HERE, target, args.tag)]))
    _, name, tag, digest, before = planned
    if before == digest:
        print(f"{name}:{tag} is {digest} already")
        return Exit.DONE
    if before != NONE and not args.yes and not _agreed(f"{name}:{tag}", before, digest):
        print("nothing was changed")
        return Exit.FAILED
    collected.right(tending.as_owner(host, images, lambda: tagging.give(HERE, target, planned)))
    print(f"{name}:{tag} is {digest}{f', and was {before}' if before not in ('', NONE) else ''}")
    return Exit.DONE


def _agreed(tag: str, before: str, digest: str) -> bool:
    if not sys.stdin.isatty():
        raise bad_input(tag, f"it is {before or 'nothing that can be read'} already", "if it is to be moved, add --yes")
    return asking.agreed(f"{tag} is {before or 'nothing that can be read'}. Let it be {digest}?")
