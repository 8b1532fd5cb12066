"""Who holds a port that our nginx is to have, and what to do about it: somebody else, or itself, in another way."""

from __future__ import annotations

import re
from collections.abc import Iterable

from secreg_host.base.errors import SecregError
from secreg_host.formats.listening import Listen, place
from secreg_host.host import ports, processes
from secreg_host.services.services import Services

RESTART = "let it take its addresses anew, which cuts connections: systemctl restart secure-registry"


def problem(services: Services, listens: Iterable[Listen]) -> SecregError | None:
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
        hint = f"set PORT in secure-registry.conf to another one; or stop that, if nobody needs it{look}"
        return SecregError(f"port {listen.port} ({listen.host or '*'}:{listen.port}) is used by {who}", hint)
    return None


def absent(listens: Iterable[Listen]) -> SecregError | None:
    """An error that names an address of `listens` that this host does not have."""
    for listen in listens:
        if ports.is_foreign(listen):
            said = f"this host has no address {listen.host}, on which it is to listen"
            return SecregError(said, "correct the line 'listen', or wait for it; this host's addresses: ip address")
    return None


def in_our_way(new: Iterable[Listen], held: Iterable[Listen]) -> SecregError | None:
    """An error that says that our own nginx, which listens on `held`, can't take `new` as long as it runs."""
    if not (pair := ports.kept_from(new, held)):
        return None
    wanted, other = (place(listen) for listen in pair)
    return SecregError(f"nginx can't listen on {wanted} as long as it listens on {other}", RESTART)


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
