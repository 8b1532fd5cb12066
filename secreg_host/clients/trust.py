"""Clients of this host that trust the registry: put in, kept up to date, taken out again.

Docker follows DOCKER_TRUST with every apply. The others are touched only when they are asked for (`trust install`),
and from then on follow what is served, until `trust remove` or the package's removal.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from secreg_host.base import bugs, temporary
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.paths import Paths
from secreg_host.base.proxies import Proxies
from secreg_host.clients import (
    owned,
    served,
    trust_containerd,
    trust_docker,
    trust_k3s,
    trust_podman,
    trust_system,
)
from secreg_host.clients.docker.docker import Record
from secreg_host.clients.docker.dockerd import ENDLESS, Manager, Patience
from secreg_host.clients.kept import DOCKER, Kept
from secreg_host.clients.rules import Rules
from secreg_host.clients.served import Served
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host

log = logging.getLogger(__name__)


class Wants(Protocol):
    """The files that a client wants, path -> bytes, with which it trusts what is served."""

    def __call__(self, paths: Paths, served: Served, *, insecure: bool) -> dict[Path, bytes]: ...


@dataclass(frozen=True)
class Client:
    """A family of clients: is it here, which files does it want, what should be known once they are there, and by which
    rules does it go to a registry. used: whether it is, so that it is checked; services: those that pull, if not
    whoever types; own_proxy: what their variables with a proxy may begin with; after: lets it take its files over."""

    name: str
    found: Callable[[Paths], bool]
    wants: Wants
    notes: Callable[[Paths, Served], tuple[Problem, ...]]
    rules: Callable[[Paths, Proxies], Rules]
    used: Callable[[Paths], bool]
    services: Sequence[str] = ()
    own_proxy: str = ""
    after: Callable[[Paths], None] | None = None


def of(module: Any) -> Client:
    """The client that `module` is about; what it need not have: `used` (else it is where it is found), SERVICES,
    OWN_PROXY, `after`."""
    return Client(
        module.NAME,
        module.found,
        module.wants,
        module.notes,
        module.rules,
        getattr(module, "used", module.found),
        getattr(module, "SERVICES", ()),
        getattr(module, "OWN_PROXY", ""),
        getattr(module, "after", None),
    )


OTHERS = tuple(map(of, (trust_podman, trust_containerd, trust_k3s, trust_system)))
GOING = "going"
"""What is kept of a client, in the place of how it trusts us, while our files are taken out: a run may be cut."""

NAMES = (DOCKER, *(client.name for client in OTHERS))


class Trust:
    """The clients of `host`; `current` is what serves (None: nothing does)."""

    def __init__(self, host: Host, current: Generation | None, manager: Manager | None = None) -> None:
        self.host = host
        self.paths = host.paths
        self.served = served.of(current) if current else None
        self.manager = manager
        self.kept = Kept(self.paths)
        self.docker = trust_docker.Docker(self.paths, current, manager, self.kept)

    def follow(self, patience: Patience = ENDLESS) -> tuple[Problem, ...]:
        """Bring every client that trusts us up to what is served now; what the administrator should know."""
        for folder in self._places():
            temporary.sweep(folder)
        found = list(self._caught(partial(self.docker.follow, patience)))
        for client in OTHERS:
            chosen = self.kept.record.get("chosen", {}).get(client.name)
            if chosen == GOING:
                found += self._caught(partial(self._take_out, client))
            elif chosen:
                found += self._caught(partial(self._refresh, client, chosen))
        return tuple(found)

    def _places(self) -> set[Path]:
        """The directories of other programs in which something of ours stands."""
        target = self._docker_record().target
        files_of_ours = [path for kept in self.kept.record.get("files", {}).values() for path in kept]
        edited = [target.path] if target is not None else []
        edited += [self.paths.k3s / "registries.yaml"] if self.kept.record.get("k3s") else []
        return {Path(path).parent for path in (*files_of_ours, *edited)}

    def install(self, names: Sequence[str], *, insecure: bool) -> tuple[Problem, ...]:
        """Make the clients `names` trust the registry (none named: those found here, but for the system's store)."""
        if self.served is None:
            raise SecregError("nothing serves yet, so there is nothing to trust", "secure-registry start")
        here = [client for client in OTHERS if client.name in names or (not names and client.found(self.paths))]
        found: list[Problem] = []
        if not names or DOCKER in names:
            self.docker.begin_anew()
            if self.docker.settings is not None and self.docker.settings.docker_trust == "none" and DOCKER in names:
                said = "DOCKER_TRUST=none, so Docker is left as it is"
                found.append(Problem(str(self.paths.conf), said, "set DOCKER_TRUST=ca; then: secure-registry reload"))
            found += self._caught(self.docker.follow)
        for client in here:
            if client.name == trust_system.NAME and client.name not in names:
                continue
            if self.served.ca is None and not insecure:
                hint = f"put its CA into {self.paths.ca_crt}; or unverified: {owned.INSTALL} {client.name} --insecure"
                found.append(
                    Problem(client.name, "no CA that is known here signed the certificate that is served", hint)
                )
                continue
            how = "insecure" if insecure and client.name != trust_system.NAME else "ca"
            self.kept.save("chosen", how, client.name)
            found += self._caught(partial(self._notes, client, how))
        return tuple(found)

    def remove(self, names: Sequence[str]) -> tuple[Problem, ...]:
        """Take out all that we put in, of the clients `names` (none named: of all)."""
        found: list[Problem] = []
        if not names or DOCKER in names:
            self.kept.save("declined", value=True)
            found += self._caught(self.docker.follow)
        for client in OTHERS:
            ours = self.kept.record.get("chosen", {}).get(client.name) or self.kept.of("files", client.name)
            if (not names or client.name in names) and ours:
                self.kept.save("chosen", GOING, client.name)
                found += self._caught(partial(self._take_out, client))
        return tuple(found)

    def _caught(self, act: Callable[[], tuple[Problem, ...]]) -> tuple[Problem, ...]:
        try:
            return act()
        except BaseException as error:
            return bugs.caught(error, self.paths.trust)

    def _docker_record(self) -> Record:
        return self.docker.record

    def _other(self, client: Client, how: str) -> tuple[bool, tuple[Problem, ...]]:
        wanted = client.wants(self.paths, self.served, insecure=how == "insecure") if self.served and how else {}
        changed, problems = owned.client(self.kept, client.name, wanted)
        if client.name == trust_k3s.NAME:
            possible = self.served is not None and (how == "insecure" or (how and self.served.ca))
            words = self.served.spellings if self.served and possible else ()
            changed |= trust_k3s.follow(self.paths, self.kept, words, insecure=how == "insecure")
        log.debug("%s: %s, files %s", client.name, how or "none", "changed" if changed else "unchanged")
        if changed and client.after is not None:
            client.after(self.paths)
        return changed, problems

    def _refresh(self, client: Client, how: str) -> tuple[Problem, ...]:
        return self._other(client, how)[1]

    def _take_out(self, client: Client) -> tuple[Problem, ...]:
        """Remove all that is ours from the files of `client`, which does not trust us any more once that is done."""
        problems = self._refresh(client, "")
        self.kept.save("chosen", "", client.name)
        return problems

    def _notes(self, client: Client, how: str) -> tuple[Problem, ...]:
        _, problems = self._other(client, how)
        return (*problems, *(client.notes(self.paths, self.served) if self.served is not None else ()))

    def forget(self) -> None:
        """After a removal: a later installation begins anew."""
        self.kept.save("declined", value=False)

    def told(self) -> tuple[str, ...]:
        """What of ours stands where, for people."""
        record = self._docker_record()
        found = [f"{DOCKER}: entries in {record.target.path}"] if record.target is not None else []
        if self.kept.record.get("k3s"):
            found.append(f"{trust_k3s.NAME}: entries in {self.paths.k3s}/registries.yaml")
        for name, kept in self.kept.record.get("files", {}).items():
            if kept:
                common = next(iter(kept)) if len(kept) == 1 else f"{len(kept)} files below {os.path.commonpath(kept)}"
                found.append(f"{name}: {common}")
        return tuple(found) or ("nothing of ours is in any client's files",)


def at(host: Host, current: Generation | None) -> Trust:
    """The clients of `host`, by what serves: `current`."""
    return Trust(host, current, host.manager())
