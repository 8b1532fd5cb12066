"""Bringing a staged generation to life: the registry's slot first, then the flip, then nginx, then the proof."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

from secreg_host.apply import backend, clientproof, faults, portconflicts, probe, rehearsal, store
from secreg_host.apply.report import Finding, findings
from secreg_host.base import files, waiting
from secreg_host.base.errors import BadInput, Problem, SecregError
from secreg_host.generation import assemble, generations, policyfile
from secreg_host.generation.assemble import NO_SLOT
from secreg_host.generation.generations import Generation
from secreg_host.host import ports, processes
from secreg_host.host.host import Host
from secreg_host.services.services import Services
from secreg_host.wanted import programs, provision
from secreg_host.wanted.parts import access, kinds, users
from secreg_host.wanted.parts.access import AccessPart
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.parts.settings import SettingsPart

log = logging.getLogger(__name__)

REGISTRY_SECONDS = 20.0
RUNNING_SECONDS = 2.0
"""How long a registry that runs already is waited for: its back end may be away."""

PROOF_SECONDS = 10.0

WORKERS_SECONDS = 10.0
"""How long nginx's old workers are waited for before the registry that they pass requests on to is told to end."""


@dataclass(frozen=True)
class Stage:
    """Where generations come to life: the host, and who runs its processes. meanwhile: called again and again while
    something slow is waited for, lest it holds up a removed user."""

    host: Host
    services: Services
    meanwhile: Callable[[], None] = lambda: None


def bring_up_registry(stage: Stage, generation: Generation, *, proven: bool = False) -> tuple[Problem, ...]:
    """Start the registry of `generation` in its slot and wait until it answers; problems if it does not.

    proven: it served before, with the same configuration, so what it needs is away: it is not waited for again and
    again if it runs.
    """
    host, services = stage.host, stage.services
    if generation.slot == NO_SLOT:
        said = backend.wrong(host, generation)
        return (backend.problem(host, generation, said),) if said else ()
    name = f"registry@{generation.slot}"
    running = services.running(name)
    if away := store.away(generation, runs=running):  # it would fill what is in the place of its store
        if running:
            services.stop(name, wait=False)
        return away
    link = host.paths.slot(generation.slot)
    runs = proven and services.running(name) and not services.died(name)
    started = False
    for _ in waiting.looks(RUNNING_SECONDS if runs else REGISTRY_SECONDS, meanwhile=stage.meanwhile):
        said = backend.wrong(host, generation) if services.running(name) else "it does not run"
        if not said or (started and services.died(name)):
            break
        if services.died(name) or not services.running(name):
            files.make_directory(link.parent, 0o711)
            files.flip(link, f"../generations/{generation.name}/registry")
            services.prepare_registry(generation.parts, generation.slot)
            log.debug("%s: started, with generation %s", name, generation.name)
            try:
                provision.make_http_secret(host.paths.http_secret)
                services.start(name)
            except SecregError as error:  # what it needs, such as a mount, is away
                return error.at(generation.parts[RegistryPart].place)
            started = True
    if said and proven and not services.died(name):
        return (backend.problem(host, generation, said),)
    if said:
        words = services.last_words(name) if services.died(name) else [f"it does not answer ({said})"]
        services.stop(name)  # else it is started again and again, without a pause
        return (faults.of_start(host, generation, [line.replace(f"{link}/", "") for line in words]),)
    log.debug("%s: answers", name)
    if root := generation.parts[RegistryPart].root:
        services.show_images(generation.slot, root)
    return ()


def activate(
    stage: Stage, new: Generation, current: Generation | None, renew: Collection[str] = ()
) -> tuple[Generation, tuple[Finding, ...]]:
    """Let `new` (staged, rehearsed, its registry up) serve, and prove it; returns what serves then.

    renew: processes of nginx's whose program changed.

    When it can't be proven, the parts of `current` serve again, and the findings say why. A registry that served before
    and does not answer is `away`, a password check that hangs `unproven`: all else serves. Raises SecregError when
    there is nothing to go back to.
    """
    access.remember(stage.host.paths, new.parts[AccessPart])
    stage.services.prepare(new.parts, new.slot)
    if current is not None and programs.differs(new.settings, current.settings, programs.NGINX):
        renew = ("nginx", "auth")
    _make_room(stage, new, current)
    moves = current is not None and current.slot != new.slot
    same = backend.same(new, current)
    before = stage.services.pids("nginx") if moves else set()
    try:
        found = _switch(stage, new, current, renew, proven=same)
    except SecregError as error:
        if current is None or current.name == new.name:
            raise
        log.debug("not proven (%s): back to %s", error.message, current.name)
        back = _way_back(stage, current)
        stage.services.prepare(back.parts, back.slot)
        found = _switch(stage, back, new, renew, proven=True)
        generations.mark_proven(stage.host, back.name)
        _retire(stage, new, back, before)
        changed = [kind for kind in kinds.REVERTIBLE if new.parts[kind] != back.parts[kind]] or [SettingsPart]
        unproven = tuple(
            one for kind in changed for one in findings("unproven", kind.NAME, error.at(new.parts[kind].place))
        )
        return back, (*unproven, *found)
    generations.mark_proven(stage.host, new.name)
    if current is not None:
        _retire(stage, current, new, before)
    return new, found


def _make_room(stage: Stage, new: Generation, current: Generation | None) -> None:
    """Let a registry end that has the address of its metrics itself, as before version 0.2: nginx is to have it."""
    debug = new.parts[RegistryPart].debug
    name = f"registry@{current.slot}" if current is not None and debug else ""
    if debug and name and ports.sockets_of(stage.services.pids(name)) & set(ports.holders(debug)):
        stage.services.stop(name)


def last_good(stage: Stage) -> Generation | None:
    """The current generation; or, if a run was cut short before it was proven and it does not serve, the one before."""
    host = stage.host
    name, proven = generations.current_name(host), generations.proven_name(host)
    current = generations.load(host, name)
    if current is None and name != proven:
        return generations.load(host, proven)
    if current is None or proven in (None, name) or serves(host, current):
        return current
    return generations.load(host, proven) or current


def _switch(
    stage: Stage, new: Generation, old: Generation | None, renew: Collection[str] = (), *, proven: bool = False
) -> tuple[Finding, ...]:
    """Flip to `new`, make every process use it, and prove it; returns what is wrong that keeps nothing from serving.
    Raises SecregError with what does.

    proven: its registry served before, and may be away. While the front serves, it is not kept waiting for it either.
    """
    host, services = stage.host, stage.services
    serving = services.up("nginx")
    if not serving and (error := portconflicts.problem(services, new.taken)):
        raise portconflicts.placed(host, new, error)
    away = () if proven and serving else bring_up_registry(stage, new, proven=proven)
    if away and not proven:
        raise BadInput(away)
    policyfile.keep(host, new.parts[AccessPart])
    generations.flip(host, new.name)
    if new.slot != NO_SLOT:
        files.flip(host.paths.slot(new.slot), "../current/registry")
    wrong, died = _serve(stage, new, old, renew, proven=proven)
    if died:  # killed, for all we know: it is on its way back
        if not proven and (problems := bring_up_registry(stage, new)):
            raise BadInput(problems)
        wrong, _ = _serve(stage, new, old, (), proven=proven)
    hangs = [faults.of_login(wrong, clientproof.unheard(host))] if isinstance(wrong, clientproof.Late) else []
    late = findings("unproven", users.NAME, hangs)
    if wrong and not late:
        absent = portconflicts.absent(new.taken)
        raise (
            portconflicts.placed(host, new, absent)
            if absent
            else SecregError(wrong, "what it said: journalctl -u 'secure-registry*' -n 50")
        )
    if proven and serving:
        away = bring_up_registry(stage, new, proven=proven)
    return (*late, *findings("away", RegistryPart.NAME, away))


def _serve(
    stage: Stage, new: Generation, old: Generation | None, renew: Collection[str], *, proven: bool
) -> tuple[str, bool]:
    """Make every process use `new`, the current generation, and prove it; what is wrong ("": nothing), and whether
    it is that one of them ended. proven: its registry, which may be away, is none of them."""
    host, services = stage.host, stage.services
    did = old is None or old.name != new.name
    same_front = old is not None and old.front == new.front
    for name, same in (("auth", not new.differs(old, "auth/nginx.conf")), ("nginx", same_front)):
        if services.died(name) or not services.running(name):
            log.debug("%s: started", name)
            services.start(name)
        elif name == "nginx" and old is not None and ports.kept_from(new.taken, old.taken):
            log.debug("%s: stopped and started, for it keeps itself from an address", name)
            services.stop(name)  # which serves nobody, or is on its way back: else this was held back
            services.start(name)
        elif name in renew:
            log.debug("%s: renewed, its program is another one", name)
            services.renew(name)
        elif not same:
            log.debug("%s: reloaded", name)
            services.reload(name)
        else:
            log.debug("%s: passed over, unchanged", name)
            continue
        did = True
    dead = ""

    def look() -> str:
        nonlocal dead
        stage.meanwhile()
        dead = _dead(services, new, NO_SLOT if proven else new.slot)
        return dead

    wants, doors = rehearsal.expectations(host, new), rehearsal.doors(new)
    if not did:  # one look tells, if no earlier run was killed before its reload
        wrong = probe.prove(wants, doors, 0.0, look, in_a_row=1) or clientproof.entered(host, new, 0.0, look)
        if not wrong or dead or isinstance(wrong, probe.Open | clientproof.Late):
            return wrong, bool(dead)
        services.reload("auth")
        services.reload("nginx")
    wrong = probe.prove(wants, doors, PROOF_SECONDS, look) or clientproof.entered(host, new, PROOF_SECONDS, look)
    return wrong, bool(dead)


def _dead(services: Services, generation: Generation, slot: str) -> str:
    names = ["nginx", "auth", *([f"registry@{slot}"] if slot != NO_SLOT else [])]
    for name in names:
        if services.died(name):
            return faults.of_end(name, services.last_words(name), generation.parts[RegistryPart].yml)
    return ""


def _way_back(stage: Stage, current: Generation) -> Generation:
    """`current`, as this version of the program renders it."""
    back = assemble.assemble(stage.host, current.parts, current.slot)
    generations.stage(stage.host, back, assemble.generation_conf(back))
    return back


def retire_strays(stage: Stage, current: Generation) -> None:
    """Let registries end that runs left behind which were killed, not while one of them may still serve; and remove the
    links of those that do not run."""
    strays = stage.services.slots() - {current.slot}
    if strays and serves(stage.host, current):
        for slot in sorted(strays):
            stage.services.stop(f"registry@{slot}", wait=False)
        strays = set()
    with contextlib.suppress(OSError):
        for link in stage.host.paths.slot(current.slot).parent.iterdir():
            if link.name not in {current.slot, *strays}:
                link.unlink()


def _retire(stage: Stage, old: Generation, new: Generation, before: set[int]) -> None:
    """Let the registry of `old` finish what it does and end, if `new` has another.

    before: nginx's processes before it was reloaded. Its old workers may have requests whose password is still checked:
    the old registry, which takes no new connections from then on, waits for them. A slow upload keeps a worker for
    longer, but is with the registry already.
    """
    if old.slot in (NO_SLOT, new.slot):
        return
    # the master stays
    waiting.until(lambda: len(before & stage.services.pids("nginx")) <= 1, WORKERS_SECONDS, 0.02, stage.meanwhile)
    stage.services.stop(f"registry@{old.slot}", wait=False)
    with contextlib.suppress(OSError):
        stage.host.paths.slot(old.slot).unlink()


def serves(host: Host, generation: Generation) -> bool:
    """Whether the world gets the answers of `generation` right now."""
    return not any(probe.once(want) for want in rehearsal.expectations(host, generation))


def reaches(host: Host, generation: Generation) -> bool:
    """Whether the world gets an answer of `generation` on any of its addresses."""
    return any(not probe.once(want) for want in rehearsal.expectations(host, generation))


def stop_all(stage: Stage) -> None:
    """Stop every process, the front first."""
    for name in processes.NAMES:
        if stage.services.running(name):
            stage.services.stop(name)
