"""`secure-registry apply`: what the units run."""

from __future__ import annotations

import argparse
import logging

from secreg_host.apply import apply
from secreg_host.apply.activate import Stage
from secreg_host.apply.report import Report
from secreg_host.apply.wish import WATCHDOG, Wish
from secreg_host.base import journal
from secreg_host.base.errors import Exit
from secreg_host.command import instance, status
from secreg_host.command.call import Call

log = logging.getLogger(__name__)

LEVELS = {"warning": logging.WARNING, "waiting": logging.INFO, "pending": logging.INFO}
"""How loud the journal is told of findings of each kind; of others as of errors."""

ABOUT = "one apply, as the units run it"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options to `parser`."""
    parser.add_argument("--start", action="store_true")
    parser.add_argument("--renew", action="store_true")


def run(call: Call) -> int:
    """One apply. A start that serves has succeeded, whatever is held back."""
    one, start = instance.of(call), call.args.start
    doing = "start" if start else "gc" if call.args.renew else WATCHDOG
    wish = Wish(doing, {}, create=start, start=start, renew=call.args.renew)
    report = apply.apply(Stage(one.host, one.services), wish, one.follow)
    _record(report, all_of_them=start)
    line = status.one_line(report, report.served)
    journal.notify(f"STATUS={line}")
    one.tell(report)
    if report.changed:
        log.info(line)
    return Exit.DONE if start else apply.exit_code(report)


def _record(report: Report, *, all_of_them: bool) -> None:
    """Findings, one entry of the journal each: those that are new, or all."""
    for finding in report.findings if all_of_them else report.fresh:
        level = LEVELS.get(finding.kind, logging.ERROR)
        entry = journal.entry({"kind": finding.kind, **finding.facts})
        log.log(level, f"{finding.kind}: {finding.problem}", extra=entry)
