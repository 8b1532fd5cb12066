"""How the command says what happened: findings, what a setup made, the outcome of an apply, what serves."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable

from secreg_host.apply.report import Finding, Report
from secreg_host.base import records
from secreg_host.base.errors import Problem
from secreg_host.command import status
from secreg_host.host.host import Host
from secreg_host.wanted.parts.certificate import CertificatePart

log = logging.getLogger(__name__)


def findings(found: Iterable[Finding]) -> None:
    """Each of `found` with its kind, on stderr."""
    for finding in found:
        level = logging.WARNING if finding.kind in records.MILD else logging.ERROR
        log.log(level, f"{finding.kind}: {finding.problem}")


def warnings(found: Iterable[Problem]) -> None:
    """Each of `found` as a warning, on stderr."""
    for problem in found:
        log.warning(f"warning: {problem}")


def provisioned(host: Host, report: Report) -> None:
    """The files that were made, and the first password."""
    for path in report.provisioned.written:
        print(f"wrote {path}")
    password(host, report)


def password(host: Host, report: Report) -> None:
    """A password that was made up: itself only to a terminal, else where it is."""
    made = report.provisioned.password
    if made is not None:
        print(f"PASSWORD={made}" if sys.stdout.isatty() else f"the password is in {host.paths.password}")


def outcome(report: Report) -> None:
    """What is told of `report`, that of an apply, and whether anything changed by it."""
    findings(report.findings)
    if report.changed:
        print("the changes serve" if report.generation else "the changes are good; start it: secure-registry start")
    else:
        print("what served before still serves" if report.rejected else "nothing to change")


def serving(host: Host) -> int:
    """What serves, and how to log in; returns the exit code that says how well."""
    found = status.look(host)
    print(status.as_text(found))
    if found.generation is not None and not found.down:
        print(f"log in with: {status.login_hint(found.generation)}")
        if found.generation.parts[CertificatePart].ca:
            print("a line for other hosts, with which they trust it: secure-registry trust show --line")
    return found.code
