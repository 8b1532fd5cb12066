"""A look as people, programs and monitoring are told of it: views, which know no more than it says."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from secreg_host.apply.report import Finding
from secreg_host.base import masking
from secreg_host.generation import health
from secreg_host.generation.generations import Generation
from secreg_host.host import sandbox
from secreg_host.host.host import Host
from secreg_host.observe import components, kept
from secreg_host.observe import look as looks
from secreg_host.observe.kept import Told
from secreg_host.observe.look import Look
from secreg_host.observe.state import Component, Condition, State
from secreg_host.wanted.parts.certificate import CertificatePart
from secreg_host.wanted.parts.registry import RegistryPart

WIDTH = 12
SEEN = "seen from inside a sandbox, which may hide what serves"
SCHEMA = 1
"""Version of what `as_json` returns (templates/status.schema.json): another one when a key changes its meaning."""


class Nagios(IntEnum):
    """Exit codes of a check (Monitoring Plugins Development Guidelines, "Plugin Return Codes")."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


def as_text(look: Look) -> str:
    """The look in a line for each component, for people."""
    lines = [_head(look)]
    if look.generation:
        lines += _rows(look, look.generation)
    if retry := look.retry:
        lines.append(_row("next try", f"at {_clock(retry.next)}; it failed {_times(retry.tries)}"))
    for finding in (*look.report.rejected, *look.report.warnings):
        first, *more = str(finding.problem).splitlines()
        lines += [_row(finding.kind, first), *(_row("", line) for line in more)]
    lines += [f"({SEEN})"] * look.sandboxed
    return "\n".join(lines)


def _head(look: Look) -> str:
    if look.down:
        return f"secure-registry does not serve: {look.down}"
    if look.unknown:
        return f"secure-registry may serve: {look.unknown}"
    serves = f"secure-registry serves since {_date(look.since or look.taken)}"
    missing = [str(one.component) for one in look.missing]
    return f"{serves}, but look at: {', '.join(missing)}" if missing else serves


def _rows(look: Look, generation: Generation) -> list[str]:
    lines = [_row("address", ", ".join(components.addresses(generation)[:4]))]
    for one in look.components:
        well = one.condition is Condition.OK
        since = f" (since {_date(one.since)})" if one.condition is Condition.DOWN else ""
        word = "" if well else f"{one.condition.upper()}{since}: "
        lines.append(_row(str(one.component), f"{word}{one.said}"))
        if one.remedy and not well:
            lines.append(_row("", f"  -> {one.remedy}"))
    lines.append(_row("generation", generation.name[:WIDTH]))
    return lines


def _row(name: str, value: str) -> str:
    return f"  {name:<{WIDTH}} {value}"


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%H:%M:%S")


def _times(tries: int) -> str:
    return "once" if tries == 1 else f"{tries} times"


def as_json(look: Look) -> dict[str, Any]:
    """The look as JSON values (templates/status.schema.json); times in ISO 8601, UTC."""
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "taken": _iso(look.taken),
        "sandboxed": look.sandboxed,
        "serving": None if look.unknown else not look.down,
        "down": look.down,
        "unknown": look.unknown,
        "unit": look.unit,
        "generation": look.generation.name if look.generation else None,
        "since": _iso(look.since),
        "components": [{**one.as_json, "since": _iso(one.since)} for one in look.components],
        "rejected": [_finding(finding) for finding in look.report.rejected],
        "warnings": [_finding(finding) for finding in look.report.warnings],
    }
    if look.generation:
        facts = look.generation.parts[CertificatePart].facts
        users: State | None = next((one for one in look.components if one.component is Component.USERS), None)
        found["urls"] = sorted(components.addresses(look.generation))
        found["certificate"] = {key: facts[key] for key in ("fingerprint", "not_before", "not_after", "names")}
        found["users"] = users.facts.get("count", 0) if users else 0
        root = look.generation.parts[RegistryPart].root
        found["storage"] = None if root is None else masking.urls(root)
        found["slot"] = look.generation.slot
    if look.retry:
        found["retry"] = {"at": _iso(look.retry.next), "failed": look.retry.tries}
    return found


def _finding(finding: Finding) -> dict[str, str | None]:
    problem = finding.problem
    return {
        "kind": finding.kind,
        "part": finding.part,
        "where": problem.where,
        "what": problem.what,
        "hint": problem.hint,
        "since": _iso(finding.since),
    }


def _iso(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None


def check(look: Look) -> tuple[Nagios, str]:
    """The look in one line for monitoring, and the exit code of that check."""
    concerns = [one for one in look.components if one.condition in (Condition.WARNING, Condition.UNKNOWN)]
    said = [f"{one.component}: {one.said}" for one in (*look.missing, *concerns)]
    said += [f"{one.kind}: {one.problem.where}: {one.problem.what}" for one in look.report.rejected]
    from_where = f" ({SEEN})" * look.sandboxed
    if look.unknown:
        return Nagios.UNKNOWN, f"SECURE-REGISTRY UNKNOWN - {look.unknown}{from_where}"
    if look.down or look.missing:
        code = Nagios.CRITICAL
        said = said or [look.down]
    else:
        code = Nagios.WARNING if said else Nagios.OK
    if not said and look.generation:
        ends = look.generation.parts[CertificatePart].not_after
        said = [f"serves {components.address(look.generation)}, certificate until {ends:%Y-%m-%d}"]
    return code, f"SECURE-REGISTRY {code.name} - {'; '.join(' '.join(one.split()) for one in said)}{from_where}"


def asked(host: Host) -> Look:
    """A look for somebody who asks, kept. Raises SecregError when the state can't be read."""
    found = looks.look(host, sandboxed=sandbox.hides(host))
    keep(found)
    return found


def keep(look: Look) -> None:
    """Keep the look for the next one, for others than root, and for /healthz; not what only seems so, nor what was seen
    before the one that is kept. Where no observer would take it back, nobody is told by /healthz that it is away."""
    paths = look.host.paths
    if look.sandboxed or look.taken < kept.load(paths).taken < time.time():
        return
    health.tell(paths, away=look.away and look.host.observed)
    code, line = check(look)
    kept.save(paths, look.kept, Told(look.taken, as_text(look), line, int(look.code), as_json(look)))


def aged(told: Told) -> str:
    """How old what is `told` is, in words."""
    seconds = max(0, round(time.time() - told.taken))
    return f"as root's last look found it, {seconds} s ago"
