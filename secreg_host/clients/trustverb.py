"""`secure-registry trust`, and what an apply does for clients."""

from __future__ import annotations

import argparse
import contextlib
from dataclasses import replace

from secreg_host.apply import report as reports
from secreg_host.apply.report import Report, findings
from secreg_host.base import bugs, files
from secreg_host.base.errors import Exit, Note, Problem, SecregError, bad_input
from secreg_host.base.journal import Level, say
from secreg_host.clients import trust, trustcheck
from secreg_host.host.host import Host

PART = "trust"


def run(host: Host, args: argparse.Namespace) -> int:
    """One of install, remove, show, check."""
    known = trust.at(host)
    if args.action == "show":
        print(known.show(args.line), end="")
        return Exit.DONE
    if unknown := [name for name in args.client if name not in trust.NAMES]:
        raise bad_input("", f"{unknown[0]!r} is no client that is known here", f"of: {', '.join(trust.NAMES)}")
    if args.action == "check":
        return _check(host, known, args.client)
    with files.lock(host.paths.lock, f"trust {args.action}"):
        install = args.action == "install"
        problems = known.install(args.client, args.insecure) if install else known.remove(args.client)
    _warn(problems)
    for line in known.told():
        print(line)
    return Exit.DEGRADED if any(not isinstance(problem, Note) for problem in problems) else Exit.DONE


def _check(host: Host, known: trust.Trust, names: list[str]) -> int:
    if known.served is None:
        raise SecregError("nothing serves yet", "secure-registry start")
    checked, problems = trustcheck.check(host.paths, known.served, names)
    for one in checked:
        print(one)
    _warn(problems)
    return Exit.DEGRADED if problems or any(one.wrong for one in checked) else Exit.DONE


def _warn(problems: tuple[Problem, ...]) -> None:
    for problem in problems:
        say(f"warning: {problem}", Level.WARNING)


def follow(host: Host, report: Report) -> Report:
    """Let the clients that trust us follow what serves now; what goes wrong there is a warning, never a failure."""
    if not report.generation or not host.is_system:
        return report
    try:
        with files.lock(host.paths.lock, PART):
            problems = trust.at(host).follow()
    except BaseException as error:
        problems = bugs.caught(error, host.paths.trust)
    _warn(problems)
    report = replace(report, findings=(*report.findings, *findings("warning", PART, problems)))
    with contextlib.suppress(SecregError):  # a full disk must not stop what serves
        reports.save(host.paths, report)
    return report
