"""Reading what /etc says: every part, as it is or in its last good version, as long as that holds still."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from secreg_host.apply import backend, hooks, upgrades
from secreg_host.apply.activate import Stage
from secreg_host.apply.report import Finding, Report, findings
from secreg_host.apply.wish import Wish
from secreg_host.base import bugs, distant
from secreg_host.base.errors import BadInput, Problem
from secreg_host.formats import registryconf
from secreg_host.generation import direct, njs
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

log = logging.getLogger(__name__)

READS = 3
"""How often everything is read while it changes; then what was read last counts, and the watchdog asks again."""

WAIT_SECONDS = 10.0
"""How long the second half of a pair is waited for before the pair is called wrong."""


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


def take(stage: Stage, wish: Wish, current: Generation | None, before: Report) -> Seen:
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

    def add(name: str, one: Reading) -> None:
        kind = "rejected"
        if one.waiting:
            waiting[name] = before.waiting.get(name, time.time())
            kind = "waiting" if time.time() - waiting[name] < WAIT_SECONDS else kind
        found.extend(findings(kind, name, one.problems))
        found.extend(findings("warning", name, one.warnings))
        part = one.part or known.get(name)
        log.debug("part %s: %s", name, _verdict(one, known.get(name)))
        if part is not None:
            parts[name] = part

    provisioned = Provisioned()
    settings: Settings | None = None
    try:
        settings, given = _settings(stage, wish, current)
        add(kinds.SETTINGS, given)
    except BaseException as error:
        add(kinds.SETTINGS, Reading(None, bugs.caught(error, host.paths.conf, serves=current is not None)))
    try:
        provisioned = _provisioned(host, wish, settings, parts)
    except BaseException as error:
        told = bugs.caught(error, host.paths.etc, serves=current is not None)
        add(kinds.SETTINGS, Reading(parts[kinds.SETTINGS], told))
    begun = sources.marks(host.paths, ())
    now = datetime.now(UTC)
    add(
        kinds.CERTIFICATE,
        kinds.guarded(host.paths.crt, lambda: kinds.read_certificate(host.paths, now, known.get(kinds.CERTIFICATE))),
    )
    kept = kinds.settings_of(parts[kinds.SETTINGS])
    add(kinds.REGISTRY, kinds.guarded(host.paths.registry_yml, lambda: _registry(host, kept)))
    images = imagesplace.places(parts[kinds.REGISTRY].facts) if kinds.REGISTRY in parts else ()
    add(kinds.NGINX, kinds.guarded(host.paths.nginx_conf, lambda: _nginx(host, kept, images)))
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


def _verdict(one: Reading, known: Part | None) -> str:
    """What counts for a part, for the log."""
    if one.part is None:
        return f"{'waited for' if one.waiting else 'bad'}, {'the last good one counts' if known else 'never was good'}"
    return "good" if known is None else "good, unchanged" if one.part == known else "good, changed"


def _provisioned(host: Host, wish: Wish, settings: Settings | None, parts: Mapping[str, Part]) -> Provisioned:
    """What is missing is made; without `settings` that can be read, what is there is kept up by those of `parts`."""
    if settings is None:
        return provision.renew(host, kinds.settings_of(parts[kinds.SETTINGS]))
    return provision.provision(host, settings, wish.environment, create=wish.create, restore=wish.restore)


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
