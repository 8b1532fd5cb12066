"""The one path on which every change travels: read /etc, check, stage, rehearse, flip, reload, prove, or go back."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from secreg_host.apply import (
    activate,
    backend,
    choice,
    clientproof,
    faults,
    interim,
    settled,
    store,
    storeproof,
    told,
    upgrades,
)
from secreg_host.apply import report as reports
from secreg_host.apply.activate import Stage
from secreg_host.apply.report import Finding, Report, findings
from secreg_host.apply.seen import Seen, take
from secreg_host.apply.usersfirst import Users
from secreg_host.apply.wish import Wish
from secreg_host.base import bugs, distant, files, leftovers, marks, records, reserve, waiting
from secreg_host.base.errors import Exit, Problem, Refused, SecregError
from secreg_host.generation import direct, generations
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host
from secreg_host.images import site
from secreg_host.wanted import sources
from secreg_host.wanted.parts import users as users_part
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.parts.settings import SettingsPart
from secreg_host.wanted.provision import Provisioned
from secreg_host.watchdog import retries

log = logging.getLogger(__name__)

BACK_SECONDS = 10.0
"""How long a front that was killed is waited for, when it is asked for images."""

Follow = Callable[[Generation, Callable[[], None]], tuple[Finding, ...]]
"""Lets the clients of this host follow what serves, and calls its second argument while it waits; what is wrong."""


def apply(stage: Stage, wish: Wish, follow: Follow = lambda *_: ()) -> Report:
    """Make what /etc says serve, as far as it is good, and let clients `follow` it; returns what happened.

    Users come first: before the lock, for which somebody else may be waited, and before any other file.

    Raises Refused, with nothing changed, when what the environment sets can't be taken over, BadInput when nothing ever
    served and what /etc says can't, SecregError when it could not be made to serve; what served before still does.
    """
    distant.begin_run()
    users = Users(stage.host, stage.services)
    users.take_over(begin=wish.start and users.there)
    try:
        with files.lock(stage.host.paths.lock, wish.doing, meanwhile=users.refresh):
            return _apply(replace(stage, meanwhile=users.refresh), wish, users, follow)
    except BaseException as error:
        with contextlib.suppress(SecregError):
            failed = bugs.is_failure(error) and not isinstance(error, Refused)
            if failed and (wish.start or stage.services.wanted()):
                retries.failed(stage.host.paths, bugs.problems(error, "apply"), start=wish.start)
        raise


def _apply(stage: Stage, wish: Wish, users: Users, follow: Follow) -> Report:
    host = stage.host
    interrupted = _redo(host)
    current, adopted = _begun(stage, wish)
    before = reports.load(host.paths)
    trying = interim.patient(stage, current) if wish.start and current is not None else stage
    seen = take(trying, wish, current, before)
    seen = replace(seen, provisioned=seen.provisioned.after(adopted))
    live = wish.start or stage.services.wanted()
    if live and (users.changed or users.counted is None or not users.live.epoch):
        users.take_over(begin=True)
    outdated = upgrades.outdated(stage.services, current, renew=wish.renew) if live else ()
    # of what does not run, only a check is wanted: the same as last time has the same outcome
    checked = before.checked if not live and seen.fingerprint and seen.fingerprint == before.fingerprint else ""
    log.debug("%s; replaced programs: %s", "it is to serve" if live else "only checked", outdated)
    chosen, failed, held = choice.choose_renewed(trying, seen.parts, current, outdated, checked, live=live)
    log.debug("generation %s is chosen", chosen.name)
    unproven = tuple[Finding, ...]()
    if live:
        renew = [name for name in outdated if name in upgrades.NGINX and NginxPart.NAME not in held]
        chosen, unproven = _activate(stage, chosen, current, renew, start=wish.start)
        users.prove_again()
    anew = current is None or chosen.name != current.name
    if live:
        due = wish.start or anew or before.unproven(RegistryPart.NAME)
        unproven = (*unproven, *_as_clients(stage, chosen, unproven, store=due))
    away = [finding.problem for finding in unproven if finding.kind == "away"]
    unseen = direct.unseen(host, chosen.parts[RegistryPart], chosen.slot) if live and not away else ()
    serving, now = chosen.name if live else "", time.time()
    also = (*findings("warning", RegistryPart.NAME, unseen), *(follow(chosen, users.refresh) if live else ()))
    users.refresh()
    read = (finding for finding in seen.findings if finding.problem not in away)
    failed = (*failed, *upgrades.all_held(held, before), *unproven, *also)
    every = _dated(host, (*interrupted, *users.findings, *read, *failed), before, now)
    counted = marks.digest(users.counted or b"") if live else ""
    report = Report(
        generation=serving,
        since=before.since if before.since and before.generation == serving else now,
        findings=every,
        waiting=seen.waiting | upgrades.waiting(held, before),
        fingerprint=_counted_as_seen(seen, users, every),
        users=counted if live else before.users,
        again=seen.again,
        sources=seen.sources,
        checked=chosen.name,
        fresh=reports.without(every, before.findings),
        gone=reports.without(before.findings, every),
        # a run that was cut short told nobody what it had changed already
        changed=anew or (live and (chosen.name, counted) != (before.generation, before.users)),
        provisioned=seen.provisioned,
        served=chosen if live else None,
        count=(users.counted or b"").count(b"\n") if live else 0,
        changes=_changes(chosen, current, counted, before, now) if live else before.changes,
    )
    report = replace(report, by=wish.doing if report.changed and live else before.by)
    if report.changed and live:
        told.changes(report, now)
    _keep(host, report, before)
    return report


def _begun(stage: Stage, wish: Wish) -> tuple[Generation | None, Provisioned]:
    """The last good generation, and what was written for what the environment sets."""
    current = activate.last_good(stage)
    log.debug("the last good generation: %s", current.name if current is not None else "none, it never served")
    if current is not None:
        activate.retire_strays(stage, current)
    adopted = settled.adopt(stage, wish, current)
    if wish.new_store and current is not None:
        current = store.forget(stage.host, current)
    return current, adopted


def _dated(host: Host, found: tuple[Finding, ...], before: Report, now: float) -> tuple[Finding, ...]:
    """What was `found`, each since when; where something is held back, with what is mounted in our places."""
    if any(finding.kind not in records.MILD for finding in found):
        found = (*found, *findings("warning", SettingsPart.NAME, sources.mounted(host.paths)))
    return reports.dated(found, before.findings, now)


def _changes(
    chosen: Generation, current: Generation | None, counted: str, before: Report, now: float
) -> dict[str, float]:
    """When each part of `chosen` became what it is, and the users of digest `counted` did: now what is not as in the
    `current` one, and all of it unless that is what served `before`, or is that without its store. A check in between,
    of what did not run, is none.
    """
    names = {part.NAME for part in chosen.parts}
    same: set[str] = set()
    if current is not None and (before.generation in ("", current.name) or store.is_forgotten(current)):
        same = {part.NAME for part in chosen.parts if current.parts.get(type(part)) == part}
        same -= {RegistryPart.NAME} if chosen.slot != current.slot else set()
        if chosen.name != current.name and same == names:
            same = set()  # what this program renders of them is another one
        same |= {users_part.NAME} if counted == before.users else set()
    every = [users_part.NAME, *sorted(names)]
    return {name: before.changes.get(name, before.since) if name in same else now for name in every}


def _as_clients(
    stage: Stage, generation: Generation, found: tuple[Finding, ...], *, store: bool
) -> tuple[Finding, ...]:
    """What clients find wrong with `generation` that keeps nothing from serving; store: with its images, too."""
    tried = _store_findings(stage, generation, found) if store else ()
    return (*tried, *_certificate_findings(stage.host, generation))


def _store_findings(stage: Stage, generation: Generation, found: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """What is wrong with the registry of `generation` when images are read and written, unless that was `found` by now:
    it keeps nothing from serving. One that was just killed is on its way back, and so is a front."""
    if any(finding.kind == "away" for finding in found):
        return ()
    wrong, _ = _stored(stage, generation)
    if not wrong:
        return ()
    if away := activate.bring_up_registry(stage, generation, proven=True):
        return findings("away", RegistryPart.NAME, away)
    for _ in waiting.looks(BACK_SECONDS, meanwhile=stage.meanwhile):
        wrong, reached = _stored(stage, generation)
        if reached or not wrong:
            break
    return wrong


def _stored(stage: Stage, generation: Generation) -> tuple[tuple[Finding, ...], bool]:
    """What is wrong with the registry of `generation`, and whether it is the registry that said so."""
    part, name = generation.parts[RegistryPart], f"registry@{generation.slot}"
    wrong = clientproof.beside(lambda: clientproof.writes(stage.host, generation), stage.meanwhile)
    if wrong:
        problem = faults.of_storage(generation, wrong, stage.services.last_words(name))
    else:
        wrong = clientproof.beside(lambda: clientproof.reads(stage.host, generation), stage.meanwhile)
        problem = Problem(part.place, wrong, backend.OURS)
    return findings("unproven", part.NAME, [problem] if wrong else []), not isinstance(wrong, storeproof.Unreached)


def _certificate_findings(host: Host, generation: Generation) -> tuple[Finding, ...]:
    """What clients find wrong with a certificate that only nginx.conf names: no part has looked at it."""
    nginx = generation.parts[NginxPart]
    wrong = "" if nginx.own_pair else clientproof.trusted(host, generation)
    hint = "name docker-registry.crt and docker-registry.key there, or have one issued for these names (SERVER_NAME)"
    told = [Problem(nginx.conf, f"clients refuse the certificate that it names: {wrong}", hint)] if wrong else []
    return findings("warning", nginx.NAME, told)


def _keep(host: Host, report: Report, before: Report) -> None:
    """Remember `report`, and what is to be tried again, and forget what nobody needs any more."""
    if (again := report.later) and report.generation:
        retries.failed(host.paths, again, start=False)
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
    leftovers.sweep(host.paths)
    site.finish(host)
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
    served = not start or (current is not None and activate.serves(stage.host, current))
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
