"""Reading what /etc says: every part, as it is or in its last good version, as long as that holds still."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from secreg_host.apply import hooks, settled, upgrades
from secreg_host.apply.activate import Stage
from secreg_host.apply.report import Finding, Report, findings
from secreg_host.apply.wish import Wish
from secreg_host.base import bugs, marks
from secreg_host.base.errors import BadInput
from secreg_host.base.snapshot import Snapshot
from secreg_host.generation import generations, njs
from secreg_host.generation.generations import Generation
from secreg_host.host import dockerfiles
from secreg_host.host.host import Host
from secreg_host.services import units
from secreg_host.wanted import authority, cautions, exposure, provision, sources
from secreg_host.wanted.parts import kinds
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.parts.part import Context, Part, Parts, Reading, guarded
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.parts.settings import SettingsPart
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
    of all that ("": it changed meanwhile), and the mark of users in it; when time alone makes it be read otherwise
    (seconds since the epoch; 0: never)."""

    parts: Parts
    findings: tuple[Finding, ...]
    waiting: dict[str, float]
    provisioned: Provisioned
    sources: tuple[str, ...]
    fingerprint: str
    users: str
    again: float = 0.0


def take(stage: Stage, wish: Wish, current: Generation | None, before: Report) -> Seen:
    """`read`, again if something changed meanwhile: half of it may be of before, or between two steps of a save."""
    outside = before.sources
    for _ in range(READS):
        seen = read(stage, wish, current, before, outside)
        if seen.fingerprint or seen.provisioned.written:
            break
        outside = seen.sources
    return seen


def read(stage: Stage, wish: Wish, current: Generation | None, before: Report, outside: Collection[str] = ()) -> Seen:
    """Read every part. outside: what is expected to be read besides the directory, which is marked before; of more than
    that, or less, nobody can say that it did not change meanwhile. Raises BadInput with all problems when a part is bad
    that never was good."""
    host = stage.host
    found: list[Finding] = []
    waiting: dict[str, float] = {}
    again: list[float] = []
    known = current.parts if current is not None else Parts()
    parts = Parts()
    own = set(sources.own_files(host.paths))
    begun = sources.marks(host.paths, outside, own)
    disk = Snapshot(host.paths, begun)

    def add(kind: type[Part], one: Reading[Part]) -> None:
        nonlocal parts
        again.extend([one.again.timestamp()] if one.again else ())
        name, said = kind.NAME, "rejected"
        if one.waiting:
            waiting[name] = before.waiting.get(name, time.time())
            said = "waiting" if time.time() - waiting[name] < WAIT_SECONDS else said
        found.extend(findings(said, name, one.problems))
        found.extend(findings("warning", name, one.warnings))
        log.debug("part %s: %s", name, _verdict(one, known.get(kind)))
        if (part := one.part or known.get(kind)) is not None:
            parts = parts.having(part)

    provisioned = Provisioned()
    settings: Settings | None = None
    try:
        settings, given = settled.read(stage, disk, wish, current)
        add(SettingsPart, given)
    except BaseException as error:
        add(SettingsPart, Reading(None, bugs.caught(error, host.paths.conf, serves=current is not None)))
    try:
        provisioned = _provisioned(host, disk, wish, settings, parts)
        found.extend(findings("warning", SettingsPart.NAME, provisioned.warnings))
        found.extend(_cautions(disk, parts[SettingsPart].settings))
    except BaseException as error:
        told = bugs.caught(error, host.paths.etc, serves=current is not None)
        add(SettingsPart, Reading(parts[SettingsPart], told))
    written = {path for path in provisioned.written if path.parent == host.paths.etc}
    own |= written
    begun |= {str(path): marks.mark(path) for path in written}
    now = datetime.now(UTC)
    for kind in kinds.FILES:
        context = Context(host, disk, now, parts, known)
        add(kind, guarded(kind.where(host.paths), functools.partial(kind.read, context)))
    found.extend(_weaknesses(host, disk))
    if module := njs.module(host, parts[SettingsPart].settings):
        found.extend(findings("warning", NginxPart.NAME, module.warnings))
    if len(parts) < len(kinds.ALL):
        raise BadInput([finding.problem for finding in found if finding.kind != "warning"])
    watched = _watched(host, parts, known)
    fingerprint = _fingerprint(host, own, begun, watched, first=bool(provisioned.written))
    nginx = parts[NginxPart]
    if nginx != known.get(NginxPart) and nginx.outside_now() != nginx.outside:
        fingerprint = ""
    users = sources.users_mark(host.paths, begun)
    return Seen(parts, tuple(found), waiting, provisioned, watched, fingerprint, users, min(again, default=0.0))


def _fingerprint(host: Host, own: set[Path], begun: Mapping[str, str], watched: Collection[str], *, first: bool) -> str:
    """The fingerprint of `own`, the files of the directory, and of what is `watched` besides; "": not all of it is as
    it was before it was read (`begun`: their marks). first: of what is outside no mark was taken, and there is no
    second read, so that it counts as it is now."""
    there = set(sources.own_files(host.paths))
    now = sources.marks(host.paths, watched, there)
    if first:
        begun = {**now, **begun}
    return sources.fingerprint_of(now) if there == own and now == begun else ""


def _cautions(disk: Snapshot, settings: Settings) -> tuple[Finding, ...]:
    """Warnings about settings that hold."""
    told = (*authority.differs(disk, settings), *cautions.short(disk.paths.conf, settings))
    return findings("warning", SettingsPart.NAME, told)


def _weaknesses(host: Host, disk: Snapshot) -> tuple[Finding, ...]:
    """Warnings about what no part is: units that are links, and what others than root can read or write."""
    exposed = (*exposure.problems(disk), *hooks.refused(host.paths))
    return (
        *findings("warning", SettingsPart.NAME, units.links(host)),
        *findings("warning", exposure.PART, exposed),
    )


def _verdict(one: Reading[Part], known: Part | None) -> str:
    """What counts for a part, for the log."""
    if one.part is None:
        return f"{'waited for' if one.waiting else 'bad'}, {'the last good one counts' if known else 'never was good'}"
    return "good" if known is None else "good, unchanged" if one.part == known else "good, changed"


def _provisioned(host: Host, disk: Snapshot, wish: Wish, settings: Settings | None, parts: Parts) -> Provisioned:
    """What is missing is made; without `settings` that can be read, what is there is kept up by those of `parts`."""
    if settings is None:
        return provision.renew(host, disk, parts[SettingsPart].settings)
    fresh = generations.proven_name(host) is None
    return provision.provision(
        host, disk, settings, wish.environment, create=wish.create, restore=wish.restore, fresh=fresh
    )


def _watched(host: Host, parts: Parts, known: Parts) -> tuple[str, ...]:
    """What is a change besides the directory: files that nginx reads, there or not, and patterns; the programs, also
    those of `known`, which serve; where images are, if the watchdog gets there: something else may be mounted; and how
    dockerd is started, where something of it is ours."""
    registry = parts[RegistryPart]
    root = registry.root
    images = [root] if root and (not host.walled or sources.open_to_watchdog(Path(root))) else []
    settings = {some[SettingsPart].settings for some in (parts, known) if len(some)}
    run = sorted({program for one in settings for program in upgrades.programs(host, one)})
    told = parts[SettingsPart].settings.docker_trust == "insecure"
    docker = map(str, filter(sources.open_to_watchdog, dockerfiles.followed(host))) if told else ()
    return (*parts[NginxPart].watched, *map(str, host.paths.nginx_modules(njs.NAME)), *run, *images, *docker)
