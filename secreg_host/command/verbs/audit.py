"""`secure-registry audit`."""

from __future__ import annotations

import argparse
import json
import time

from secreg_host.base.errors import Exit
from secreg_host.command import ages, audited
from secreg_host.command.call import Call
from secreg_host.observe.audit import entries
from secreg_host.observe.audit.entries import Wanted
from secreg_host.observe.audit.trail import Trail

ABOUT = "say who pushed, overwrote, deleted, was refused; which users and certificates changed"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("--user", metavar="USER", help="what this user did, or what became of this user")
    parser.add_argument("--repo", metavar="GLOB", help="of repositories that fit: team-a/app, team-a/*, team-a/**")
    parser.add_argument("--since", metavar="AGE", help="not longer ago than this: 2d")
    parser.add_argument("--json", action="store_true", help="as JSON, an object a line")


def run(call: Call) -> int:
    """Print what is asked for, the oldest first."""
    args, trail = call.args, Trail(call.host().paths)
    since = 0 if args.since is None else round(time.time() - ages.seconds("--since", args.since)) * entries.MICRO
    wanted = Wanted(args.user, None if args.repo is None else entries.pattern(args.repo), since)
    trail.check()
    if args.json:
        for one in trail.read(wanted):
            print(json.dumps(one.as_dict))
    else:
        audited.table(trail.read(wanted))
    return Exit.DONE
