"""`secure-registry restore`."""

from __future__ import annotations

import argparse

from secreg_host.base import files, quoting
from secreg_host.base.errors import Exit, SecregError, bad_input
from secreg_host.command import asking, backups, bringback, instance, printing, restoring
from secreg_host.command.call import Call
from secreg_host.command.restoring import Order
from secreg_host.upkeep import holding, listing, progress, verify
from secreg_host.upkeep import place as places
from secreg_host.upkeep.place import Place

ABOUT = "bring a backup back, on this host or another one, and prove it"

LOCK = "restore"
"""Beside the other locks of an instance: held by the one who brings a backup back."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options to `parser`."""
    parser.add_argument("directory", metavar="DIR", type=backups.directory, help="a directory of backups")
    parser.add_argument("--at", metavar="NAME", help="this backup (default: the newest with images)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be brought back, and change nothing")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--only", metavar="REPO[:TAG]", help="one repository, or one image, beside what is there")
    what.add_argument("--config-only", action="store_true", help="without the images")
    what.add_argument("--images-only", action="store_true", help="without the configuration")
    parser.add_argument(
        "--force", action="store_true", help="over a configuration or images that are there; these are renamed"
    )
    parser.add_argument(
        "--encrypted", action="store_true", help="refuse a configuration that is not sealed by a passphrase"
    )
    parser.add_argument(
        "--insecure-destination", action="store_true", help="even from a directory in which others could write"
    )


def run(call: Call) -> int:
    """Bring it back, prove it, and let it serve."""
    place = places.found(call.args.directory)
    if not call.args.insecure_destination:
        place = restoring.trusted(place)
    if call.args.dry_run:
        return _run(call, place)
    lock = call.host().paths.run / LOCK
    files.make_directory(lock.parent, 0o755)
    with holding.looking(place.lock, "restore"), holding.held(lock, "restore"):
        return _run(call, place)


def _run(call: Call, place: Place) -> int:
    args = call.args
    repository, tag = restoring.of(args.only) if args.only is not None else ("", "")
    order = Order(
        name=_name(place, args.at, config_only=args.config_only),
        config=not (args.images_only or repository),
        images=not args.config_only,
        repository=repository,
        tag=tag,
        force=args.force,
        sealed=args.encrypted,
    )
    if order.sealed and not order.config:
        what = "nothing is sealed but the configuration, which is not brought back"
        raise bad_input("--encrypted", what, "leave it out, or bring the configuration back, too")
    one = instance.of(call)
    found = restoring.plan(one, place, order, lambda: asking.passphrase(twice=False))
    for line in restoring.told(one, order, found):
        print(line)
    if later := restoring.later(found.about):
        printing.warnings([later])
    restoring.check(place, order, found)
    if args.dry_run:
        return Exit.DONE
    return bringback.restore(one, place, order, found, progress.to_terminal())


def _name(place: Place, given: str | None, *, config_only: bool) -> str:
    names = place.names()
    if not names:
        where = quoting.shell(place.path)
        hint = (
            f"name the directory that has some; see what is mounted: findmnt -T {where}; what is there: ls -l {where}"
        )
        raise SecregError(f"there is no backup in {place.path}", hint)
    if given is not None and given not in names:
        raise bad_input("--at", f"there is no backup {given!r}", f"see: secure-registry backup list {place.path}")
    return given or (names[-1] if config_only else _newest(place, names))


def _newest(place: Place, names: list[str]) -> str:
    """The newest backup with images. A damaged one is not passed over in silence. Raises BadInput if there is none."""
    if verify.read(place, names[-1]).damaged:
        return names[-1]
    found = listing.newest(place)
    if not found:
        what = "no backup there has images"
        raise bad_input(str(place.path), what, "to bring back the configuration without images: --config-only")
    if found != names[-1]:
        print(f"{names[-1]} is newer, and has no images: for its configuration, --config-only")
    return found
