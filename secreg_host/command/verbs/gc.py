"""`secure-registry gc`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from secreg_host.base.errors import Exit, Problem
from secreg_host.command import ages, asking, collected, printing
from secreg_host.command.call import Call
from secreg_host.command.collected import Sum
from secreg_host.images.collecting import Collector, Wish
from secreg_host.images.layout import HERE
from secreg_host.images.survey import Entry
from secreg_host.upkeep import holding, source, tending

ABOUT = "move what no image needs to the trash, and free what was there for its days, while everything runs"
GRACE, DAYS = "24h", 14
SHORT = 3600


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options to `parser`."""
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument(
        "--untagged-older", metavar="AGE", help="manifests without a tag that are older go, too: 7d, 0s"
    )
    parser.add_argument("--grace", metavar="AGE", default=GRACE, help="nothing younger goes (default: %(default)s)")
    parser.add_argument("--purge", action="store_true", help="free at once what this run moves to the trash: for good")
    parser.add_argument("--yes", action="store_true", help="do not ask, which it does on a terminal only")
    parser.add_argument("--daily", action="store_true", help=argparse.SUPPRESS)


def run(call: Call) -> int:
    """Collect, or say what would be."""
    host, args = call.host(), call.args
    images, keeping = source.images(host), tending.keeping(host)
    untagged = None if args.untagged_older is None else ages.seconds("--untagged-older", args.untagged_older)
    grace = ages.seconds("--grace", args.grace)
    wish = Wish(grace, untagged, args.purge, DAYS, keeping.uploads, args.daily, "gc")
    if grace < SHORT:
        hint = "no image is harmed; repeat a push that is refused meanwhile"
        printing.warnings([Problem("--grace", f"{args.grace} is short", hint)])
    collector = Collector(HERE, wish, tending.settle)
    if args.dry_run:
        collected.collected(
            Sum().counting(tending.as_owner(host, images, collector.plan, idle=True)), as_json=args.json, done=False
        )
        return Exit.DONE
    if args.purge and not args.yes and not asking.agreed("Free what no image needs for good?"):
        print("nothing was changed")
        return Exit.FAILED

    def work() -> Iterable[Entry]:
        return collector.collect()

    with holding.alone(host.paths.space, "gc"):
        found = Sum().counting(tending.as_owner(host, images, work, idle=True))
    collected.collected(found, as_json=args.json, done=True)
    return Exit.DEGRADED if found.held else Exit.DONE
