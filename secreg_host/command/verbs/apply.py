"""`secure-registry apply`: what the units run."""

from __future__ import annotations

import argparse

from secreg_host.apply import apply
from secreg_host.apply.activate import Stage
from secreg_host.apply.report import Report
from secreg_host.apply.wish import Wish
from secreg_host.base.errors import Exit
from secreg_host.base.journal import Level, notify, record, say
from secreg_host.command import instance, status
from secreg_host.command.call import Call

ABOUT = "one apply, as the units run it"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its option to `parser`."""
    parser.add_argument("--start", action="store_true")


def run(call: Call) -> int:
    """One apply. A start that serves has succeeded, whatever is held back."""
    one, start = instance.of(call), call.args.start
    wish = Wish("apply", {}, create=start, start=start)
    report = apply.apply(Stage(one.host, one.services), wish, instance.following(one.host))
    _record(report, all_of_them=start)
    line = status.one_line(report, report.served)
    notify(f"STATUS={line}")
    one.tell(report)
    if report.changed:
        say(line)
    return Exit.DONE if start else apply.exit_code(report)


def _record(report: Report, *, all_of_them: bool) -> None:
    """Findings, one entry of the journal each: those that are new, or all."""
    for finding in report.findings if all_of_them else report.fresh:
        level = {"warning": Level.WARNING, "waiting": Level.INFO}.get(finding.kind, Level.ERROR)
        record(f"{finding.kind}: {finding.problem}", level, kind=finding.kind, **finding.facts)
