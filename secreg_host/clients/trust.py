"""Clients of this host that trust the registry: put in, kept up to date, taken out again; and a script for others.

Docker follows DOCKER_TRUST with every apply. The others are touched only when they are asked for (`trust install`),
and from then on follow what is served, until `trust remove` or the package's removal.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from secreg_host.base import bugs, files, quoting, reading, records, templating, temporary, utf8
from secreg_host.base.errors import Problem, SecregError, bad_input
from secreg_host.base.paths import Paths
from secreg_host.base.process import find_program
from secreg_host.clients import edits, owned, served, trust_containerd, trust_k3s, trust_podman, trust_system
from secreg_host.clients.docker import docker as daemon
from secreg_host.clients.docker import dockerd
from secreg_host.clients.docker.dockerd import ENDLESS, Manager, Patience
from secreg_host.clients.record import DOCKER, SHAPE
from secreg_host.clients.served import Served
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host
from secreg_host.pki import handshake
from secreg_host.pki.handshake import Rule

log = logging.getLogger(__name__)

LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Wants(Protocol):
    """The files that a client wants, path -> bytes, with which it trusts what is served."""

    def __call__(self, paths: Paths, served: Served, *, insecure: bool) -> dict[Path, bytes]: ...


@dataclass(frozen=True)
class Client:
    """A family of clients: is it here, which files does it want, what should be known once they are there."""

    name: str
    found: Callable[[Paths], bool]
    wants: Wants
    notes: Callable[[Paths], tuple[Problem, ...]]
    after: Callable[[Paths], None] | None = None


OTHERS = tuple(
    Client(one.NAME, one.found, one.wants, one.notes, getattr(one, "after", None))
    for one in (trust_podman, trust_containerd, trust_k3s, trust_system)
)
NAMES = (DOCKER, *(client.name for client in OTHERS))


class Trust:
    """The clients of `host`; `current` is what serves (None: nothing does)."""

    def __init__(self, host: Host, current: Generation | None, manager: Manager | None = None) -> None:
        self.host = host
        self.paths = host.paths
        self.served = served.of(current) if current else None
        self.settings = current.settings if current else None
        self.reach = next((at.reach for at in current.listens if at.tls), "") if current else ""
        self.record: dict[str, Any] = records.load(self.paths.trust, SHAPE)
        self.manager = manager

    def _save(self, key: str, value: Any, client: str = "") -> None:
        if client:
            value = {**self.record.get(key, {}), client: value}
        self.record[key] = value
        records.save(self.paths.trust, self.record)

    # --- what is wanted ---
    def mode(self) -> str:
        """DOCKER_TRUST as it counts now: a publicly trusted certificate needs nothing; nor does what was removed."""
        if self.served is None or self.settings is None or self.record.get("declined"):
            return "none"
        mode = self.settings.docker_trust
        if mode == "none" or not self.served.endpoints:
            return "none"
        if not self._own_ca():
            first = self.served.endpoints[0]
            if handshake.shake(first.host, first.port, Rule(), self.reach) in ("", handshake.OUT_OF_TIME):
                return "none"  # an expired one is no reason to stop verifying
        if mode == "ca" and self.served.ca is None:
            raise bad_input(
                str(self.paths.ca_crt),
                "is not the CA of the certificate that is served, so Docker can't be told to trust it",
                "put your CA's certificate there, or set DOCKER_TRUST=insecure",
            )
        return mode

    def _own_ca(self) -> bool:
        """Whether the CA that we made signed what is served. (In the system's store, dockerd may not have read it.)"""
        own = files.read_or_none(self.paths.state / self.paths.ca_crt.name)
        return self.served is not None and self.served.ca is not None and self.served.ca.strip() in (own or b"")

    # --- doing it ---
    def follow(self, patience: Patience = ENDLESS) -> tuple[Problem, ...]:
        """Bring every client that trusts us up to what is served now; what the administrator should know."""
        for folder in self._places():
            temporary.sweep(folder)
        found = list(self._caught(partial(self._docker, patience)))
        for client in OTHERS:
            chosen = self.record.get("chosen", {}).get(client.name)
            if chosen:
                found += self._caught(partial(self._refresh, client, chosen))
        return tuple(found)

    def _places(self) -> set[Path]:
        """The directories of other programs in which something of ours stands."""
        target = self._docker_record().target
        files_of_ours = [path for kept in self.record.get("files", {}).values() for path in kept]
        edited = [target.path] if target is not None else []
        edited += [self.paths.k3s / "registries.yaml"] if self.record.get("k3s") else []
        return {Path(path).parent for path in (*files_of_ours, *edited)}

    def install(self, names: Sequence[str], *, insecure: bool) -> tuple[Problem, ...]:
        """Make the clients `names` trust the registry (none named: those found here, but for the system's store)."""
        if self.served is None:
            raise SecregError("nothing serves yet, so there is nothing to trust", "secure-registry start")
        here = [client for client in OTHERS if client.name in names or (not names and client.found(self.paths))]
        found: list[Problem] = []
        if not names or DOCKER in names:
            self._save("declined", value=False)
            self._save(DOCKER, replace(self._docker_record(), failed="", problem=None, proven="").as_json())
            if self.settings is not None and self.settings.docker_trust == "none" and DOCKER in names:
                said = "DOCKER_TRUST=none, so Docker is left as it is"
                found.append(Problem(str(self.paths.conf), said, "set DOCKER_TRUST=ca; then: secure-registry reload"))
            found += self._caught(self._docker)
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
            self._save("chosen", how, client.name)
            found += self._caught(partial(self._notes, client, how))
        return tuple(found)

    def remove(self, names: Sequence[str]) -> tuple[Problem, ...]:
        """Take out all that we put in, of the clients `names` (none named: of all)."""
        found: list[Problem] = []
        if not names or DOCKER in names:
            self._save("declined", value=True)
            found += self._caught(self._docker)
        for client in OTHERS:
            if (not names or client.name in names) and self.record.get("chosen", {}).get(client.name):
                self._save("chosen", "", client.name)
                found += self._caught(partial(self._refresh, client, ""))
        return tuple(found)

    def _caught(self, act: Callable[[], tuple[Problem, ...]]) -> tuple[Problem, ...]:
        try:
            return act()
        except BaseException as error:
            return bugs.caught(error, self.paths.trust)

    def _docker_record(self) -> daemon.Record:
        return daemon.Record.from_json(self.record.get(DOCKER, {}))

    def _docker(self, patience: Patience = ENDLESS) -> tuple[Problem, ...]:
        wanted: tuple[str, ...] = ()
        own: dict[Path, bytes] = {}
        problems: tuple[Problem, ...] = ()
        mode = "none"
        try:
            mode = self.mode()
        except SecregError as error:
            problems = error.problems
        log.debug("docker: DOCKER_TRUST counts as %s", mode)
        if self.served is not None and mode == "insecure":
            wanted = self.served.insecure_entries
        if self.served is not None and mode == "ca" and self.served.ca and self.docker_found():
            below = self.paths.docker / "certs.d"
            own = {below / quoting.component(word) / "ca.crt": self.served.ca for word in self.served.spellings}
        problems += self._files(DOCKER, own)[1]
        record = self._docker_record()
        if self.manager is None and wanted:
            hint = f'add to "insecure-registries" of {self.paths.docker}/daemon.json: {", ".join(wanted)}'
            return (*problems, Problem(DOCKER, "is left alone where systemd does not run", hint))
        if wanted or record.target is not None:
            engine = daemon.Docker(self.paths, self.manager, patience=patience)
            problems += engine.follow(record, wanted, lambda new: self._save(DOCKER, new.as_json()))
        return (*problems, *(dockerd.left_alone(self.paths, self.manager) if mode != "none" else ()))

    def docker_found(self) -> bool:
        """Whether Docker is on this host, or a directory of its settings."""
        return any(find_program(name) for name in ("dockerd", "docker")) or reading.is_directory(self.paths.docker)

    def _files(self, name: str, wanted: dict[Path, bytes]) -> tuple[bool, tuple[Problem, ...]]:
        kept = self.record.get("files", {}).get(name, {})
        if not wanted and not kept:
            return False, ()
        return owned.follow(wanted, kept, lambda new: self._save("files", new, name))

    def _other(self, client: Client, how: str) -> tuple[bool, tuple[Problem, ...]]:
        wanted = client.wants(self.paths, self.served, insecure=how == "insecure") if self.served and how else {}
        changed, problems = self._files(client.name, wanted)
        if client.name == trust_k3s.NAME:
            possible = self.served is not None and (how == "insecure" or (how and self.served.ca))
            words = self.served.spellings if self.served and possible else ()
            changed |= self._k3s(words, insecure=how == "insecure")
        log.debug("%s: %s, files %s", client.name, how or "none", "changed" if changed else "unchanged")
        if changed and client.after is not None:
            client.after(self.paths)
        return changed, problems

    def _refresh(self, client: Client, how: str) -> tuple[Problem, ...]:
        return self._other(client, how)[1]

    def _notes(self, client: Client, how: str) -> tuple[Problem, ...]:
        _, problems = self._other(client, how)
        return (*problems, *client.notes(self.paths))

    def _k3s(self, wanted: tuple[str, ...], *, insecure: bool) -> bool:
        path = self.paths.k3s / "registries.yaml"
        tls: dict[str, Any] = (
            {"insecure_skip_verify": True} if insecure else {"ca_file": str(trust_k3s.ca_file(self.paths))}
        )
        seen = edits.read(path)
        mine = edits.Mine.from_json(self.record.get("k3s"))
        new, after = edits.plan(seen.data, mine, trust_k3s.Registries(str(path), tls), wanted)
        if new == seen.data:
            return False
        files.make_directory(path.parent, 0o755) if not reading.is_directory(path.parent) else None
        self._save("k3s", after.as_json() if after else None)
        edits.replace(seen, new)
        return True

    def forget(self) -> None:
        """After a removal: a later installation begins anew."""
        self._save("declined", value=False)

    def told(self) -> tuple[str, ...]:
        """What of ours stands where, for people."""
        record = self._docker_record()
        found = [f"{DOCKER}: entries in {record.target.path}"] if record.target is not None else []
        found += [f"{trust_k3s.NAME}: entries in {self.paths.k3s}/registries.yaml"] if self.record.get("k3s") else []
        for name, kept in self.record.get("files", {}).items():
            if kept:
                common = next(iter(kept)) if len(kept) == 1 else f"{len(kept)} files below {os.path.commonpath(kept)}"
                found.append(f"{name}: {common}")
        return tuple(found) or ("nothing of ours is in any client's files",)

    # --- other machines ---
    def show(self, *, line: bool) -> str:
        """A script (or one line, for Docker) with which another machine trusts the registry."""
        if self.served is None:
            raise SecregError("nothing serves yet, so there is nothing to trust", "secure-registry start")
        far = [endpoint for endpoint in self.served.endpoints if endpoint.host not in LOOPBACK]
        if self.served.ca is None or not far:
            raise SecregError(
                "the certificate was not signed by a CA that is known here",
                f"publicly trusted: clients need nothing; else put your CA's certificate into {self.paths.ca_crt}",
            )
        variables = {
            "best": far[0].spellings[0],
            "addresses": [endpoint.spellings[0] for endpoint in far if endpoint.port == far[0].port],
            "spellings": list(dict.fromkeys(word for end in far for word in end.spellings)),
            "fingerprint": served.fingerprint(self.served.ca),
        }
        name = "line.sh.j2" if line else "show.sh.j2"
        return utf8.shown(templating.render(self.paths.templates, f"trust/{name}", **variables))


def at(host: Host, current: Generation | None) -> Trust:
    """The clients of `host`, by what serves: `current`."""
    manager = None
    if host.by_systemd:
        from secreg_host.base.systemd import Systemd

        manager = Systemd()
    return Trust(host, current, manager)
