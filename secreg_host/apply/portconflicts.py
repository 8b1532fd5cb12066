"""Who holds a port that our nginx is to have, and what to do about it: somebody else, or itself, in another way; and
where it stands that it is to have it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from secreg_host.apply import blame
from secreg_host.base import reading
from secreg_host.base.errors import Later, Problem, SecregError
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import registryconf
from secreg_host.formats.listening import Listen, place
from secreg_host.generation.generations import Generation
from secreg_host.host import ports, processes
from secreg_host.host.host import Host
from secreg_host.services.services import Services
from secreg_host.wanted import settings as settings_module
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.parts.registry import RegistryPart

RESTART = "let it take its addresses anew, which cuts connections: systemctl restart secure-registry"
ANOTHER = "set PORT in secure-registry.conf to another one"
"""What helps where PORT says which port it is."""

AGAIN = "it is tried again by itself"


class Conflict(SecregError):
    """Why nginx can't listen on `listen`. where: the place by which it is to ("": not known); stop: what else than
    another port would help ("": nothing)."""

    def __init__(self, listen: Listen, message: str, hint: str = "", stop: str = "", where: str = "") -> None:
        super().__init__(message, f"{hint}; {stop}" if stop else hint)
        self.listen, self.stop, self.where = listen, stop, where

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The one that it is: what others do may be over at any time."""
        return (Later(self.where, self.message, self.hint),)

    def placed(self, where: str, another: str) -> Conflict:
        """The same, of what stands at `where`; another: what to do there for another port."""
        return type(self)(self.listen, self.message, another if self.stop else self.hint, self.stop, where)


class OwnWay(Conflict):
    """The same, because of what our own nginx holds, which only a restart changes."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The one that it is."""
        return (Problem(self.where, self.message, self.hint),)


def placed(host: Host, generation: Generation, error: Conflict) -> Conflict:
    """`error` of what nginx is to have for `generation`, at the place that says so: PORT, a line of nginx.conf where
    that was edited, or one of docker-registry.yml, of which the metrics are; and that it is tried again."""
    if error.stop:
        error = Conflict(error.listen, error.message, error.hint, f"{error.stop}: {AGAIN}")
    disk, nginx = Snapshot(host.paths), generation.parts[NginxPart]
    if not any((error.listen.host, error.listen.port) == (one.host, one.port) for one in generation.listens):
        return error.placed(generation.parts[RegistryPart].at(registryconf.DEBUG_ADDRESS), "write another address")
    conf = Path(nginx.conf)
    if disk.ledger.untouched(conf, disk.peek(conf, reading.NGINX)):  # it listens on PORT alone
        return error.placed(settings_module.place_of(host.paths.conf, "PORT"), ANOTHER)
    return error.placed(blame.listening(nginx, error.listen), "write another port there")


def problem(services: Services, listens: Iterable[Listen]) -> Conflict | None:
    """An error that says why nginx can't listen on `listens`: no such address here, or who holds the port (not we)."""
    ours = ("nginx", *(f"registry@{slot}" for slot in processes.SLOTS))  # which ends before nginx takes its place
    own = ports.sockets_of({pid for name in ours for pid in services.pids(name)})
    listens = tuple(listens)
    if error := absent(listens):
        return error
    for listen in listens:
        who = _occupant(services, listen, own)
        if not who:
            continue
        unit = re.search(r"[\w@.-]+\.service", who)
        look = f" (what it is: systemctl status {unit[0]})" if unit else ""
        said = f"port {listen.port} ({listen.host or '*'}:{listen.port}) is used by {who}"
        return Conflict(listen, said, ANOTHER, f"or stop that, if nobody needs it{look}")
    return None


def absent(listens: Iterable[Listen]) -> Conflict | None:
    """An error that names an address of `listens` that this host does not have."""
    for listen in listens:
        if ports.is_foreign(listen):
            said = f"this host has no address {listen.host}, on which it is to listen"
            hint = "correct it, or wait for that address (it is tried again by itself); those of this host: ip address"
            return Conflict(listen, said, hint)
    return None


def in_our_way(new: Iterable[Listen], held: Iterable[Listen]) -> Conflict | None:
    """An error that says that our own nginx, which listens on `held`, can't take `new` as long as it runs."""
    if not (pair := ports.kept_from(new, held)):
        return None
    wanted, other = (place(listen) for listen in pair)
    return OwnWay(pair[0], f"nginx can't listen on {wanted} as long as it listens on {other}", RESTART)


def _occupant(services: Services, listen: Listen, own: set[str]) -> str:
    """Who else than our nginx holds the port of `listen`; "": nobody. own: sockets that were our nginx's before.

    While nginx starts or is killed, a socket of its is another process's from one moment to the next: somebody else is
    who had it before and after our processes were asked for.
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
