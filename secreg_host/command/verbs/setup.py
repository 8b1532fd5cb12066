"""`secure-registry setup`."""

from __future__ import annotations

import argparse

from secreg_host.apply import apply
from secreg_host.apply.activate import Stage
from secreg_host.apply.wish import Wish
from secreg_host.base.snapshot import Snapshot
from secreg_host.command import instance, printing
from secreg_host.command.call import Call
from secreg_host.wanted import provision

ABOUT = "write what is missing: configuration, certificate, the first user"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its option to `parser`."""
    parser.add_argument(
        "--new-store",
        action="store_true",
        help="images may be other ones than those that served, or none: what is in rootdirectory now is the store",
    )


def run(call: Call) -> int:
    """Write what is missing and check everything; nothing is started."""
    one = instance.of(call)
    provision.check(Snapshot(call.paths), call.environment)
    wish = Wish("setup", call.environment, create=True, restore=True, new_store=call.args.new_store)
    report = apply.apply(Stage(one.host, one.services), wish, one.follow)
    printing.provisioned(one.host, report)
    if not report.generation and one.running():  # in another process, which is to take it over
        report = one.reload("setup")
    printing.outcome(report)
    return apply.exit_code(report)
