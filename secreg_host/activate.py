"""Bringing a staged generation to life: the registry's slot first, then the flip, then nginx, then the proof."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from secreg_host import (
    assemble,
    faults,
    files,
    generations,
    imagesplace,
    ports,
    probe,
    processes,
    programs,
    rehearsal,
)
from secreg_host import parts as kinds
from secreg_host.assemble import NO_SLOT
from secreg_host.errors import BadInput, Problem, SecregError
from secreg_host.generations import Generation
from secreg_host.host import Host
from secreg_host.nginxconf import Listen
from secreg_host.parts import Part
from secreg_host.report import Finding
from secreg_host.services import Services

REGISTRY_SECONDS = 20.0
PROOF_SECONDS = 10.0
SILENT = "it does not answer"
WORKERS_SECONDS = 10.0
"""How long nginx's old workers are waited for before the registry that they pass requests on to is told to end."""



@dataclass(frozen=True)
class Stage:
    """Where generations come to life: the host, and who runs its processes. meanwhile: called again and again while
    something slow is waited for, lest it holds up a removed user."""

    host: Host
    services: Services
    meanwhile: Callable[[], None] = lambda: None


def slot_for(parts: dict[str, Part], current: Generation | None, busy: Collection[str], renew: bool = False) -> str:
    """The slot of the registry for `parts`: the present one while nothing changes for it, else one that is not `busy`.

    renew: its program changed. Raises SecregError when every other slot still finishes what it had begun.
    """
    settings = kinds.settings_of(parts[kinds.SETTINGS])
    if not settings.own_registry:
        return NO_SLOT
    if current is not None and current.slot != NO_SLOT:
        before = kinds.settings_of(current.parts[kinds.SETTINGS])
        if (
            not renew
            and current.parts[kinds.REGISTRY].files == parts[kinds.REGISTRY].files
            and imagesplace.real(current.parts[kinds.REGISTRY].facts) == imagesplace.real(parts[kinds.REGISTRY].facts)
            and before.registry_binary == settings.registry_binary
        ):
            return current.slot
    taken = current.slot if current is not None else NO_SLOT
    for slot in processes.SLOTS:
        if slot != taken and slot not in busy:
            return slot
    raise SecregError(
        "every slot of the registry still finishes uploads that began before earlier changes",
        "wait for them, or end them: systemctl stop 'secure-registry-registry@*'",
    )


def bring_up_registry(stage: Stage, generation: Generation) -> tuple[Problem, ...]:
    """Start the registry of `generation` in its slot and wait until it answers; problems if it does not."""
    host, services = stage.host, stage.services
    if generation.slot == NO_SLOT:
        return ()
    name = f"registry@{generation.slot}"
    socket = processes.socket_of(host, generation.slot)
    link = host.paths.slot(generation.slot)
    deadline = time.monotonic() + REGISTRY_SECONDS
    started = False
    while not (services.running(name) and probe.registry_answers(socket)):
        died = services.died(name)
        if (died and started) or time.monotonic() > deadline:
            said = services.last_words(name) if died else [SILENT]
            if generations.current_name(host) != generation.name:  # else it may be on its way back
                services.stop(name)
            return (faults.of_start(host, generation, [line.replace(f"{link}/", "") for line in said]),)
        if died or not services.running(name):
            files.make_directory(link.parent, 0o711)
            files.flip(link, f"../generations/{generation.name}/registry")
            services.prepare_registry(generation.parts, generation.slot)
            services.start(name)
            started = True
        stage.meanwhile()
        time.sleep(0.01)
    if root := generation.parts[kinds.REGISTRY].facts["root"]:
        services.show_images(generation.slot, root)
    return ()


def port_problem(stage: Stage, listens: Iterable[Listen]) -> SecregError | None:
    """An error that says why nginx can't listen on `listens`: no such address here, or who holds the port (not we)."""
    ours = ("nginx", *(f"registry@{slot}" for slot in processes.SLOTS))  # which ends before nginx takes its place
    own = ports.sockets_of({pid for name in ours for pid in stage.services.pids(name)})
    for listen in listens:
        if ports.is_foreign(listen):
            said = f"this host has no address {listen.host}, on which it is to listen"
            return SecregError(said, "correct the line 'listen'; this host's addresses: ip address")
        who = _stranger(stage.services, listen, own)
        if not who:
            continue
        unit = re.search(r"[\w@.-]+\.service", who)
        stop = f"stop it: systemctl disable --now {unit[0]}" if unit else "stop it"
        hint = f"{stop}; or set PORT in secure-registry.conf to another one"
        return SecregError(f"port {listen.port} ({listen.host or '*'}:{listen.port}) is used by {who}", hint)
    return None


def _stranger(services: Services, listen: Listen, own: set[str]) -> str:
    """Who else than our nginx holds the port of `listen`; "": nobody. own: sockets that were our nginx's before.

    While nginx starts or is killed, a socket of its is another process's from one moment to the next: a stranger is who
    had it before and after our processes were asked for.
    """
    for socket in ports.holders(listen):
        if socket in own:
            continue
        holder = ports.holder(socket)
        while holder not in services.pids("nginx"):
            before, holder = holder, ports.holder(socket)
            if holder == before:
                if socket in ports.holders(listen):
                    return ports.name_of(holder)
                break
    return ""


def activate(
    stage: Stage, new: Generation, current: Generation | None, renew: Collection[str] = ()
) -> tuple[Generation, tuple[Finding, ...]]:
    """Let `new` (staged, rehearsed, its registry up) serve, and prove it; returns what serves then.

    renew: processes of nginx's whose program changed.

    When it can't be proven, the parts of `current` serve again, and the findings say why. Raises SecregError when there
    is nothing to go back to.
    """
    stage.services.prepare(new.parts)
    settings = new.parts[kinds.SETTINGS]
    if current is not None and programs.differs(settings, current.parts[kinds.SETTINGS], programs.NGINX):
        renew = ("nginx", "auth")
    _make_room(stage, new, current)
    moves = current is not None and current.slot != new.slot
    before = stage.services.pids("nginx") if moves else set()
    try:
        _switch(stage, new, current, renew)
    except SecregError as error:
        if current is None or current.name == new.name:
            raise
        back = _way_back(stage, current)
        stage.services.prepare(back.parts)
        _switch(stage, back, new, renew)
        generations.mark_proven(stage.host, back.name)
        _retire(stage, new, back, before)
        changed = [name for name in kinds.REVERTIBLE if new.parts[name] != back.parts[name]] or [kinds.SETTINGS]
        return back, tuple(
            Finding("unproven", name, Problem(_place(new.parts[name], name), error.message, error.hint))
            for name in changed
        )
    generations.mark_proven(stage.host, new.name)
    if current is not None:
        _retire(stage, current, new, before)
    return new, ()


def _make_room(stage: Stage, new: Generation, current: Generation | None) -> None:
    """Let a registry end that has the address of its metrics itself, as before version 0.2: nginx is to have it."""
    debug = kinds.debug_of(new.parts[kinds.REGISTRY])
    name = f"registry@{current.slot}" if current is not None and debug else ""
    if debug and name and ports.sockets_of(stage.services.pids(name)) & set(ports.holders(debug)):
        stage.services.stop(name)


def last_good(stage: Stage) -> Generation | None:
    """The current generation; or, if a run was cut short before it was proven and it does not serve, the one before."""
    host = stage.host
    name, proven = generations.current_name(host), generations.proven_name(host)
    current = generations.load(host, name)
    if current is None or proven in (None, name) or serves(current):
        return current
    return generations.load(host, proven) or current


def _place(part: Part, name: str) -> str:
    return part.sources[0] if part.sources else name


def _switch(stage: Stage, new: Generation, old: Generation | None, renew: Collection[str] = ()) -> None:
    """Flip to `new`, make every process use it, and prove it. Raises SecregError with what is wrong."""
    host, services = stage.host, stage.services
    if not services.up("nginx") and (error := port_problem(stage, new.taken)):
        raise error
    if problems := bring_up_registry(stage, new):
        raise BadInput(problems)
    if generations.current_name(host) != new.name:
        generations.flip(host, new.name)
    if new.slot != NO_SLOT:
        files.flip(host.paths.slot(new.slot), "../current/registry")
    wrong, died = _serve(stage, new, old, renew)
    if died:  # killed, for all we know: it is on its way back
        if problems := bring_up_registry(stage, new):
            raise BadInput(problems)
        wrong, _ = _serve(stage, new, old)
    if wrong:
        raise SecregError(wrong, "what it said: journalctl -u 'secure-registry*' -n 50")


def _serve(stage: Stage, new: Generation, old: Generation | None, renew: Collection[str] = ()) -> tuple[str, bool]:
    """Make every process use `new`, the current generation, and prove it; what is wrong ("": nothing), and whether
    it is that one of them ended."""
    services = stage.services
    stale = old is not None and old.name == new.name and not serves(new)  # an earlier run was killed before its reload
    same_front = old is not None and old.front == new.front
    for name, same in (("auth", not new.differs(old, "auth/nginx.conf")), ("nginx", same_front)):
        if services.died(name) or not services.running(name):
            services.start(name)
        elif name in renew:
            services.renew(name)
        elif stale or not same:
            services.reload(name)
    dead = ""

    def look() -> str:
        nonlocal dead
        stage.meanwhile()
        dead = _dead(services, new)
        return dead

    return probe.prove(rehearsal.expectations(new), rehearsal.doors(new), PROOF_SECONDS, look), bool(dead)


def _dead(services: Services, generation: Generation) -> str:
    names = ["nginx", "auth", *([f"registry@{generation.slot}"] if generation.slot != NO_SLOT else [])]
    for name in names:
        if services.died(name):
            return faults.of_end(name, services.last_words(name), generation.files.get(kinds.REGISTRY_YML, b""))
    return ""


def _way_back(stage: Stage, current: Generation) -> Generation:
    """`current`, as this version of the program renders it."""
    back = assemble.assemble(stage.host, current.parts, current.slot)
    generations.stage(stage.host, back, assemble.generation_conf(back))
    return back


def retire_strays(stage: Stage, current: Generation) -> None:
    """Let registries end that runs left behind which were killed; not while one of them may still serve."""
    strays = stage.services.slots() - {current.slot}
    if strays and serves(current):
        for slot in sorted(strays):
            stage.services.stop(f"registry@{slot}", wait=False)


def _retire(stage: Stage, old: Generation, new: Generation, before: set[int]) -> None:
    """Let the registry of `old` finish what it does and end, if `new` has another.

    before: nginx's processes before it was reloaded. Its old workers may have requests whose password is still checked:
    the old registry, which takes no new connections from then on, waits for them. A slow upload keeps a worker for
    longer, but is with the registry already.
    """
    if old.slot in (NO_SLOT, new.slot):
        return
    deadline = time.monotonic() + WORKERS_SECONDS
    while len(before & stage.services.pids("nginx")) > 1 and time.monotonic() < deadline:  # the master stays
        stage.meanwhile()
        time.sleep(0.02)
    stage.services.stop(f"registry@{old.slot}", wait=False)
    with contextlib.suppress(OSError):
        stage.host.paths.slot(old.slot).unlink()


def serves(generation: Generation) -> bool:
    """Whether the world gets the answers of `generation` right now."""
    return not any(probe.once(want) for want in rehearsal.expectations(generation))


def stop_all(stage: Stage) -> None:
    """Stop every process, the front first."""
    for name in ("nginx", "auth", *(f"registry@{slot}" for slot in processes.SLOTS)):
        if stage.services.running(name):
            stage.services.stop(name)
