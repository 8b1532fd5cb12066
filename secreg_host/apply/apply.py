"""The one path on which every change travels: read /etc, check, stage, rehearse, flip, reload, prove, or go back."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from secreg_host.apply import activate, choice, interim, upgrades
from secreg_host.apply import report as reports
from secreg_host.apply.activate import Stage
from secreg_host.apply.report import Finding, Report, findings
from secreg_host.apply.seen import Seen, take
from secreg_host.apply.usersfirst import Users
from secreg_host.apply.wish import Wish
from secreg_host.base import bugs, files, leftovers, marks, records, reserve
from secreg_host.base.errors import Exit, SecregError
from secreg_host.generation import direct, generations
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host
from secreg_host.wanted import sources
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.parts.settings import SettingsPart
from secreg_host.watchdog import retries

log = logging.getLogger(__name__)

Follow = Callable[[Generation], tuple[Finding, ...]]
"""Lets the clients of this host follow what serves; what is wrong with that."""


def apply(stage: Stage, wish: Wish, follow: Follow = lambda _: ()) -> Report:
    """Make what /etc says serve, as far as it is good, and let clients `follow` it; returns what happened.

    Users come first: before the lock, for which somebody else may be waited, and before any other file.

    Raises BadInput when nothing ever served and what /etc says can't, SecregError when it could not be made to
    serve; what served before still does.
    """
    users = Users(stage.host, stage.services)
    users.take_over(begin=wish.start and users.there)
    try:
        with files.lock(stage.host.paths.lock, wish.doing, meanwhile=users.refresh):
            return _apply(replace(stage, meanwhile=users.refresh), wish, users, follow)
    except BaseException as error:
        with contextlib.suppress(SecregError):
            if bugs.is_failure(error) and (wish.start or stage.services.wanted()):
                retries.failed(stage.host.paths, bugs.problems(error, "apply"), start=wish.start)
        raise


def _apply(stage: Stage, wish: Wish, users: Users, follow: Follow) -> Report:
    host = stage.host
    leftovers.sweep(host.paths)
    interrupted = _redo(host)
    current = activate.last_good(stage)
    log.debug("the last good generation: %s", current.name if current is not None else "none, it never served")
    if current is not None:
        activate.retire_strays(stage, current)
    before = reports.load(host.paths)
    trying = interim.patient(stage, current) if wish.start and current is not None else stage
    seen = take(trying, wish, current, before)
    live = wish.start or stage.services.wanted()
    if live and (users.changed or not users.live.epoch):
        users.take_over(begin=True)
    outdated = upgrades.outdated(stage.services, current) if live else ()
    # of what does not run, only a check is wanted: the same as last time has the same outcome
    checked = before.checked if not live and seen.fingerprint and seen.fingerprint == before.fingerprint else ""
    log.debug("%s; replaced programs: %s", "it is to serve" if live else "only checked", ", ".join(outdated) or "none")
    chosen, failed, held = choice.choose_renewed(trying, seen.parts, current, outdated, checked, live=live)
    log.debug("generation %s is chosen", chosen.name)
    unproven: tuple[Finding, ...] = ()
    if live:
        renew = [name for name in outdated if name in upgrades.NGINX and NginxPart.NAME not in held]
        chosen, unproven = _activate(stage, chosen, current, renew, start=wish.start)
        if current is None:  # it may be damaged, and what served it still runs
            activate.retire_strays(stage, chosen)
        users.prove_again()
    unseen = direct.unseen(host, chosen.parts[RegistryPart], chosen.slot) if live else ()
    waited = tuple(item for part, problems in held.items() for item in upgrades.held(part, problems, before))
    serving = chosen.name if live else ""
    told = (*findings("warning", RegistryPart.NAME, unseen), *(follow(chosen) if live else ()))
    users.refresh()
    every = (*interrupted, *users.findings, *seen.findings, *failed, *waited, *unproven, *told)
    if any(finding.kind != "warning" for finding in every):
        every = (*every, *findings("warning", SettingsPart.NAME, sources.mounted(host.paths)))
    counted = marks.digest(users.counted or b"") if live else ""
    report = Report(
        generation=serving,
        since=before.since if before.since and before.generation == serving else time.time(),
        findings=every,
        waiting=seen.waiting | upgrades.waiting(held, before),
        fingerprint=_counted_as_seen(seen, users, every),
        users=counted,
        again=seen.again,
        sources=seen.sources,
        checked=chosen.name,
        fresh=tuple(finding for finding in every if finding not in before.findings),
        # a run that was cut short told nobody what it had changed already
        changed=current is None
        or chosen.name != current.name
        or (live and (chosen.name, counted) != (before.generation, before.users)),
        provisioned=seen.provisioned,
        served=chosen if live else None,
    )
    _keep(host, report, before)
    return report


def _keep(host: Host, report: Report, before: Report) -> None:
    """Remember `report`, and what is to be tried again, and forget what nobody needs any more."""
    if away := [finding.problem for finding in report.findings if finding.kind == "away"]:
        retries.failed(host.paths, away, start=False)
    elif report.generation:
        retries.done(host.paths)
    with contextlib.suppress(SecregError):  # a full disk must not stop what serves
        reports.save(host.paths, report, before)
        generations.prune(host)
    reserve.of_state(host.paths).keep()


def _counted_as_seen(seen: Seen, users: Users, every: tuple[Finding, ...]) -> str:
    """The fingerprint that the watchdog compares with; "" has it ask for an apply of the same files again, after pauses
    that grow: .htpasswd is another one by now, or what was rejected is no fault of a file but of a lack of room."""
    room = any(reserve.tells_full(finding.problem.what) for finding in every)
    return seen.fingerprint if seen.users == users.mark and not room else ""


def _redo(host: Host) -> tuple[Finding, ...]:
    """Finish what a crash cut in two; if that can't be done now, a later run will."""
    try:
        records.redo(host.paths)
    except SecregError as error:
        return findings("rejected", SettingsPart.NAME, error.problems)
    return ()


def _activate(
    stage: Stage, chosen: Generation, current: Generation | None, renew: list[str], *, start: bool
) -> tuple[Generation, tuple[Finding, ...]]:
    """`activate`; a start that fails leaves nothing half-running behind. Else what runs is never stopped: a process
    that was just killed, for which nothing serves right now, is on its way back."""
    served = not start or (current is not None and activate.serves(current))
    try:
        done = activate.activate(stage, chosen, current, renew)
    except SecregError:
        if not served:
            activate.stop_all(stage)
            if current is None:
                generations.flip(stage.host, None)
        raise
    if current is None:  # it may be damaged, and what served it still runs
        activate.retire_strays(stage, done[0])
    return done


def exit_code(report: Report) -> Exit:
    """What the outcome of an apply is for a shell."""
    kinds_found = {finding.kind for finding in report.findings}
    if kinds_found & {"unproven", "away"}:
        return Exit.DEGRADED
    return Exit.BAD_INPUT if kinds_found & {"rejected", "waiting"} else Exit.DONE
