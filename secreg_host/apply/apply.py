"""The one path on which every change travels: read /etc, check, stage, rehearse, flip, reload, prove, or go back."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from secreg_host.apply import activate, backend, choice, hooks, interim, upgrades
from secreg_host.apply import report as reports
from secreg_host.apply.activate import Stage
from secreg_host.apply.report import Finding, Report, findings
from secreg_host.apply.usersfirst import Users
from secreg_host.base import bugs, distant, files, leftovers, records, reserve
from secreg_host.base.errors import BadInput, Exit, Problem, SecregError
from secreg_host.formats import registryconf
from secreg_host.generation import direct, generations, njs
from secreg_host.generation.generations import Generation
from secreg_host.host import host as hosts
from secreg_host.host.host import Host
from secreg_host.images import imagesplace
from secreg_host.services import units
from secreg_host.wanted import exposure, programs, provision, sources
from secreg_host.wanted import parts as kinds
from secreg_host.wanted.parts import Part, Reading
from secreg_host.wanted.provision import Provisioned
from secreg_host.wanted.settings import Settings
from secreg_host.watchdog import retries

READS = 3
"""How often everything is read while it changes; then what was read last counts, and the watchdog asks again."""

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

    Users come first: before the lock, for which somebody else may be waited, and before any other file.

    Raises BadInput when nothing ever served and what /etc says can't, SecregError when it could not be made to
    serve; what served before still does.
    """
    users = Users(stage.host, stage.services)
    users.serve(begin=wish.start and users.there)
    try:
        with files.lock(stage.host.paths.lock, wish.doing, meanwhile=users.refresh):
            return _apply(replace(stage, meanwhile=users.refresh), wish, users)
    except BaseException as error:
        with contextlib.suppress(SecregError):
            if bugs.is_failure(error) and (wish.start or stage.services.wanted()):
                retries.failed(stage.host.paths, bugs.problems(error, "the apply failed"), start=wish.start)
        raise


def _apply(stage: Stage, wish: Wish, users: Users) -> Report:
    host = stage.host
    leftovers.sweep(host.paths)
    interrupted = _redo(host)
    current = activate.last_good(stage)
    if current is not None:
        activate.retire_strays(stage, current)
    before = reports.load(host.paths)
    trying = interim.patient(stage, current) if wish.start and current is not None else stage
    seen = _read_whole(trying, wish, current, before)
    live = wish.start or stage.services.wanted()
    if live and (users.changed or not users.live.epoch):
        users.serve(begin=True)
    outdated = upgrades.outdated(stage.services, current) if live else ()
    # of what does not run, only a check is wanted: the same as last time has the same outcome
    checked = before.checked if not live and seen.fingerprint and seen.fingerprint == before.fingerprint else ""
    chosen, failed, held = choice.choose_renewed(trying, seen.parts, current, outdated, checked, live=live)
    unproven: tuple[Finding, ...] = ()
    if live:
        renew = [name for name in outdated if name in upgrades.NGINX and kinds.NGINX not in held]
        chosen, unproven = _activate(stage, chosen, current, renew, start=wish.start)
        users.settle()
    unseen = direct.unseen(host, chosen.parts[kinds.REGISTRY], chosen.slot) if live else ()
    waited = tuple(item for part, problems in held.items() for item in upgrades.held(part, problems, before))
    serving = chosen.name if live else ""
    users.refresh()
    told = findings("warning", kinds.REGISTRY, unseen)
    every = (*interrupted, *users.findings, *seen.findings, *failed, *waited, *unproven, *told)
    if any(finding.kind != "warning" for finding in every):
        every = (*every, *findings("warning", kinds.SETTINGS, sources.mounted(host.paths)))
    counted = records.digest(users.live.read() or b"") if live else ""
    report = Report(
        generation=serving,
        since=before.since if before.since and before.generation == serving else time.time(),
        findings=every,
        waiting=seen.waiting | upgrades.waiting(held, before),
        fingerprint=seen.fingerprint if seen.users == users.mark else "",
        users=counted,
        sources=seen.sources,
        checked=chosen.name,
        fresh=tuple(finding for finding in every if finding not in before.findings),
        # a run that was cut short told nobody what it had changed already
        changed=current is None
        or chosen.name != current.name
        or (live and (chosen.name, counted) != (before.generation, before.users)),
        provisioned=seen.provisioned,
    )
    if away := [finding.problem for finding in unproven if finding.kind == "away"]:
        retries.failed(host.paths, away, start=False)
    elif live:
        retries.done(host.paths)
    with contextlib.suppress(SecregError):  # a full disk must not stop what serves
        reports.save(host.paths, report)
        generations.prune(host)
    reserve.of_state(host.paths).keep()
    return report


def _redo(host: Host) -> tuple[Finding, ...]:
    """Finish what a crash cut in two; if that can't be done now, a later run will."""
    try:
        records.redo(host.paths)
    except SecregError as error:
        return findings("rejected", kinds.SETTINGS, error.problems)
    return ()


def _activate(
    stage: Stage, chosen: Generation, current: Generation | None, renew: list[str], *, start: bool
) -> tuple[Generation, tuple[Finding, ...]]:
    """`activate`; a start that fails leaves nothing half-running behind. Else what runs is never stopped: a process
    that was just killed, for which nothing serves right now, is on its way back."""
    served = not start or (current is not None and activate.serves(current))
    try:
        return activate.activate(stage, chosen, current, renew)
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
    of all that ("": it changed meanwhile), and the mark of .htpasswd in it."""

    parts: dict[str, Part]
    findings: tuple[Finding, ...]
    waiting: dict[str, float]
    provisioned: Provisioned
    sources: tuple[str, ...]
    fingerprint: str
    users: str


def _read_whole(stage: Stage, wish: Wish, current: Generation | None, before: Report) -> Seen:
    """`read`, again if something changed meanwhile: half of it may be of before, or between two steps of a save."""
    for _ in range(READS):
        seen = read(stage, wish, current, before)
        if seen.fingerprint or seen.provisioned.written:
            break
    return seen


def read(stage: Stage, wish: Wish, current: Generation | None, before: Report) -> Seen:
    """Read every part. Raises BadInput with all problems when a part is bad that never was good."""
    host = stage.host
    found: list[Finding] = []
    parts: dict[str, Part] = {}
    waiting: dict[str, float] = {}
    known = current.parts if current is not None else {}
    first = sources.marks(host.paths, ())

    def take(name: str, one: Reading) -> None:
        kind = "rejected"
        if one.waiting:
            waiting[name] = before.waiting.get(name, time.time())
            kind = "waiting" if time.time() - waiting[name] < WAIT_SECONDS else kind
        found.extend(findings(kind, name, one.problems))
        found.extend(findings("warning", name, one.warnings))
        part = one.part or known.get(name)
        if part is not None:
            parts[name] = part

    provisioned = Provisioned()
    settings: Settings | None = None
    try:
        settings, given = _settings(stage, wish, current)
        take(kinds.SETTINGS, given)
    except BaseException as error:
        take(kinds.SETTINGS, Reading(None, bugs.caught(error, host.paths.conf, serves=current is not None)))
    try:
        if settings is not None:
            provisioned = provision.provision(
                host, settings, wish.environment, create=wish.create, restore=wish.restore
            )
        else:
            provisioned = provision.renew(host, kinds.settings_of(parts[kinds.SETTINGS]))
    except BaseException as error:
        told = bugs.caught(error, host.paths.etc, serves=current is not None)
        take(kinds.SETTINGS, Reading(parts[kinds.SETTINGS], told))
    begun = sources.marks(host.paths, ())
    now = datetime.now(UTC)
    take(
        kinds.CERTIFICATE,
        kinds.guarded(host.paths.crt, lambda: kinds.read_certificate(host.paths, now, known.get(kinds.CERTIFICATE))),
    )
    kept = kinds.settings_of(parts[kinds.SETTINGS])
    take(kinds.REGISTRY, kinds.guarded(host.paths.registry_yml, lambda: _registry(host, kept)))
    images = imagesplace.places(parts[kinds.REGISTRY].facts) if kinds.REGISTRY in parts else ()
    take(kinds.NGINX, kinds.guarded(host.paths.nginx_conf, lambda: _nginx(host, kept, images)))
    found.extend(findings("warning", kinds.SETTINGS, units.strangers(host)))
    found.extend(findings("warning", exposure.PART, (*exposure.problems(host.paths), *hooks.refused(host.paths))))
    if module := njs.module(host, kept):
        found.extend(findings("warning", kinds.NGINX, module.warnings))
    if len(parts) < len(kinds.ALL):
        raise BadInput([finding.problem for finding in found if finding.kind != "warning"])
    watched = _watched(host, parts, known)
    fingerprint = sources.fingerprint(host.paths, watched)
    written = {str(path) for path in provisioned.written}
    same = sources.marks(host.paths, ()) == begun and all(
        first.get(name) == begun.get(name) for name in {*first, *begun} - written
    )
    if parts[kinds.NGINX] != known.get(kinds.NGINX):
        same = same and kinds.outside(parts[kinds.NGINX]) == parts[kinds.NGINX].facts["outside"]
    users = begun.get(str(host.paths.htpasswd)) or sources.mark(str(host.paths.htpasswd))
    return Seen(parts, tuple(found), waiting, provisioned, watched, fingerprint if same else "", users)


def _watched(host: Host, parts: Mapping[str, Part], known: Mapping[str, Part]) -> tuple[str, ...]:
    """What is a change besides the directory: files that nginx reads, there or not, and patterns; the programs, also
    those of `known`, which serve; whether images that are on a network file system can be reached."""
    root, real = parts[kinds.REGISTRY].facts["root"], imagesplace.real(parts[kinds.REGISTRY].facts)
    far = [root] if root and (distant.mount_of(root) or real != root) else []
    settings = {kinds.settings_of(some[kinds.SETTINGS]) for some in (parts, known) if some}
    run = sorted({program for one in settings for program in upgrades.programs(host, one)})
    read = parts[kinds.NGINX].facts.get("watched", ())
    return (*read, *map(str, host.paths.nginx_modules(njs.NAME)), *run, *far)


def _settings(stage: Stage, wish: Wish, current: Generation | None) -> tuple[Settings, Reading]:
    """The settings. In the place of a program that is none, that which serves goes on; the other settings count."""
    paths = stage.host.paths
    settings, one = kinds.read_settings(paths, wish.environment, known=current is not None and not wish.create)
    before = kinds.settings_of(current.parts[kinds.SETTINGS]) if current is not None else None
    if (wish.start or before) and (problems := backend.problems(settings, before, paths.conf)):
        raise BadInput(problems)
    if one.part is None:
        return settings, one
    known = current.parts[kinds.SETTINGS] if current is not None else None
    refuses = functools.partial(stage.services.refuses, meanwhile=stage.meanwhile)
    wrong = programs.unusable(paths.conf, one.part, known, refuses)
    if wrong and known is None:
        raise BadInput(list(wrong.values()))
    if not wrong or known is None:
        return settings, one
    part = programs.taking(one.part, known, wrong)
    return replace(kinds.settings_of(part), password=settings.password), Reading(part, tuple(wrong.values()))


def _nginx(host: Host, settings: Settings, images: Sequence[Path]) -> Reading:
    if not settings.nginx_binary:
        hosts.nginx()
    return kinds.read_nginx(host.paths, images)


def _registry(host: Host, settings: Settings) -> Reading:
    if not settings.own_registry:
        return Reading(Part({}, {"root": None, "auth": True, "more": "it runs elsewhere"}))
    if not settings.registry_binary:
        hosts.registry()
    reading = kinds.read_registry(host.paths)
    if reading.part is None or (root := reading.part.facts["root"]) is None:
        return reading
    place = imagesplace.resolved(root)
    if wrong := imagesplace.refused(host, root, place):
        line = registryconf.line_of(reading.part.files[kinds.REGISTRY_YML], "rootdirectory")
        return Reading(None, (Problem(f"{reading.part.sources[0]}:{line}", *wrong),))
    if problems := provision.storage_problems(host, reading.part):
        return Reading(None, problems)
    part = replace(reading.part, facts=reading.part.facts | {"real": place})
    return direct.checked(host, replace(reading, part=part))


def exit_code(report: Report) -> Exit:
    """What the outcome of an apply is for a shell."""
    kinds_found = {finding.kind for finding in report.findings}
    if kinds_found & {"unproven", "away"}:
        return Exit.DEGRADED
    return Exit.BAD_INPUT if kinds_found & {"rejected", "waiting"} else Exit.DONE
