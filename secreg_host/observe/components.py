"""Each component, asked itself: the front, the password check, the registry, its store, and what keeps them so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from secreg_host.apply import backend, clientproof, faults, probe, pushproof, rehearsal
from secreg_host.apply import store as stores
from secreg_host.base import bugs, marks, names
from secreg_host.base.errors import SecregError
from secreg_host.clients import kept, served
from secreg_host.formats.listening import Listen
from secreg_host.generation.assemble import NO_SLOT
from secreg_host.generation.generations import Generation
from secreg_host.generation.liveusers import LiveUsers
from secreg_host.host import host as hosts
from secreg_host.host import registryprogram
from secreg_host.observe import state
from secreg_host.observe.scene import MANIFESTS, OBSERVER, QUEUE, Scene, masked
from secreg_host.observe.state import Component, Condition, State
from secreg_host.observe.store import store
from secreg_host.services import sockets, units
from secreg_host.wanted import defaults
from secreg_host.wanted.parts.certificate import EXPIRES, REFUSE, CertificatePart
from secreg_host.watchdog import watch

START = "systemctl start secure-registry"
CHECKED = "are checked: a right one is let in, a wrong one is not"
UNWRITTEN = "nothing can be pushed or deleted; images can be pulled"
UNQUEUED = "a flood keeps others out, and the time that an answer takes tells names that there are"
"""What it means where the front asks the password check itself."""


def urls(generation: Generation, listen: Listen) -> list[str]:
    """Addresses (https://…) under which `listen` is reached; the best one first."""
    known = (*served.hosts(generation), *generation.parts[CertificatePart].usable_names)
    if listen.host not in ("", "::"):
        known = (listen.host,)
    port = "" if listen.port == 443 else f":{listen.port}"
    return [f"https://{names.bracketed(host)}{port}" for host in dict.fromkeys(known or ("localhost",))]


def addresses(generation: Generation) -> list[str]:
    """Every address (https://…) under which `generation` is reached; the best one first."""
    return list(dict.fromkeys(url for at in generation.listens if at.tls for url in urls(generation, at)))


def address(generation: Generation) -> str:
    """The best of `addresses`; of a wildcard that covers no name that is known here, with NAME in its place."""
    return addresses(generation)[0].replace("//*.", "//NAME.", 1)


def front(scene: Scene) -> State:
    """nginx at its public addresses: it has this configuration, this certificate, and asks for a password."""
    unit = units.unit_of("nginx")
    found = addresses(scene.generation)
    if said := scene.stopped(unit):
        helps = f"systemctl kill -s CONT {unit}" if "SIGSTOP" in said else START
        return state.down(Component.FRONT, said, helps)
    for want in rehearsal.expectations(scene.host, scene.generation):
        if wrong := probe.once(want):
            said = f"{urls(scene.generation, want.listen)[0]}: {wrong}"
            return state.down(
                Component.FRONT, said, f"journalctl -u {unit} -n 20; have it made anew: secure-registry reload"
            )
    return state.ok(Component.FRONT, f"answers at {', '.join(found[:4])}", urls=found)


def passwords(scene: Scene) -> State:
    """The password check itself, whatever the front does."""
    unit = units.unit_of("auth")
    helps = f"systemctl restart {unit}; what it says: journalctl -u {unit} -n 20"
    if said := scene.stopped(unit):
        return state.down(Component.PASSWORDS, f"{said}: nobody can log in", helps)
    wrong = clientproof.checked(scene.host)
    if isinstance(wrong, clientproof.Late) and (aside := clientproof.unheard(scene.host)):
        return _unqueued(scene, wrong, aside)  # a flood that nobody keeps from it
    return _judged(wrong, helps)


def logged_in(scene: Scene) -> State:
    """The password check as clients come to it, through a front that answers: a login with a right password, and with a
    wrong one; and whether that goes by the queue."""
    if said := scene.stopped(QUEUE):  # where it does not run, the next question starts it
        return state.down(Component.PASSWORDS, f"{said}: whoever logs in waits", f"systemctl restart {QUEUE}")
    unit = units.unit_of("auth")
    helps = f"systemctl restart {unit}; what it says: journalctl -u {unit} -n 20"
    wrong = clientproof.login(scene.host, scene.generation)
    aside = clientproof.queued(scene.host)
    told = isinstance(wrong, clientproof.Nobody | probe.Open)
    if told or not aside or (isinstance(aside, clientproof.Late) and not wrong):
        return _judged(wrong, helps)
    return _unqueued(scene, wrong, aside)


def _unqueued(scene: Scene, wrong: str, aside: str) -> State:
    """The password check past the queue, `aside` of which questions go; wrong: with a login, which may be why."""
    helps = f"systemctl restart {QUEUE}; what it says: journalctl -u {QUEUE} -n 20"
    if isinstance(aside, clientproof.Unheard):
        helps = faults.REOPEN if scene.manager is not None else _anew(scene)
        aside = scene.stopped(sockets.QUEUE) or aside
    if wrong:
        return state.down(Component.PASSWORDS, f"{wrong}: {aside}", helps)
    if scene.manager and masked(scene.manager, sockets.QUEUE):
        return state.ok(Component.PASSWORDS, f"{CHECKED}; the queue is masked: {UNQUEUED}")
    return state.warning(Component.PASSWORDS, f"are checked, but past the queue ({aside}): {UNQUEUED}", helps)


def _anew(scene: Scene) -> str:
    """How an instance in the foreground is started anew."""
    return f"secure-registry stop --root {scene.host.paths.root}; then start it as before"


def _judged(wrong: str, helps: str) -> State:
    if isinstance(wrong, clientproof.Nobody):
        return state.ok(Component.PASSWORDS, "there is none to check")  # which the users say
    if wrong:
        return state.down(Component.PASSWORDS, wrong, helps)
    return state.ok(Component.PASSWORDS, CHECKED)


def registry(scene: Scene) -> State:
    """The registry behind the front: which program, which version, and whether it answers."""
    settings, slot = scene.generation.settings, scene.generation.slot
    unit = units.unit_of(f"registry@{slot}")
    ours = slot != NO_SLOT
    if ours and (said := scene.stopped(unit)):
        away = stores.away(scene.generation)  # it starts by itself when that is back, and not before
        helps = away[0].hint if away else f"systemctl restart {unit}; what it says: journalctl -u {unit} -n 20"
        return state.down(Component.REGISTRY, "; ".join((said, *(one.what for one in away))), helps)
    if wrong := backend.wrong(scene.host, scene.generation):
        problem = backend.problem(scene.host, scene.generation, wrong)
        return state.down(Component.REGISTRY, problem.what, problem.hint)
    if not ours:
        return state.ok(Component.REGISTRY, f"answers at {names.place(settings.registry_host, settings.registry_port)}")
    try:
        program = hosts.registry(settings.registry_binary)
    except SecregError as error:
        return state.warning(Component.REGISTRY, f"answers, in slot {slot}; {error.message}", error.hint)
    mark, known = marks.mark(program), scene.known.get(Component.REGISTRY, {})
    same = (known.get("program"), known.get("mark")) == (str(program), mark) and bool(known.get("version"))
    version = str(known["version"]) if same else registryprogram.version(program, scene.host.accounts.registry)
    facts = {"program": str(program), "version": version, "mark": mark, "slot": slot}
    return state.ok(Component.REGISTRY, f"{program.name} {version}, slot {slot}", **facts)


def manifests(scene: Scene) -> State:
    """The service by which manifests are written and deleted, asked as the front asks it."""
    helps = f"systemctl restart {MANIFESTS}; what it says: journalctl -u {MANIFESTS} -n 20"
    if scene.manager and any(masked(scene.manager, unit) for unit in (MANIFESTS, units.MANIFESTS)):
        helps = f"systemctl unmask {units.MANIFESTS} {MANIFESTS}; then: secure-registry reload"
        return state.warning(Component.MANIFESTS, "are not taken, for the service is masked: images are pulled", helps)
    if said := scene.stopped(MANIFESTS):  # where it does not run, the next manifest starts it
        return state.down(Component.MANIFESTS, f"{said}: {UNWRITTEN}", helps)
    wrong = pushproof.wrong(scene.host)
    if isinstance(wrong, pushproof.Unheard):
        helps = f"systemctl restart {units.MANIFESTS}" if scene.manager is not None else _anew(scene)
        wrong = scene.stopped(units.MANIFESTS) or wrong
    if wrong:
        return state.down(Component.MANIFESTS, f"{wrong}: {UNWRITTEN}", helps)
    return state.ok(Component.MANIFESTS, "what is pushed and deleted is passed on to the registry")


def certificate(scene: Scene) -> State:
    """What clients are shown, and until when."""
    part = scene.generation.parts[CertificatePart]
    ends, now = part.not_after, datetime.now(UTC)
    renew = "secure-registry gencert renews it, if this host's CA made it; else bring a new one"
    said = f"until {ends:%Y-%m-%d} ({(ends - now).days} days), SHA-256 {part.fingerprint[:16]}…"
    if now >= ends:
        return state.down(Component.CERTIFICATE, f"it expired on {ends:%Y-%m-%d}: clients refuse it", renew)
    told = [one.problem for one in scene.report.warnings if one.part == CertificatePart.NAME]
    due = [one for one in told if one.what.startswith(EXPIRES)]
    refused = [one for one in told if one.what.endswith(REFUSE) or one.what.startswith(defaults.CALLED)]
    if not due and not refused:
        return state.ok(Component.CERTIFICATE, said)
    said = "; ".join((said, *(one.what for one in refused)))
    return state.warning(Component.CERTIFICATE, said, (*due, *refused)[0].hint, "expiring" if due else "")


def users(scene: Scene) -> State:
    """How many may log in."""
    live = LiveUsers(scene.host)
    count = live.count()
    if not live.epoch and scene.states.get(watch.MAIN, ("active", ""))[0] in ("inactive", "failed"):
        return state.down(Component.USERS, "nobody can log in: it is stopped", START, count=count)
    if live.read() is None or not count:
        return state.down(
            Component.USERS, "nobody can log in", "add a user: secure-registry htpasswd USER", count=count
        )
    return state.ok(Component.USERS, str(count), count=count)


def clients(scene: Scene) -> State:
    """Which clients on this host were told to trust the registry."""
    told = kept.told(scene.host)
    said = f"told to trust it: {', '.join(told)}" if told else "none was told to trust it"
    wrong = [one.problem for one in scene.report.warnings if one.part == kept.PART]
    if wrong:
        return state.warning(Component.CLIENTS, said, "secure-registry trust check", told=list(told))
    return state.ok(Component.CLIENTS, said, told=list(told))


def watchdog(scene: Scene) -> State:
    """Who lets edits serve: told of changes by the kernel, looking by itself, or not there."""
    if scene.manager is None:
        return state.ok(Component.WATCHDOG, "is part of the process in the foreground")
    found = scene.manager.state(watch.UNIT)
    helps = f"systemctl restart {watch.UNIT}"
    if found.active in ("inactive", "failed"):
        if masked(scene.manager, watch.UNIT):
            return state.ok(Component.WATCHDOG, "is masked: edits serve after a reload")
        if scene.states.get(watch.MAIN, ("active", ""))[0] != "active":
            return state.ok(Component.WATCHDOG, "is stopped, as the service is")
        said = f"it does not run ({found.active}): of edits, removed users included, only a reload takes note"
        return state.down(Component.WATCHDOG, said, f"systemctl start {watch.UNIT}")
    if said := scene.stopped(watch.UNIT):
        return state.down(Component.WATCHDOG, f"{said}: of edits, only a reload takes note", helps)
    if found.status_text.startswith(watch.BLIND):
        what, _, remedy = found.status_text.partition(watch.REMEDY)
        return state.warning(Component.WATCHDOG, what, remedy)
    if said := scene.stopped(OBSERVER):
        said = f"is told of changes; {said}: hooks aren't told of what breaks"
        return state.warning(Component.WATCHDOG, said, f"systemctl restart {OBSERVER}")
    return state.ok(Component.WATCHDOG, "is told of changes by the kernel")


def boot(scene: Scene) -> State:
    """Whether the registry starts with the host."""
    if scene.manager is None:
        return state.ok(Component.BOOT, "whoever starts it in the foreground")
    found = str(scene.manager.properties(watch.MAIN, "UnitFileState")["UnitFileState"])
    if found.startswith("enabled"):
        return state.ok(Component.BOOT, "starts with the host")
    return state.warning(Component.BOOT, f"does not start with the host ({found})", "systemctl enable secure-registry")


ASKED: dict[Component, Callable[[Scene], State]] = {
    Component.FRONT: front,
    Component.PASSWORDS: passwords,
    Component.REGISTRY: registry,
    Component.MANIFESTS: manifests,
    Component.STORE: store,
    Component.CERTIFICATE: certificate,
    Component.USERS: users,
    Component.CLIENTS: clients,
    Component.WATCHDOG: watchdog,
    Component.BOOT: boot,
}


def every(scene: Scene) -> tuple[State, ...]:
    """How each component is; what can't be asked is unknown, and why."""
    found = {component: _asked(component, ask, scene) for component, ask in ASKED.items()}
    if all(found[one].condition is Condition.OK for one in (Component.FRONT, Component.PASSWORDS)):
        found[Component.PASSWORDS] = _asked(Component.PASSWORDS, logged_in, scene)
    return tuple(found.values())


def _asked(component: Component, ask: Callable[[Scene], State], scene: Scene) -> State:
    try:
        return ask(scene)
    except BaseException as error:
        problem = bugs.caught(error, str(component))[0]
        return State(component, Condition.UNKNOWN, problem.what, problem.hint)
