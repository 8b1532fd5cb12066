"""One look at the instance: what serves, how each component is and since when, and what the last apply held back."""

from __future__ import annotations

import contextlib
import functools
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from secreg_host.apply import report as reports
from secreg_host.apply.report import Report, findings
from secreg_host.base import files, waiting
from secreg_host.base.errors import Exit, Problem, SecregError
from secreg_host.base.snapshot import Snapshot
from secreg_host.generation import generations
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host
from secreg_host.observe import components, kept, proof, scene, state
from secreg_host.observe.kept import Kept
from secreg_host.observe.proof import NONE, Proof
from secreg_host.observe.state import Component, Condition, State
from secreg_host.pki import chains, clientrules, ours
from secreg_host.services import units
from secreg_host.wanted import authority, defaults
from secreg_host.wanted.parts import users as users_part
from secreg_host.wanted.parts.certificate import CertificatePart
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.parts.settings import SettingsPart
from secreg_host.wanted.settings import Settings
from secreg_host.watchdog import retries

if TYPE_CHECKING:
    from secreg_host.base.systemd import Systemd

CHANGE_SECONDS = 20.0
"""How long a change that is on its way is waited for."""

BACK_SECONDS = 1.0
"""How long a process that was killed is waited for: it is on its way back."""


@dataclass(frozen=True)
class Look:
    """A look at the instance.

    components: how each is; down: "" while it serves, else why it does not; unknown: "", or why it is not known whether
    it does; unit: the state of nginx's unit; since: when it began to serve, or ceased to (seconds since the epoch);
    taken: when it was looked; retry: what is tried again; proof: what was proven last; sandboxed: it may only look so,
    from where somebody else's sandbox lets nobody see all of the host.
    """

    host: Host
    generation: Generation | None
    report: Report
    components: tuple[State, ...]
    down: str
    unit: str
    since: float
    taken: float
    retry: retries.Retry | None = None
    unknown: str = ""
    proof: Proof = NONE
    sandboxed: bool = False

    @property
    def missing(self) -> tuple[State, ...]:
        """The components that people miss."""
        return tuple(one for one in self.components if one.condition is Condition.DOWN)

    @property
    def away(self) -> bool:
        """Whether nginx runs and something is away without which nobody can push or pull."""
        return _runs(self.unit) and any(one.component in state.SERVING for one in self.missing)

    @property
    def failed(self) -> bool:
        """Whether the last apply failed as a whole."""
        return any(finding.kind == "failed" for finding in self.report.findings)

    @property
    def code(self) -> Exit:
        """The exit code of `status`."""
        return Exit.DEGRADED if self.down or self.unknown or self.missing or self.report.rejected else Exit.DONE

    @property
    def kept(self) -> Kept:
        """What later looks need to know of this one."""
        return Kept(self.taken, self.since, not (self.down or self.unknown), self.components, self.proof)


def look(host: Host, *, sandboxed: bool = False) -> Look:
    """Ask the world, systemd and the last report; while a change is on its way, its end is waited for before anything
    is called wrong. sandboxed: as in `Look`. Raises SecregError when the state can't be read."""
    before = kept.load(host.paths)
    back = waiting.within(BACK_SECONDS)
    for _ in waiting.looks(CHANGE_SECONDS, 0.05):
        found = _look(host, before)
        changing = bool(found.down or found.unknown or found.failed) and files.held(host.paths.lock)
        if not changing and (back.over or not _on_its_way(found)):
            break
    retry = retries.load(host.paths)
    held = retry is not None and any(finding.problem in retry.what for finding in found.report.rejected)
    trouble = found.down or found.missing or found.failed or held
    return replace(found, retry=retry if trouble else None, sandboxed=sandboxed)


def _on_its_way(found: Look) -> bool:
    """Whether a process that was killed may just be coming back."""
    return any(one.component in state.PROCESSES for one in found.missing)


def _look(host: Host, before: Kept) -> Look:
    now = time.time()
    generation = generations.load(host, generations.current_name(host))
    settings = generation.settings if generation is not None else None
    report = _with_own_looks(host, reports.load(host.paths), settings)
    manager, unit, begun = systemd_of(host), "", _began(host)
    if manager is not None:
        with contextlib.suppress(SecregError):
            nginx = manager.state(units.unit_of("nginx"))
            unit, begun = f"{nginx.active} ({nginx.sub})", nginx.since
    retry = retries.load(host.paths)
    if retry and not retry.start:
        known = {finding.problem for finding in report.findings}
        more = findings("failed", SettingsPart.NAME, [problem for problem in retry.what if problem not in known])
        report = replace(report, findings=(*report.findings, *more))
    failed = f"it does not start: {retry.what[0].what}" if retry and retry.start and retry.what else ""
    stopped = "" if _runs(unit) else failed or f"it is stopped; start it: {components.START}"
    if generation is None:
        damaged = generations.current_name(host)
        down = failed or (stopped if damaged else "nothing was ever set up: secure-registry start")
        unknown = "" if down else _unknown(damaged, unit)
        since = before.begun(serving=False, unit=0.0, now=now)
        return Look(host, None, report, (), down, unit, since, now, unknown=unknown)
    facts = {one.component: one.facts for one in before.components}
    seen = components.every(scene.of(host, generation, report, manager, facts))
    last = before.proof if not report.unproven(RegistryPart.NAME) else NONE
    proven = _proven(host, generation, seen, last, now)
    seen = proof.applied(seen, proven)
    states = state.dated(seen, before.components, now)
    missing = next((one for one in states if one.component in state.SERVING and one.condition is Condition.DOWN), None)
    down = stopped or ("" if missing is None else f"{missing.component}: {missing.said}")
    since = before.begun(serving=not down, unit=begun, now=now)
    return Look(host, generation, _without_away(report, states), states, down, unit, since, now, proof=proven)


def _runs(unit: str) -> bool:
    """Whether nginx runs, whose unit is in the state `unit`, as far as that is known."""
    return not unit or unit.startswith(("active", "reloading"))


def _proven(host: Host, generation: Generation, seen: tuple[State, ...], before: Proof, now: float) -> Proof:
    """The last proof, or another one when it is due; not while what is asked for it is down."""
    down = {one.component for one in seen if one.condition is Condition.DOWN}
    if down & {*state.SERVING} or not before.due(now):
        return before
    return proof.prove(host, generation)


def _began(host: Host) -> float:
    """When nginx was started, where no systemd can tell it, in seconds since the epoch; 0: it is not known."""
    with contextlib.suppress(OSError):
        return (host.paths.front_run / "nginx.pid").stat().st_mtime
    return 0.0


def systemd_of(host: Host) -> Systemd | None:
    """systemd, where it runs the instance and answers."""
    with contextlib.suppress(SecregError):
        return host.manager()
    return None


def _unknown(damaged: str | None, unit: str) -> str:
    """Why it is not known what serves while the generation `damaged` is the current one; unit: the state of nginx's."""
    runs = f"nginx is {unit}" if unit else "what runs may still answer"
    return f"{runs}, but generation {damaged} is damaged; have it made anew: secure-registry reload"


def _without_away(report: Report, states: tuple[State, ...]) -> Report:
    """The last report, but for what it says of the registry behind the front, its store and the password check, when
    these were asked and are well."""
    well = {one.component for one in states if one.condition is Condition.OK}
    over = {("away", RegistryPart.NAME)} if Component.REGISTRY in well else set()
    over |= {("unproven", RegistryPart.NAME)} if {Component.REGISTRY, Component.STORE} <= well else set()
    over |= {("unproven", users_part.NAME)} if {Component.FRONT, Component.PASSWORDS} <= well else set()
    left = (finding for finding in report.findings if (finding.kind, finding.part) not in over)
    return replace(report, findings=tuple(left))


def _with_own_looks(host: Host, report: Report, settings: Settings | None) -> Report:
    """The last report, but for what changes without an apply: the CA's key, which may be lost or come back, the host's
    name and addresses."""
    with contextlib.suppress(SecregError):
        disk = Snapshot(host.paths)
        crt = disk.content(host.paths.crt) or b""
        told = [*ours.warnings(disk, crt), *(moved(host, disk, settings) if settings is not None else ())]
        others = [finding for finding in report.findings if finding.problem.where != str(host.paths.ca_key)]
        return replace(report, findings=(*others, *findings("warning", CertificatePart.NAME, told)))
    return report


def moved(host: Host, disk: Snapshot, settings: Settings) -> tuple[Problem, ...]:
    """What clients need that know this host by another name or address than its certificate."""
    crt, known = disk.content(host.paths.crt) or b"", defaults.recorded(host)
    if known is None or not ours.is_our_certificate(disk, crt):
        return ()
    outside = functools.partial(authority.outside, disk)
    covered = functools.partial(clientrules.covers, chains.peek(crt)[0])
    return defaults.moved(host.paths.conf, settings, known, outside, covered)
