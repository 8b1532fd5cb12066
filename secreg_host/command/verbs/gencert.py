"""`secure-registry gencert`."""

from __future__ import annotations

import argparse
import functools
from datetime import UTC, datetime

from secreg_host.apply import apply
from secreg_host.base import files, records
from secreg_host.base.errors import Exit, Problem
from secreg_host.base.snapshot import Snapshot
from secreg_host.command import instance, printing
from secreg_host.command.call import Call
from secreg_host.wanted import adoption, authority, defaults, provision
from secreg_host.wanted.parts import settings as settings_part

ABOUT = "issue a new certificate; replaces the present one"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options to `parser`."""
    parser.add_argument(
        "--new-ca", action="store_true", help="make a new CA first; every client must then trust the new ca.crt"
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="also in place of a certificate or a key that is not of this program's making; that is kept beside (.bak)",
    )


def run(call: Call) -> int:
    """Issue a new certificate, and let it serve."""
    one = instance.of(call)
    host, order = one.host, authority.Order(call.args.new_ca, call.args.force)
    environment = adoption.only(call.environment, adoption.OF_CERTIFICATE)
    provision.check(Snapshot(host.paths), environment)
    with files.lock(host.paths.lock, "gencert"):
        records.redo(host.paths)
        disk = Snapshot(host.paths)
        authority.check(disk, order)
        adopted = adoption.adopt(host, disk, environment)
        settings = settings_part.read(disk, environment)
        found = defaults.now()
        outside = functools.partial(authority.outside, disk)
        known = defaults.recorded(host)
        facts, refused = (found, ()) if order.new_ca else defaults.signable(found, known, outside)
        defaults.keep(host, facts)
        made = provision.defaults_only(host, disk, settings, facts, environment)
        issue = authority.issue(disk, settings, facts, datetime.now(UTC), order)
    printing.warnings(adoption.passed_over(Snapshot(host.paths), call.environment, adoption.OF_CERTIFICATE, "gencert"))
    if refused:
        said = f"this host's name or address {', '.join(refused)} is not in it: the host's CA may not sign that"
        hint = "for a CA that may, which every client must then trust anew: secure-registry gencert --new-ca"
        printing.warnings([Problem(str(host.paths.crt), said, hint)])
    for path in issue.kept:
        print(f"kept what was there as {path}")
    for path in (*adopted, *made, *(write.path for write in issue.written)):
        print(f"wrote {path}")
    if host.paths.key not in {write.path for write in issue.written}:
        print(f"left {host.paths.key}, which this program did not make; for another: {order.command} --force")
    if not one.running():
        printing.warnings(authority.differs(Snapshot(host.paths), settings))
        return Exit.DONE
    report = one.reload("gencert")
    printing.outcome(report)
    return apply.exit_code(report)
