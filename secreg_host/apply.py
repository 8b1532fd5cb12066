"""The one path on which every change travels: read /etc, check, stage, rehearse, flip, reload, prove, or go back."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from secreg_host import (
    activate,
    assemble,
    choice,
    direct,
    files,
    generations,
    njs,
    provision,
    records,
    sources,
    upgrades,
)
from secreg_host import parts as kinds
from secreg_host import report as reports
from secreg_host.activate import Stage
from secreg_host.errors import BadInput, Exit, SecregError, Superseded
from secreg_host.generations import Generation
from secreg_host.host import Host
from secreg_host.parts import Part, Reading
from secreg_host.provision import Provisioned
from secreg_host.report import Finding, Report, findings
from secreg_host.settings import Settings

ATTEMPTS = 4
"""How often an apply begins anew because users changed while it waited for something slow; the last one is not."""

READS = 3
"""How often everything is read while it changes; then what was read last counts, and the watchdog asks again."""

GRACE_SECONDS = 0.25
"""How long .htpasswd may be away before nobody is let in: who saves by removing and creating it, or by putting another
directory in the place of ours, leaves a moment without."""

WAIT_SECONDS = 10.0
"""How long the second half of a pair is waited for before the pair is called wrong."""


@dataclass(frozen=True)
class Wish:
    """What an apply is asked for.

    doing: its name, for whoever waits for the lock; environment: settings given there; create: write files of /etc
    that are missing; restore: also bring back users that were deleted; start: start what does not run (else a
    stopped service is only checked).
    """

    doing: str
    environment: Mapping[str, str]
    create: bool = False
    restore: bool = False
    start: bool = False


def apply(stage: Stage, wish: Wish) -> Report:
    """Make what /etc says serve, as far as it is good; returns what happened.

    Raises BadInput when nothing ever served and what /etc says can't, SecregError when it could not be made to
    serve; what served before still does.
    """
    with files.lock(stage.host.paths.lock, wish.doing):
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(Superseded):
                return _apply(stage, wish, patient=False)
        return _apply(stage, wish, patient=True)


def _apply(stage: Stage, wish: Wish, patient: bool) -> Report:
    """One attempt. Unless `patient`, raises Superseded when users change while something slow is waited for."""
    host = stage.host
    interrupted = _redo(host)
    current = activate.last_good(stage)
    if current is not None:
        activate.retire_strays(stage, current)
    before = reports.load(host.paths)
    seen = _read_whole(host, wish, current, before)
    if not patient and not seen.provisioned.written:
        stage = replace(stage, hurry=lambda: sources.mark(str(host.paths.htpasswd)) != seen.users)
    live = wish.start or stage.services.wanted()
    base = _users_first(stage, seen.parts, current) if live and current is not None else current
    outdated = upgrades.outdated(stage.services, base) if live else ()
    # of what does not run, only a check is wanted: the same as last time has the same outcome
    checked = before.checked if not live and seen.fingerprint and seen.fingerprint == before.fingerprint else ""
    chosen, failed, held = choice.choose_renewed(stage, seen.parts, base, live, outdated, checked)
    unproven: tuple[Finding, ...] = ()
    if live:
        renew = [name for name in outdated if name in upgrades.NGINX and kinds.NGINX not in held]
        chosen, unproven = _activate(stage, chosen, base, renew, wish.start)
    waited = tuple(item for part, problems in held.items() for item in upgrades.held(part, problems, before))
    serving = chosen.name if live else ""
    every = (*interrupted, *seen.findings, *failed, *waited, *unproven)
    report = Report(
        generation=serving,
        since=before.since if before.since and before.generation == serving else time.time(),
        findings=every,
        waiting=seen.waiting | upgrades.waiting(held, before),
        fingerprint=seen.fingerprint,
        sources=seen.sources,
        checked=chosen.name,
        fresh=tuple(finding for finding in every if finding not in before.findings),
        # a run that was cut short told nobody what it had changed already
        changed=current is None or chosen.name != current.name or (live and chosen.name != before.generation),
        provisioned=seen.provisioned,
    )
    with contextlib.suppress(SecregError):  # a full disk must not stop what serves
        reports.save(host.paths, report)
        generations.prune(host)
    return report


def _redo(host: Host) -> tuple[Finding, ...]:
    """Finish what a crash cut in two; if that can't be done now, a later run will."""
    try:
        records.redo(host.paths)
    except SecregError as error:
        return findings("rejected", kinds.SETTINGS, error.problems)
    return ()


def _users_first(stage: Stage, parts: dict[str, Part], current: Generation) -> Generation:
    """Let changed users count at once, before all that may be slow or fail: what serves, with them.

    Nothing else changes, so nothing needs a rehearsal; unless another version of this program renders it otherwise.
    """
    if parts[kinds.USERS] == current.parts[kinds.USERS]:
        return current
    if assemble.assemble(stage.host, current.parts, current.slot).name != current.name:
        return current
    new = assemble.assemble(stage.host, current.parts | {kinds.USERS: parts[kinds.USERS]}, current.slot)
    generations.stage(stage.host, new, assemble.generation_conf(new))
    try:
        return activate.activate(replace(stage, hurry=lambda: False), new, current)[0]
    except SecregError:  # what is wrong is told by the attempt that follows
        return generations.load(stage.host, generations.current_name(stage.host)) or current


def _activate(
    stage: Stage, chosen: Generation, current: Generation | None, renew: list[str], start: bool
) -> tuple[Generation, tuple[Finding, ...]]:
    """`activate`; a start that fails leaves nothing half-running behind. Else what runs is never stopped: a process
    that was just killed, for which nothing serves right now, is on its way back."""
    served = not start or (current is not None and activate.serves(current))
    try:
        return activate.activate(stage, chosen, current, renew)
    except Superseded:
        raise
    except SecregError:
        if not served:
            activate.stop_all(stage)
            if current is None:
                generations.flip(stage.host, None)
        raise


@dataclass(frozen=True)
class Seen:
    """What reading /etc gave: every part, as it is or in its last good version; what is wrong with the others; parts
    that are waited for, and since when; what was written first; what was read besides the directory; the fingerprint
    of all that ("": it changed meanwhile); the mark of .htpasswd before it was read."""

    parts: dict[str, Part]
    findings: tuple[Finding, ...]
    waiting: dict[str, float]
    provisioned: Provisioned
    sources: tuple[str, ...]
    fingerprint: str
    users: str


def _read_whole(host: Host, wish: Wish, current: Generation | None, before: Report) -> Seen:
    """`read`, again if something changed meanwhile: half of it may be of before, or between two steps of a save."""
    users = current is not None and current.parts[kinds.USERS].facts["count"]
    patience = time.monotonic() + (GRACE_SECONDS if users else 0.0)
    for _ in range(READS):
        _await_users(host, patience)
        seen = read(host, wish, current, before)
        if seen.fingerprint or seen.provisioned.written:
            break
    return seen


def _await_users(host: Host, until: float) -> None:
    """Wait until .htpasswd is there, or `until` (monotonic seconds)."""
    while time.monotonic() < until and not os.access(host.paths.htpasswd, os.F_OK):
        time.sleep(0.01)


def read(host: Host, wish: Wish, current: Generation | None, before: Report) -> Seen:
    """Read every part. Raises BadInput with all problems when a part is bad that never was good."""
    found: list[Finding] = []
    parts: dict[str, Part] = {}
    waiting: dict[str, float] = {}
    last = current or generations.load(host, before.checked or None)
    known = current.parts if current is not None else {}
    first = sources.marks(host.paths, ())

    def take(name: str, reading: Reading) -> None:
        kind = "rejected"
        if reading.waiting:
            waiting[name] = before.waiting.get(name, time.time())
            kind = "waiting" if time.time() - waiting[name] < WAIT_SECONDS else kind
        found.extend(findings(kind, name, reading.problems))
        found.extend(findings("warning", name, reading.warnings))
        part = reading.part or known.get(name)
        if part is not None:
            parts[name] = part

    provisioned = Provisioned()
    settings: Settings | None = None
    try:
        settings, reading = kinds.read_settings(
            host.paths, wish.environment, known=current is not None and not wish.create
        )
        take(kinds.SETTINGS, reading)
    except SecregError as error:
        if current is None:
            raise
        take(kinds.SETTINGS, Reading(None, error.problems))
    try:
        if settings is not None:
            provisioned = provision.provision(host, settings, wish.environment, wish.create, wish.restore)
        else:
            provisioned = provision.renew(host, kinds.settings_of(parts[kinds.SETTINGS]))
    except SecregError as error:
        if current is None:
            raise
        take(kinds.SETTINGS, Reading(parts[kinds.SETTINGS], error.problems))
    begun = sources.marks(host.paths, ())
    users = sources.mark(str(host.paths.htpasswd))
    now = datetime.now(UTC)
    take(kinds.USERS, kinds.read_users(host.paths, last.parts[kinds.USERS] if last is not None else None))
    take(
        kinds.CERTIFICATE,
        kinds.guarded(lambda: kinds.read_certificate(host.paths, now, known.get(kinds.CERTIFICATE))),
    )
    take(kinds.REGISTRY, kinds.guarded(lambda: _registry(host, parts[kinds.SETTINGS])))
    images = parts[kinds.REGISTRY].facts["root"] if kinds.REGISTRY in parts else None
    take(kinds.NGINX, kinds.guarded(lambda: kinds.read_nginx(host.paths, Path(images) if images else None)))
    if module := njs.module(host, kinds.settings_of(parts[kinds.SETTINGS])):
        found.extend(findings("warning", kinds.NGINX, module.warnings))
    if len(parts) < len(kinds.ALL):
        raise BadInput([finding.problem for finding in found if finding.kind != "warning"])
    watched = _watched(host, parts)
    fingerprint = sources.fingerprint(host.paths, watched)
    written = {str(path) for path in provisioned.written}
    same = sources.marks(host.paths, ()) == begun and all(
        first.get(name) == begun.get(name) for name in {*first, *begun} - written
    )
    if parts[kinds.NGINX] != known.get(kinds.NGINX):
        same = same and kinds.outside(parts[kinds.NGINX]) == parts[kinds.NGINX].facts["outside"]
    return Seen(parts, tuple(found), waiting, provisioned, watched, fingerprint if same else "", users)


def _watched(host: Host, parts: Mapping[str, Part]) -> tuple[str, ...]:
    """What is a change besides the directory: files that nginx reads, there or not, and patterns; the programs."""
    programs = upgrades.programs(host, kinds.settings_of(parts[kinds.SETTINGS]))
    read = parts[kinds.NGINX].facts.get("watched", ())
    return (*read, *map(str, host.paths.nginx_modules(njs.NAME)), *programs)


def _registry(host: Host, settings: Part) -> Reading:
    if not kinds.settings_of(settings).own_registry:
        return Reading(Part({}, {"root": None, "auth": True, "more": "it runs elsewhere"}))
    reading = kinds.read_registry(host.paths)
    problems = provision.storage_problems(host, reading.part) if reading.part else ()
    return Reading(None, problems) if problems else direct.checked(host, reading)


def exit_code(report: Report) -> Exit:
    """What the outcome of an apply is for a shell."""
    kinds_found = {finding.kind for finding in report.findings}
    if "unproven" in kinds_found:
        return Exit.DEGRADED
    return Exit.BAD_INPUT if kinds_found & {"rejected", "waiting"} else Exit.DONE
