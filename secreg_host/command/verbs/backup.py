"""`secure-registry backup`."""

from __future__ import annotations

import argparse
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from secreg_host.base import reading
from secreg_host.base.errors import Exit, bad_input
from secreg_host.command import asking, backups
from secreg_host.command.call import Call
from secreg_host.host.host import Host
from secreg_host.upkeep import create, destinations, listing, progress, prune, source, verify
from secreg_host.upkeep import place as places
from secreg_host.upkeep.listing import Damaged
from secreg_host.upkeep.place import Place

ABOUT = "back up configuration and images while everything runs; prove and prune backups"
ACTIONS = {
    "create": "back up into DIR what is new since the last backup there",
    "list": "say which backups are in DIR",
    "prune": "remove backups from DIR, and what none of the others needs",
    "verify": "prove from DIR alone that each image of each backup is whole: everything is hashed",
}
AGE = re.compile(r"([0-9]{1,5})([hdwy])")
HOURS = {"h": 1, "d": 24, "w": 24 * 7, "y": 24 * 366}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the actions to `parser`, each with the options that all commands have."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True, title="actions")
    made = {name: actions.add_parser(name, help=about) for name, about in ACTIONS.items()}
    for one in made.values():
        one.add_argument(
            "directory", metavar="DIR", type=backups.directory, help="a directory of backups, and of nothing else"
        )
    made["create"].add_argument("--config-only", action="store_true", help="without the images")
    made["create"].add_argument(
        "--encrypt",
        action="store_true",
        help="seal keys and hashes (all but the images) by a passphrase: asked for twice, or a line of standard input",
    )
    made["create"].add_argument(
        "--insecure-destination",
        action="store_true",
        help="even where others could read keys and hashes of passwords (CIFS, FAT)",
    )
    made["create"].add_argument(
        "--take-over", action="store_true", help="go on with the backups of another machine, whose place this one took"
    )
    made["prune"].add_argument("--keep-last", metavar="N", type=int, default=0, help="keep the N newest")
    made["prune"].add_argument(
        "--keep-within", metavar="AGE", help="keep those that are no older than the newest by more: 12h, 30d, 8w, 1y"
    )
    made["prune"].add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    made["prune"].add_argument("--yes", action="store_true", help="do not ask, which it does on a terminal only")
    made["verify"].add_argument("--at", metavar="NAME", help="this backup alone (default: all)")
    for name in ("create", "list", "verify"):
        made[name].add_argument("--json", action="store_true", help="as JSON")


def run(call: Call) -> int:
    """Do what `action` says."""
    return {"create": _create, "list": _list, "prune": _prune, "verify": _verify}[call.args.action](call)


def _create(call: Call) -> int:
    host, args = call.host(), call.args
    images = None if args.config_only else source.images(host)
    _elsewhere(host, images, args.directory)
    destinations.check(host.paths, args.directory)
    passphrase = asking.passphrase(twice=True) if args.encrypt else ""
    new = not reading.is_there(args.directory / places.MARKER)
    place = places.prepared(args.directory, insecure=args.insecure_destination, sealed=args.encrypt)
    destinations.remember(host.paths, args.directory, place)
    shown = progress.to_terminal(wanted=not args.json)
    found = create.create(host, place, images, datetime.now(UTC), shown, passphrase, take_over=args.take_over)
    found.problems += backups.unserved(host) + (() if args.encrypt else backups.unsealed(place, found.name))
    backups.made(found, place, as_json=args.json, sealed=args.encrypt)
    if new and not args.json:
        print(f"{place.path} is a new directory of backups: if there were some, see what is mounted there")
    return Exit.DEGRADED if found.degraded else Exit.DONE


def _elsewhere(host: Host, images: Path | None, directory: Path) -> None:
    """Raise BadInput for a directory of backups among what is backed up."""
    path = directory.absolute().resolve()
    for one in (host.paths.etc, host.paths.state, images):
        if one is not None and one.resolve() in (path, *path.parents):
            raise bad_input(str(directory), f"is in {one}, which is backed up", "name a directory elsewhere")


def _list(call: Call) -> int:
    place = places.found(call.args.directory)
    found = [verify.read(place, name) for name in place.names()]
    about = {}
    for one in found:
        try:
            about[one.name] = listing.about(place.lists / one.name)
        except (Damaged, OSError):
            continue
    backups.listed(place, found, about, as_json=call.args.json)
    return Exit.DEGRADED if any(one.damaged for one in found) else Exit.DONE


def _prune(call: Call) -> int:
    args = call.args
    within = _age(args.keep_within) if args.keep_within is not None else None
    if args.keep_last < 1 and within is None:
        raise bad_input("backup prune", "nothing says what is to be kept", "add --keep-last N or --keep-within 30d")
    place = places.found(args.directory)
    planned = prune.plan(place, args.keep_last, within)
    if args.dry_run:
        backups.pruned(planned, done=False)
        return Exit.DONE
    question = f"Remove {len(planned.remove)} of {len(planned.remove) + len(planned.keep)} backups from {place.path}?"
    if planned.remove and not args.yes and not asking.agreed(question):
        print("nothing was changed")
        return Exit.FAILED
    backups.pruned(prune.prune(place, args.keep_last, within), done=True)
    return Exit.DONE


def _age(said: str) -> timedelta:
    if not (found := AGE.fullmatch(said)):
        raise bad_input("--keep-within", f"{said!r} is no age", "write a number and h, d, w or y: 30d")
    return timedelta(hours=int(found[1]) * HOURS[found[2]])


def _verify(call: Call) -> int:
    args = call.args
    place: Place = places.found(args.directory)
    names = place.names()
    if args.at is not None:
        if args.at not in names:
            raise bad_input("--at", f"there is no backup {args.at!r}", f"see: secure-registry backup list {place.path}")
        names = [args.at]
    found = list(verify.verify(place, names, progress.to_terminal(wanted=not args.json)))
    backups.verified(found, as_json=args.json)
    if not found:
        print("there is no backup yet", file=sys.stderr)
    return Exit.DONE if found and all(one.whole for one in found) else Exit.DEGRADED
