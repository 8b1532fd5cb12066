"""What serves, in a line of its own: for whoever logs in, and for systemd."""

from __future__ import annotations

from secreg_host.apply.report import Report
from secreg_host.clients import served
from secreg_host.generation.generations import Generation
from secreg_host.observe import components
from secreg_host.wanted.parts.certificate import CertificatePart


def login_hint(generation: Generation) -> str:
    """The command with which a client logs in here."""
    endpoints = served.of(generation).endpoints
    address = endpoints[0].spellings[0] if endpoints else components.address(generation).removeprefix("https://")
    return f"docker login {address}"


def one_line(report: Report, generation: Generation | None) -> str:
    """The status line of the unit (sd_notify): what serves, until when, what is held back."""
    if generation is None:
        return "nothing serves"
    ends = generation.parts[CertificatePart].not_after
    said = f"serves {components.address(generation)}, certificate until {ends:%Y-%m-%d}"
    for finding in report.rejected:
        said += f"; {finding.kind}: {finding.problem.where}: {finding.problem.what}"
    return said
