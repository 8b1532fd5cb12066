"""Which generation is to serve: as much of what /etc says as is good together, tried before anything changes."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterable
from dataclasses import replace

from secreg_host.apply import activate, backend, clientproof, faults, portconflicts, rehearsal, storeproof, upgrades
from secreg_host.apply.activate import Stage
from secreg_host.apply.report import Finding, findings
from secreg_host.base import marks, waiting
from secreg_host.base.errors import BadInput, Problem, SecregError
from secreg_host.generation import assemble, generations
from secreg_host.generation.generations import Generation
from secreg_host.host import processes
from secreg_host.images import marker
from secreg_host.wanted import programs
from secreg_host.wanted.parts import kinds
from secreg_host.wanted.parts.certificate import CertificatePart
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.parts.part import Part, Parts
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.parts.settings import SettingsPart

log = logging.getLogger(__name__)

SLOT_SECONDS = 5.0
"""How long a slot of the registry is waited for that is about to be free."""

Step = str | type[Part]
"""What is tried by itself: a part, or a setting that names a program."""


def choose_renewed(
    stage: Stage,
    parts: Parts,
    current: Generation | None,
    outdated: tuple[str, ...],
    checked: str,
    *,
    live: bool,
) -> tuple[Generation, tuple[Finding, ...], dict[str, tuple[Problem, ...]]]:
    """`choose`, with the registry in another slot if its program is outdated; and why new programs can't be used."""
    held: dict[str, tuple[Problem, ...]] = {}
    renew = current is not None and bool(set(outdated) - set(upgrades.NGINX))
    if current is not None and renew:  # the new program with what serves: is it to blame for what comes?
        slot = backend.slot_for(current.parts, current, stage.services.slots(), renew=renew)
        same = assemble.assemble(stage.host, current.parts, slot)
        if problems := _check(stage, same, current, None, {}, live=live):
            held[RegistryPart.NAME], renew = problems, False
        else:
            stage.services.stop(f"registry@{slot}")
    try:
        tried = None if outdated or not live else current
        chosen, failed = choose(stage, parts, current, tried, checked, live=live, renew=renew)
    except BadInput as error:
        if current is None or not set(outdated) & set(upgrades.NGINX):
            raise
        return current, (), held | {NginxPart.NAME: error.problems}  # a new nginx that can't even do what serves
    unchanged = current is not None and chosen.name == current.name  # another one was rehearsed with the new program
    if outdated and unchanged and (problems := upgrades.nginx_problems(stage.host, chosen)):
        held[NginxPart.NAME] = problems
    return chosen, failed, held


def _slot(stage: Stage, parts: Parts, current: Generation | None, busy: set[str], *, renew: bool) -> str:
    """The slot of the registry for `parts` (backend.slot_for); where all are `busy`, one that is free within
    `SLOT_SECONDS`: a registry that was told to end mostly has little to finish. Raises SecregError."""
    with contextlib.suppress(SecregError):
        return backend.slot_for(parts, current, busy, renew=renew)
    waiting.until(lambda: len(stage.services.slots()) < len(processes.SLOTS), SLOT_SECONDS, meanwhile=stage.meanwhile)
    return backend.slot_for(parts, current, stage.services.slots(), renew=renew)


def choose(
    stage: Stage,
    parts: Parts,
    current: Generation | None,
    tried: Generation | None,
    checked: str,
    *,
    live: bool,
    renew: bool,
) -> tuple[Generation, tuple[Finding, ...]]:
    """The generation with as many of `parts` as are good together, staged, its registry up; and what is not good.

    renew: the registry moves to another slot; tried: what nginx was tried with (`rehearsal.check`); checked: the name
    of one that was good a moment ago, and is only to be checked. Raises BadInput when there is no last good version to
    hold on to.
    """
    busy = stage.services.slots()

    def assembled(some: Parts) -> Generation:
        return assemble.assemble(stage.host, some, _slot(stage, some, current, busy, renew=renew))

    wanted = assembled(parts)
    log.debug("wanted: generation %s, registry in slot %s", wanted.name, wanted.slot)
    if current is not None and wanted.name == current.name:
        log.debug("it is what serves: nothing is tried")
        return current, ()
    if wanted.name == checked:
        log.debug("it was found good a moment ago: not tried again")
        return wanted, ()
    verdicts: dict[str, tuple[Problem, ...]] = {}
    problems = _check(stage, wanted, current, tried, verdicts, live=live)
    if not problems:
        return wanted, ()
    if current is None:
        raise BadInput(problems)
    log.debug("it is not good as a whole: what serves, with one changed part after the other")
    known = {wanted.name: problems}
    found: list[Finding] = []
    steps: tuple[Step, ...] = (*programs.FIELDS, *kinds.REVERTIBLE)
    base = _with(parts, steps, current.parts)
    for step in steps:
        tried_parts = _with(base, (step,), parts)
        if tried_parts == base:
            continue
        trial = assembled(tried_parts)
        if trial.name not in known:
            known[trial.name] = _check(stage, trial, current, tried, verdicts, live=live)
        log.debug("with %s: %s", getattr(step, "NAME", step), "bad" if known[trial.name] else "good")
        if not (problems := known[trial.name]):
            base = trial.parts
        else:
            found += _blamed(stage, step, parts, problems)
    chosen = assembled(base)
    if chosen.name != current.name and (problems := _check(stage, chosen, current, tried, verdicts, live=live)):
        raise BadInput(problems)
    return chosen, tuple(found)


def _blamed(stage: Stage, step: Step, parts: Parts, problems: tuple[Problem, ...]) -> tuple[Finding, ...]:
    """`problems` that what `step` names has, as it is in `parts`."""
    if not isinstance(step, str):
        return findings("rejected", step.NAME, (_of_part(parts[step], one) for one in problems))
    settings = parts[SettingsPart].settings
    return findings("rejected", SettingsPart.NAME, programs.blamed(stage.host.paths.conf, step, settings, problems))


def _of_part(part: Part, problem: Problem) -> Problem:
    """`problem`, which came with `part` alone: a certificate's is no fault of nginx.conf, which served with another."""
    if not isinstance(part, CertificatePart) or problem.where in part.sources:
        return problem
    hint = f"bring another one; or see whether {problem.where} goes with this one"
    return replace(problem, where=part.place, hint=hint)


def _with(base: Parts, steps: Iterable[Step], parts: Parts) -> Parts:
    """`base` with what `steps` name, parts or settings of programs, as it is in `parts`."""
    settings = base[SettingsPart].settings
    for step in steps:
        if isinstance(step, str):
            settings = programs.taking(settings, parts[SettingsPart].settings, (step,))
        else:
            base = base.having(parts[step])
    return base.having(SettingsPart.of(settings))


def _check(
    stage: Stage,
    new: Generation,
    current: Generation | None,
    tried: Generation | None,
    verdicts: dict[str, tuple[Problem, ...]],
    *,
    live: bool,
) -> tuple[Problem, ...]:
    """Stage `new`, rehearse it and bring its registry up if it is another one; its problems. A bad one is not kept.

    verdicts: of registries that did not start, which are not tried again with another certificate.
    """
    stage.meanwhile()
    host = stage.host
    registry = _registry_of(new)
    if registry in verdicts:
        return verdicts[registry]
    staged = generations.stage(host, new, assemble.generation_conf(new))
    problems = rehearsal.check(host, new, staged, tried)
    if not problems and live and current is not None and new.taken != current.taken:
        problems = _port_problems(stage, new, current)
    if not problems and live and (current is None or new.slot != current.slot):
        problems = activate.bring_up_registry(stage, new)
        if not problems and (current is None or _stores_otherwise(new, current)):
            problems = _storage_problems(stage, new)
        if problems:
            verdicts[registry] = problems
    log.debug("generation %s, tried: %s", new.name, f"{len(problems)} problems" if problems else "good")
    if problems and generations.current_name(host) != new.name:
        shutil.rmtree(staged, ignore_errors=True)
    return problems


def _port_problems(stage: Stage, new: Generation, current: Generation) -> tuple[Problem, ...]:
    """Why nginx can't have the addresses of `new`: somebody else holds one, or it does itself, in another way. A front
    that reaches nobody any more is in nobody's way: it is started anew."""
    services = stage.services
    held = current.taken if services.up("nginx") and activate.reaches(stage.host, current) else ()
    error = portconflicts.problem(services, new.taken) or portconflicts.in_our_way(new.taken, held)
    return portconflicts.placed(stage.host, new, error).problems if error is not None else ()


def _storage_problems(stage: Stage, generation: Generation) -> tuple[Problem, ...]:
    """Problems when the registry of `generation`, which answers, can't use its directory of images. It ends then."""
    images, name = generation.parts[RegistryPart].storage, f"registry@{generation.slot}"
    if generation.slot == assemble.NO_SLOT or images is None:
        return ()
    ask = storeproof.behind(processes.socket_of(stage.host, generation.slot))

    def stored() -> str:
        return clientproof.beside(lambda: storeproof.wrong(stage.host, images, ask), stage.meanwhile)

    wrong = stored()
    if isinstance(wrong, storeproof.Unreached) and not activate.bring_up_registry(stage, generation):
        wrong = stored()  # it was killed just then
    if not wrong:
        return ()
    said = stage.services.last_words(name)
    stage.services.stop(name)
    return (faults.of_storage(generation, wrong, said),)


def _stores_otherwise(new: Generation, old: Generation) -> bool:
    """Whether images are elsewhere, or another program writes them: then it must be seen that it can. What is as it was
    is not held back by a full disk."""
    one, other = ((each.settings.registry_binary, each.parts[RegistryPart].storage) for each in (new, old))
    return one != other or marker.moved(old.parts[RegistryPart].store, new.parts[RegistryPart].store)


def _registry_of(generation: Generation) -> str:
    """What decides whether the registry of `generation` starts."""
    program = programs.given(generation.settings, programs.REGISTRY)
    return marks.digest(program.encode() + b"\0" + generation.parts[RegistryPart].yml)
