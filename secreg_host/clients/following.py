"""Clients that trust the registry follow what serves: the end of an apply."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace

from secreg_host.apply import report as reports
from secreg_host.apply.report import Report, findings
from secreg_host.base import bugs, files
from secreg_host.base.errors import SecregError
from secreg_host.clients import trust
from secreg_host.host.host import Host

log = logging.getLogger(__name__)

PART = "trust"


def follow(host: Host, report: Report) -> Report:
    """Let the clients that trust us follow what serves now; what goes wrong there is a warning, never a failure."""
    if not report.generation or not host.is_system:
        return report
    try:
        with files.lock(host.paths.lock, PART):
            problems = trust.at(host).follow()
    except BaseException as error:
        problems = bugs.caught(error, host.paths.trust)
    for problem in problems:
        log.warning(f"warning: {problem}")
    report = replace(report, findings=(*report.findings, *findings("warning", PART, problems)))
    with contextlib.suppress(SecregError):  # a full disk must not stop what serves
        reports.save(host.paths, report)
    return report
