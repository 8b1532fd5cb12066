"""How the command says what happened: findings, what a setup made, the outcome of an apply, what serves."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from secreg_host.apply.report import Finding, Report
from secreg_host.apply.wish import WATCHDOG
from secreg_host.base import records
from secreg_host.base.errors import Problem
from secreg_host.command import status
from secreg_host.generation.liveusers import LiveUsers
from secreg_host.host.host import Host
from secreg_host.observe import views
from secreg_host.wanted.parts import users as users_part
from secreg_host.wanted.parts.certificate import CertificatePart

log = logging.getLogger(__name__)

RECENT_SECONDS = 120.0
"""How long it is told what the watchdog applied."""


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
    """What is told of `report`, that of an apply: what is wrong, and what serves now."""
    findings(report.findings)
    for line in told(report):
        print(line)


def told(report: Report) -> Iterator[str]:
    """What serves by `report`, what of it is new or since when it serves, what is held back and who can log in: a line
    each. What was edited may have been applied by the watchdog a moment before, which is told, too."""
    if not report.generation:
        yield "nothing runs; start it: secure-registry start"
        return
    back = held_back(report)
    if report.changed:
        yield f"the changes serve: {_newest(report)[0]}"
    elif just := _taken_over(report):
        yield just
    elif not back:
        yield "nothing to change"
    if back:
        yield f"held back: {', '.join(back)}; what was good of it before {'still ' * (not report.changed)}serves"
    if any(finding.kind == "away" for finding in report.findings):
        yield "the registry does not answer; it is tried again"
    if not report.changed:
        yield f"serving: {_since(report.changes)}"
    yield users(report.count, report.findings)


def _newest(report: Report) -> tuple[str, float]:
    """What of `report` changed last, and when (seconds since the epoch)."""
    newest = max(report.changes.values(), default=0.0)
    return ", ".join(name for name, at in report.changes.items() if at == newest), newest


def _taken_over(report: Report) -> str:
    """That the watchdog was quicker than whoever asks now; "" where it was not."""
    names, at = _newest(report)
    ago = time.time() - at
    if report.by != WATCHDOG or not 0 <= ago < RECENT_SECONDS:
        return ""
    return f"applied by the watchdog {ago:.0f} s ago: {names}"


def held_back(report: Report) -> list[str]:
    """The parts that are not as /etc says. Users are never held back, nor is what serves now, though unproven."""
    newest = max(report.changes.values(), default=0.0)
    new = {name for name, at in report.changes.items() if report.changed and at == newest}
    serve = {("unproven", name) for name in new}
    held = (one.part for one in report.rejected if one.kind != "away" and (one.kind, one.part) not in serve)
    return sorted({*held} - {users_part.NAME})


def users(count: int, found: Iterable[Finding]) -> str:
    """That `count` users may log in, and whether that is proven, going by what was `found`."""
    said = "nobody can log in" if not count else "1 user can log in" if count == 1 else f"{count} users can log in"
    unproven = any((finding.kind, finding.part) == ("unproven", users_part.NAME) for finding in found)
    return f"{said}, but that could not be proven" if unproven else said


def _since(changes: Mapping[str, float]) -> str:
    """Since when what serves, the newest first."""
    groups: dict[str, list[str]] = {}
    for name, at in sorted(changes.items(), key=lambda item: item[1], reverse=True):
        when = datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        groups.setdefault(when, []).append(name)
    last = list(groups)[-1:]
    named = [", ".join(names) if [when] != last else "all else" for when, names in groups.items()]
    if len(groups) == 1:
        named = ["all of it"]
    return ", ".join(f"{names} since {when}" for names, when in zip(named, groups, strict=True))


def serving(host: Host) -> int:
    """What serves, and how to log in; returns the exit code that says how well."""
    found = views.asked(host)
    print(views.as_text(found))
    if found.generation is not None and not found.down:
        count = LiveUsers(host).count()
        print(f"log in with: {status.login_hint(found.generation)}" if count else users(count, found.report.findings))
        if found.generation.parts[CertificatePart].ca:
            print("a line for other hosts, with which they trust it: secure-registry trust show --line")
    return found.code
