"""What serves, since when, until when the certificate lasts, and what is held back: for people and as JSON."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from secreg_host.apply import backend, probe, rehearsal, store
from secreg_host.apply import report as reports
from secreg_host.apply.report import Report, findings
from secreg_host.base import files, names, waiting
from secreg_host.base.errors import Exit, Problem, SecregError
from secreg_host.base.snapshot import Snapshot
from secreg_host.clients import served
from secreg_host.formats.listening import Listen
from secreg_host.generation import generations
from secreg_host.generation.generations import Generation
from secreg_host.generation.liveusers import LiveUsers
from secreg_host.host.host import Host
from secreg_host.pki import ours
from secreg_host.services import units
from secreg_host.wanted.parts.certificate import CertificatePart
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.parts.settings import SettingsPart
from secreg_host.watchdog import retries, watch

if TYPE_CHECKING:
    from secreg_host.base.systemd import Systemd

CHANGE_SECONDS = 20.0
"""How long a change that is on its way is waited for."""

BACK_SECONDS = 1.0
"""How long a process that was killed is waited for: it is on its way back."""


@dataclass(frozen=True)
class Status:
    """A look at the instance.

    down: "" while it serves, else why it does not; unit: the state of nginx's unit; since: when what serves began to
    (seconds since the epoch); retry: what is tried again.
    """

    host: Host
    generation: Generation | None
    report: Report
    down: str
    unit: str
    since: float
    retry: retries.Retry | None = None

    @property
    def away(self) -> bool:
        """Whether the registry behind the front does not answer."""
        return any(finding.kind == "away" for finding in self.report.findings)

    @property
    def failed(self) -> bool:
        """Whether the last apply failed as a whole."""
        return any(finding.kind == "failed" for finding in self.report.findings)

    @property
    def code(self) -> Exit:
        """The exit code of `status`."""
        return Exit.DEGRADED if self.down or self.report.rejected else Exit.DONE


def look(host: Host) -> Status:
    """Ask the world, systemd and the last report; while a change is on its way, its end is waited for before anything
    is called wrong. Raises SecregError when the state can't be read."""
    back = waiting.within(BACK_SECONDS)
    for _ in waiting.looks(CHANGE_SECONDS, 0.05):
        found = _look(host)
        changing = bool(found.down or found.failed) and files.held(host.paths.lock)
        if not changing and (back.over or not found.away):
            break
    return replace(found, retry=retries.load(host.paths) if found.down or found.away or found.failed else None)


def _look(host: Host) -> Status:
    generation = generations.load(host, generations.current_name(host))
    report = _with_own_looks(host, reports.load(host.paths))
    unit, since = "", report.since
    if host.by_systemd:
        from secreg_host.base import systemd

        with contextlib.suppress(SecregError):
            manager = systemd.Systemd()
            report = replace(report, findings=(*report.findings, *_of_watchdog(manager)))
            state = manager.state(units.unit_of("nginx"))
            unit, since = f"{state.active} ({state.sub})", max(since, state.since)
    retry = retries.load(host.paths)
    if retry and not retry.start:
        known = {finding.problem for finding in report.findings}
        more = findings("failed", SettingsPart.NAME, [problem for problem in retry.what if problem not in known])
        report = replace(report, findings=(*report.findings, *more))
    failed = f"it does not start: {retry.what[0].what}" if retry and retry.start and retry.what else ""
    if generation is None:
        return Status(host, None, report, failed or _unknown(host), unit, since)
    runs = not unit or unit.startswith(("active", "reloading"))
    down = "" if runs else failed or "it is stopped; start it: systemctl start secure-registry"
    for want in rehearsal.expectations(generation):
        if not down and (wrong := probe.once(want)):
            down = f"{urls(generation, want.listen)[0]}: {wrong}"
    return Status(host, generation, report if down else _with_backend(host, generation, report), down, unit, since)


def _unknown(host: Host) -> str:
    """Why it is not known what serves."""
    if name := generations.current_name(host):
        return f"for all that is known: generation {name} is damaged; have it made anew: secure-registry reload"
    return "nothing was ever set up: secure-registry start"


def _with_backend(host: Host, generation: Generation, report: Report) -> Report:
    """The last report, but for what it says of the registry behind the front and of its store, which are asked now."""
    others = [finding for finding in report.findings if finding.kind != "away"]
    away = [finding for finding in report.findings if finding.kind == "away"]
    if lost := store.away(generation):
        return replace(report, findings=(*others, *findings("away", RegistryPart.NAME, lost)))
    if said := backend.wrong(host, generation):
        asked = findings("away", RegistryPart.NAME, [backend.problem(host, generation, said)])
        return replace(report, findings=(*others, *(away or asked)))
    return replace(report, findings=tuple(others))


def _with_own_looks(host: Host, report: Report) -> Report:
    """The last report, but for what it says of the CA's key, which may be lost or come back without an apply."""
    with contextlib.suppress(SecregError):
        disk = Snapshot(host.paths)
        lost = ours.warnings(disk, disk.content(host.paths.crt) or b"")
        others = [finding for finding in report.findings if finding.problem.where != str(host.paths.ca_key)]
        return replace(report, findings=(*others, *findings("warning", CertificatePart.NAME, lost)))
    return report


def _of_watchdog(manager: Systemd) -> tuple[reports.Finding, ...]:
    """A warning when the watchdog does not run though the service does, or is not told of changes by the kernel."""
    state = manager.state(watch.UNIT)
    down = state.active in ("inactive", "failed") and manager.active(watch.MAIN)[0] == "active"
    if down and manager.properties(watch.UNIT, "LoadState")["LoadState"] != "masked":  # that is somebody's will
        what = f"it does not run ({state.active}): of edits, removed users included, only a reload takes note"
        return findings("warning", SettingsPart.NAME, [Problem(watch.UNIT, what, f"systemctl start {watch.UNIT}")])
    says = state.status_text
    if not says.startswith(watch.BLIND):
        return ()
    what, _, remedy = says.partition(watch.REMEDY)
    return findings("warning", SettingsPart.NAME, [Problem(watch.UNIT, what, remedy)])


def urls(generation: Generation, listen: Listen) -> list[str]:
    """Addresses (https://…) under which `listen` is reached; the best one first."""
    hosts = generation.parts[CertificatePart].usable_names
    if listen.host not in ("", "::"):
        hosts = (listen.host,)
    port = "" if listen.port == 443 else f":{listen.port}"
    return [f"https://{names.bracketed(host)}{port}" for host in hosts or ("localhost",)]


def as_json(status: Status) -> dict[str, Any]:
    """The status as JSON values; times in ISO 8601, UTC."""
    found: dict[str, Any] = {
        "serving": not status.down,
        "down": status.down,
        "unit": status.unit,
        "generation": status.generation.name if status.generation else None,
        "since": _iso(status.since),
        "rejected": [_finding(finding) for finding in status.report.rejected],
        "warnings": [_finding(finding) for finding in status.report.warnings],
    }
    if status.generation:
        facts = status.generation.parts[CertificatePart].facts
        found["urls"] = sorted(
            {url for at in status.generation.listens if at.tls for url in urls(status.generation, at)}
        )
        found["certificate"] = {key: facts[key] for key in ("fingerprint", "not_before", "not_after", "names")}
        found["users"] = LiveUsers(status.host).count()
        found["storage"] = status.generation.parts[RegistryPart].root
        found["slot"] = status.generation.slot
    if status.retry:
        found["retry"] = {"at": _iso(status.retry.next), "failed": status.retry.tries}
    return found


def _finding(finding: reports.Finding) -> dict[str, str]:
    problem = finding.problem
    return {
        "kind": finding.kind,
        "part": finding.part,
        "where": problem.where,
        "what": problem.what,
        "hint": problem.hint,
    }


def _iso(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None


def as_text(status: Status) -> str:
    """The status in a few lines for people."""
    lines = []
    if status.down:
        lines.append(f"secure-registry does not serve: {status.down}")
    else:
        since = datetime.fromtimestamp(status.since or time.time(), UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        lines.append(f"secure-registry serves since {since}")
    if status.generation:
        lines += _about(status, status.generation)
    if retry := status.retry:
        at = datetime.fromtimestamp(retry.next, UTC).astimezone().strftime("%H:%M:%S")
        lines.append(f"  {'next try':<12} at {at}; it failed {'once' if retry.tries == 1 else f'{retry.tries} times'}")
    for finding in (*status.report.rejected, *status.report.warnings):
        lines += [
            f"  {finding.kind:<12} {line}" if not number else f"  {'':<12} {line}"
            for number, line in enumerate(str(finding.problem).splitlines())
        ]
    return "\n".join(lines)


def _about(status: Status, generation: Generation) -> list[str]:
    certificate = generation.parts[CertificatePart]
    ends = certificate.not_after
    days = (ends - datetime.now(UTC)).days
    addresses = [url for at in generation.listens if at.tls for url in urls(generation, at)]
    rows = {
        "address": ", ".join(list(dict.fromkeys(addresses))[:4]),
        "certificate": f"until {ends:%Y-%m-%d} ({days} days), SHA-256 {certificate.fingerprint[:16]}…",
        "users": str(LiveUsers(status.host).count()),
        "images": str(generation.parts[RegistryPart].root or "not on this host's file system"),
        "generation": f"{generation.name[:12]}, registry in slot {generation.slot}",
    }
    return [f"  {name:<12} {value}" for name, value in rows.items()]


def login_hint(generation: Generation) -> str:
    """The command with which a client logs in here."""
    endpoints = served.of(generation).endpoints
    listen = next(at for at in generation.listens if at.tls)
    address = endpoints[0].spellings[0] if endpoints else urls(generation, listen)[0].removeprefix("https://")
    return f"docker login {address}"


def one_line(report: Report, generation: Generation | None) -> str:
    """The status line of the unit (sd_notify): what serves, until when, what is held back."""
    if generation is None:
        return "nothing serves"
    ends = generation.parts[CertificatePart].not_after
    listen = next(at for at in generation.listens if at.tls)
    said = f"serves {urls(generation, listen)[0]}, certificate until {ends:%Y-%m-%d}"
    for finding in report.rejected:
        said += f"; {finding.kind}: {finding.problem.where}: {finding.problem.what}"
    return said
