"""`secure-registry gc`."""

from __future__ import annotations

import argparse
import time

from secreg_host.base.errors import Exit, Problem, SecregError
from secreg_host.command import ages, asking, collected, instance, printing
from secreg_host.command.call import Call
from secreg_host.command.collected import Sum
from secreg_host.host.host import Host
from secreg_host.images import lastrun
from secreg_host.images.collecting import Collector, Wish
from secreg_host.images.lastrun import LastRun
from secreg_host.images.layout import HERE
from secreg_host.upkeep import holding, source, tending
from secreg_host.upkeep.tending import Freeing
from secreg_host.wanted import cautions
from secreg_host.wanted.settings import Settings, place_of

ABOUT = "move what no image needs to the trash, and free what was there for its days, while everything runs"
DAILY_SECONDS = 4 * 3600.0
"""How long the timer's run waits for a backup to end."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options to `parser`."""
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument(
        "--untagged-older", metavar="AGE", help="manifests without a tag that are older go, too: 7d, 0s"
    )
    parser.add_argument("--grace", metavar="AGE", help="nothing younger goes (default: GC_GRACE, which is 24h)")
    parser.add_argument("--purge", action="store_true", help="free at once what this run moves to the trash: for good")
    parser.add_argument("--yes", action="store_true", help="do not ask, which it does on a terminal only")
    parser.add_argument("--daily", action="store_true", help=argparse.SUPPRESS)


def run(call: Call) -> int:
    """Collect, or say what would be; what came of the timer's run is told by status."""
    host = call.host()
    if not call.args.daily:
        return _run(call, host)
    try:
        return _run(call, host)
    except source.Elsewhere as error:
        return _passed(host, error)
    except SecregError as error:
        one = error.problems[0]
        what = f"{one.where}: {one.what}" if one.where else one.what
        lastrun.keep(host.paths, LastRun(time.time(), failed=what, hint=one.hint))
        raise


def _run(call: Call, host: Host) -> int:
    args = call.args
    images, keeping, settings = tending.images(host), tending.keeping(host), tending.settings(host)
    untagged = None if args.untagged_older is None else ages.seconds("--untagged-older", args.untagged_older)
    grace = _grace(host, settings, args.grace, daily=args.daily)
    wish = Wish(grace, untagged, args.purge, settings.trash_days, keeping.uploads, args.daily, "gc")
    if args.dry_run:
        plan = tending.as_owner(host, images, Collector(HERE, wish, lambda: None).plan)
        collected.collected(Sum().counting(plan), as_json=args.json, done=False)
        return Exit.DONE
    forget = instance.forgetting(call, keeping)
    if args.purge and not args.yes and not asking.agreed("Free what no image needs for good?"):
        print("nothing was changed")
        return Exit.FAILED
    with holding.alone(host.paths.space, "gc", DAILY_SECONDS if args.daily else 0.0) as lock:
        freeing = Freeing(host, images, keeping, lock, forget)
        found = Sum().counting(freeing.as_owner(lambda settle: Collector(HERE, wish, settle, settle.doing).collect()))
    lastrun.keep(host.paths, LastRun(time.time(), found.sizes["freed"] + found.sizes["uploads"]))
    collected.collected(found, as_json=args.json, done=True)
    return Exit.DEGRADED if found.held else Exit.DONE


def _grace(host: Host, settings: Settings, said: str | None, *, daily: bool) -> int:
    """How old what goes must be, with a word if that is short; of what GC_GRACE says, status tells each day."""
    grace = settings.grace if said is None else ages.seconds("--grace", said)
    if grace < cautions.SAFE and not daily:
        where = place_of(host.paths.conf, "GC_GRACE") if said is None else "--grace"
        hint = "no image is harmed; repeat a push that is refused meanwhile"
        printing.warnings([Problem(where, f"{said or settings.gc_grace} is short, for a push may take longer", hint)])
    return grace


def _passed(host: Host, error: SecregError) -> int:
    """That the timer has nothing to do here, which is no failure, and is said once."""
    what, before = error.problems[0].what, lastrun.read(host.paths)
    if before is None or before.passed != what:
        print(f"no space is freed by itself: {what}")
    lastrun.keep(host.paths, LastRun(time.time(), passed=what))
    return Exit.DONE
