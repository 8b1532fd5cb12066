"""`trust check`: each client of this host at each endpoint. dockerd goes there itself, as for a pull; for the others a
handshake by their rules, through the proxy that they use. Nothing is changed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from secreg_host.base import masking
from secreg_host.base.errors import Note, Problem, SecregError
from secreg_host.base.paths import Paths
from secreg_host.base.process import find_program
from secreg_host.base.proxies import Proxies
from secreg_host.clients import proxied, trust, trust_docker
from secreg_host.clients.docker import dockerinfo, unit
from secreg_host.clients.docker.dockerd import ENDLESS, Dockerd, Manager
from secreg_host.clients.rules import Rules
from secreg_host.clients.served import Endpoint, Served
from secreg_host.pki import handshake


@dataclass(frozen=True)
class Checked:
    """One client at one spelling of an endpoint; wrong: "" when it accepts it; how: what it goes by."""

    client: str
    spelling: str
    how: str
    wrong: str

    def __str__(self) -> str:
        verdict = f"fails: {self.wrong}" if self.wrong else "accepts it"
        return masking.urls(f"{self.client:<11} {self.spelling:<32} {verdict} ({self.how})")


def _unasked(word: str) -> str | None:
    """What a client says that can't be sent to `word`."""
    return None


@dataclass(frozen=True)
class Client:
    """One that is checked. proxies: those that it uses; remedy: how it goes without one (`proxied.place`); ask: lets it
    go itself to what it calls by this spelling: what it says, "" that it got there, None that this can't be told."""

    name: str
    rules: Rules
    proxies: Proxies
    remedy: str
    ask: Callable[[str], str | None] = _unasked

    def at(self, endpoint: Endpoint, word: str) -> Checked:
        """What becomes of it at `endpoint`, by the spelling `word`."""
        one = self.rules(endpoint, word)
        wrong = None if one.insecure else self.ask(word)
        if wrong is None:
            wrong = handshake.shake(endpoint.host, endpoint.port, one)
        how = "not verified" if one.insecure else "its own CA and the system's" if one.cas else "the system's CAs"
        return Checked(self.name, word, f"{how}, through {one.proxy}" if one.proxy else how, wrong)

    def everywhere(self, served: Served) -> tuple[list[Checked], list[Problem]]:
        """What becomes of it at all that is `served`, by all spellings; and what helps where a proxy is in the way."""
        found, stuck = [], []
        for endpoint in served.endpoints:
            for word in endpoint.spellings:
                bare = self.name == trust_docker.NAME and word.endswith("]")
                if bare and self.rules(endpoint, endpoint.authority).insecure:
                    continue  # see Endpoint.insecure_entries
                found.append(self.at(endpoint, word))
                stuck += [endpoint] if found[-1].wrong and self.proxies.towards(endpoint.host, endpoint.port) else []
        return found, [proxied.problem(self.name, self.proxies, stuck, self.remedy)] if stuck else []


def check(
    paths: Paths, manager: Manager | None, served: Served, asked: Iterable[str]
) -> tuple[tuple[Checked, ...], tuple[Problem, ...]]:
    """Every client found here (or named) at every endpoint; and clients that can't be asked, or what helps them."""
    wanted = set(asked)
    clients: list[Client] = []
    problems: list[Problem] = []
    if trust_docker.NAME in wanted or (not wanted and find_program("dockerd")):
        try:
            clients.append(_docker(paths, manager))
        except SecregError as error:
            problems += error.problems
    for one in trust.OTHERS:
        if one.name in wanted or (not wanted and one.used(paths)):
            proxies, remedy = _proxies(paths, manager, one.services, one.own_proxy)
            clients.append(Client(one.name, one.rules(paths, proxies), proxies, remedy))
            problems += [note for note in one.notes(paths, served) if not isinstance(note, Note)]
    found = []
    for client in clients:
        checked, told = client.everywhere(served)
        found += checked
        problems += told
    return tuple(found), tuple(problems)


def _proxies(paths: Paths, manager: Manager | None, services: Sequence[str], own: str) -> tuple[Proxies, str]:
    """The proxies of the first of `services` that there is (none named: of whoever types), and how it goes without."""
    if not services:
        return Proxies.of(os.environ), proxied.OF_SHELL
    for name in services if manager is not None else ():
        with contextlib.suppress(SecregError):
            if manager is not None and (found := unit.read(paths, manager.unit(name))) is not None:
                return Proxies.of(found.variables, own), proxied.place(name, found)
    return Proxies(), proxied.place(services[0], None)


def _docker(paths: Paths, manager: Manager | None) -> Client:
    """dockerd, which goes itself to what it verifies; of the rest it would tell of an attempt without TLS. Raises
    SecregError when it can't be asked."""
    daemon = Dockerd(paths, manager, None, ENDLESS)
    said, engine = daemon.info(), daemon.engine
    told, known = dockerinfo.proxies(said), Proxies.of(engine.unit.variables if engine is not None else {})
    if told.https.rpartition("@")[2] == known.https.rpartition("@")[2]:
        told = Proxies(known.https, told.none)  # with its password, which dockerd does not tell
    remedy = proxied.place(dockerinfo.UNIT, engine.unit if engine is not None else None, daemon.config)

    def ask(word: str) -> str | None:
        try:
            return dockerinfo.reaches(daemon.socket, word)
        except SecregError as error:
            return error.message

    return Client(trust_docker.NAME, trust_docker.rules(paths, said, told), told, remedy, ask)
