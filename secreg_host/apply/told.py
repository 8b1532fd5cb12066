"""What of the configuration changed, for whoever looks up later who did what (`observe/audit`): an entry of the journal
for each part, in the words of the part."""

from __future__ import annotations

import logging

from secreg_host.apply.report import Report
from secreg_host.base import journal
from secreg_host.generation.generations import Generation
from secreg_host.wanted.parts import users as users_part
from secreg_host.wanted.parts.certificate import CertificatePart

log = logging.getLogger(__name__)

KIND = "change"
"""Of these entries (SECREG_KIND)."""


def changes(report: Report, now: float) -> None:
    """Tell each part that serves as it is since `now` (seconds since the epoch), by what that was done. Who was added
    and removed is told when they are (`usersfirst`)."""
    for name, since in report.changes.items():
        if since == now and name != users_part.NAME and report.served is not None:
            said = words(name, report.served)
            fields = {"kind": KIND, "part": name, "by": report.by, "said": said}
            log.info("%s changed%s", name, f": {said}" if said else "", extra=journal.entry(fields, kept=True))


def words(name: str, serving: Generation) -> str:
    """What the part `name` of what is `serving` is by now, in a line; no secret is part of it."""
    if name != CertificatePart.NAME:
        return ""
    part = serving.parts[CertificatePart]
    return f"{', '.join(part.names)}, until {part.not_after:%Y-%m-%d}, SHA-256 {part.fingerprint}"
