"""Can people use the registry? Asked as a client does, by our own probe, a user that nobody else can be (liveusers.py).

    login    the front and the password check, at each public address, over TLS
    queued   the queue between both
    reads    the registry behind them
    writes   its store: bytes written, read back and removed
    trusted  the certificate, as Go and OpenSSL verify it

Each returns "" or what is wrong, in words of an administrator's, and raises nothing of what the network does. Where
nginx.conf keeps this host itself out, the probe comes by the front's own socket (probe.once sees that it is closed);
so it does where requests are limited, of which it takes none from clients.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

from secreg_host.apply import backend, probe, rehearsal, storeproof
from secreg_host.apply.asking import Answer, Client, Request, connect_tcp, opened
from secreg_host.apply.probe import Expectation
from secreg_host.base import waiting
from secreg_host.formats.listening import Listen
from secreg_host.formats.users import PROBE
from secreg_host.generation.assemble import NO_SLOT, probe_word
from secreg_host.generation.generations import Generation
from secreg_host.generation.liveusers import LiveUsers
from secreg_host.host import processes
from secreg_host.host.host import Host
from secreg_host.pki import handshake
from secreg_host.pki.handshake import Rule
from secreg_host.services import sockets
from secreg_host.wanted.parts.certificate import CertificatePart
from secreg_host.wanted.parts.registry import RegistryPart

log = logging.getLogger(__name__)

Connect = Callable[[Listen], socket.socket]

SECONDS = 10.0
"""How long an answer is waited for."""

PAUSE_SECONDS = 0.1

LOGIN, CATALOG = "/_secreg/login", "/v2/_catalog?n=1"
WRONG = "wrong"
"""A password that is not the probe's."""

LOOKS = 3
"""How often it is asked with another password because users changed meanwhile."""

UNREACHED = (OSError, http.client.HTTPException, ValueError)


class Nobody(str):
    """That nobody can log in: .htpasswd has no user, or can't be taken over safely. No fault of what serves."""


class Late(str):
    """That an answer did not come in time: something hangs, or has too much to do."""


class Unheard(str):
    """That nobody listens where the front asks the queue."""


def login(host: Host, generation: Generation, connect: Connect = connect_tcp) -> str:
    """What is wrong with logging in where `generation` serves: our probe must be let in by its password, and by no
    other one, at each address. The registry has no part in it.

    `probe.Open` when a wrong password is let in, `Nobody` when nobody can log in, `Late` when no answer comes in time.
    """
    return as_probe(host, lambda password: _check(host, password) or _at_each(host, generation, connect, password))


def checked(host: Host) -> str:
    """What is wrong with the password check itself, whatever the front does; `Nobody` and `Late` as of `login`."""
    return as_probe(host, lambda password: _check(host, password))


def queued(host: Host) -> str:
    """What keeps questions from the queue before the password check, which is asked as the front does; `Unheard`, and
    `Nobody` and `Late` as of `login`."""
    return as_probe(host, lambda password: unheard(host) or _queue(host, password))


def unheard(host: Host) -> str:
    """`Unheard` where nobody listens for the queue, else ""."""
    path = processes.queue_socket(host)
    return "" if sockets.leads(path) else Unheard(f"nobody listens at {path}")


def entered(host: Host, generation: Generation, seconds: float, alive: Callable[[], str]) -> str:
    """`login`, once what was changed has come to rest: looked at again for `seconds` at the most while it is wrong.

    alive: as of `probe.prove`; it is called while an answer is waited for, too. Nobody to log in is nothing wrong.
    """
    for _ in waiting.looks(seconds):
        wrong = beside(lambda: login(host, generation), alive)
        dead = alive() if wrong else ""
        if not wrong or dead or isinstance(wrong, probe.Open | Nobody | Late):
            break
    log.debug("a login: %s", wrong or "as expected")
    return dead or ("" if isinstance(wrong, Nobody) else wrong)


def beside(ask: Callable[[], str], meanwhile: Callable[[], object]) -> str:
    """What `ask` returns, which may wait for the network; `meanwhile` is called again and again until then."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask)
        while not wait([answer], PAUSE_SECONDS).done:
            meanwhile()
        return answer.result()


def reads(host: Host, generation: Generation, connect: Connect = connect_tcp) -> str:
    """What is wrong with reading: the registry behind the front must answer /v2/, and its catalogue.

    `Late` when no answer comes in time, `storeproof.Unreached` when it is not the registry that answers. Where nobody
    can log in, the registry itself is asked.
    """

    def look(ask: storeproof.Ask) -> str:
        known = (200, 401) if generation.parts[RegistryPart].auth else (200,)
        answer = ask(Request("/v2/"))
        if answer.status not in known:
            return storeproof.failed("the registry does not answer: /v2/", answer)
        listed = ask(Request(CATALOG))
        return storeproof.failed("a list of its images", listed) if listed.status >= 500 else ""

    def asked(password: str) -> str:
        try:
            with contextlib.ExitStack() as links:
                return look(_way(host, generation, connect, password, links))
        except TimeoutError:
            return Late(f"the registry does not answer within {SECONDS:.0f} s")
        except UNREACHED as error:
            return storeproof.Unreached(f"the registry does not answer: {error}")

    wrong = as_probe(host, asked)
    if isinstance(wrong, Nobody):
        said = backend.wrong(host, generation)
        return f"the registry does not answer: {said}" if said else ""
    return wrong


def can_write(generation: Generation) -> bool:
    """Whether the store of `generation` is one that this host's registry writes to a file system."""
    registry = generation.parts[RegistryPart]
    return generation.slot != NO_SLOT and registry.storage is not None and not registry.auth


def writes(host: Host, generation: Generation, connect: Connect = connect_tcp) -> str:
    """What is wrong with storing: bytes are written, read back and removed by the registry, in a repository that nobody
    else has. "" also where that can't be told: the store is not ours, or nothing may be written to it.

    `storeproof.Unreached` when it is not the registry that answers.
    """
    images = generation.parts[RegistryPart].storage
    if images is None or not can_write(generation):
        return ""

    def asked(password: str) -> str:
        try:
            with contextlib.ExitStack() as links:
                return storeproof.wrong(host, images, _way(host, generation, connect, password, links))
        except UNREACHED as error:
            return storeproof.Unreached(f"the registry does not answer: {error}")

    wrong = as_probe(host, asked)
    if isinstance(wrong, Nobody):
        return storeproof.wrong(host, images, storeproof.behind(processes.socket_of(host, generation.slot)))
    return wrong


def trusted(host: Host, generation: Generation) -> str:
    """What a client finds wrong with the certificate that is served, for each of the names and addresses that were set;
    "": one of them is right. A client has the CA that /ca.crt serves, and those of this host's system: where neither
    knows the issuer, only names and dates are judged."""
    ca, listen = generation.parts[CertificatePart].ca, rehearsal.expectations(host, generation)[0].listen
    said = ""
    for name in (*generation.settings.server_names, *generation.settings.server_ips):
        wrong = handshake.wrong(name, lambda: opened(listen), Rule(cas=(ca,) if ca else ()))
        log.debug("TLS verified for %s: %s", name, wrong or "as a client does")
        if not wrong:
            return ""
        said = said or f"{name}: {wrong}"
    return said


def as_probe(host: Host, ask: Callable[[str], str]) -> str:
    """What `ask` says of the password of our own probe; once more if that is another one by then."""
    live = LiveUsers(host)
    for _ in range(LOOKS):
        password = live.probe
        if not password:
            return Nobody("nobody can log in: .htpasswd names no user, or can't be taken over safely")
        wrong = ask(password)
        if not wrong or live.probe == password:
            break
    return wrong


def _check(host: Host, password: str) -> str:
    """What is wrong with the password check itself, asked as the front does: of one that is away, nginx would write an
    error to the journal each time."""
    try:
        with contextlib.ExitStack() as links:
            client = probe.entered(processes.auth_socket(host), "auth", links, SECONDS)
            status = client.ask(Request("/", login=f"{PROBE}:{password}")).status
    except TimeoutError:
        return Late(f"the password check does not answer within {SECONDS:.0f} s")
    except UNREACHED as error:
        return f"the password check does not answer: {getattr(error, 'strerror', None) or error}"
    return "" if status == 204 else f"the password check answers a right password by HTTP {status}"


def _queue(host: Host, password: str) -> str:
    """What is wrong with the answer of the queue to our probe, which it knows by its name."""
    asked = Request("/check", login=f"{PROBE}:{password}", client=PROBE)
    try:
        with contextlib.ExitStack() as links:
            status = probe.entered(processes.queue_socket(host), "queue", links, SECONDS).ask(asked).status
    except (TimeoutError, BlockingIOError):  # nobody takes it, or as many wait as may
        return Late(f"the queue before the password check does not answer within {SECONDS:.0f} s")
    except UNREACHED as error:
        return f"the queue before the password check does not answer: {getattr(error, 'strerror', None) or error}"
    return "" if status == 204 else f"the queue answers a right password by HTTP {status}"


def _at_each(host: Host, generation: Generation, connect: Connect, password: str) -> str:
    for want in rehearsal.expectations(host, generation):
        where = probe.place(want.listen)
        try:
            with contextlib.ExitStack() as links:
                wrong = _logged_in(came_in(want, connect, links), password, probe_word(generation))
        except TimeoutError:
            return Late(f"{where}: a login is not answered within {SECONDS:.0f} s")
        except UNREACHED as error:
            return f"{where}: a login is not answered: {error}"
        if wrong:
            return type(wrong)(f"{where}: {wrong}")
    return ""


def _logged_in(client: Client, password: str, word: str) -> str:
    status = client.ask(Request(LOGIN, login=f"{PROBE}:{password}", word=word)).status
    if status == 503:
        return "the password check does not answer (HTTP 503)"
    if status == 429:
        return Late("the password check has too much to do (HTTP 429)")
    if status != 204:
        return f"a right password is answered by HTTP {status}"
    for given, said in ((f"{PROBE}:{WRONG}", "a wrong password"), ("", "no password")):
        asked = Request(LOGIN, login=given, word=word) if given else Request(probe.GUARDED[0])
        status = client.ask(asked).status
        if 200 <= status < 300:
            return probe.Open(f"{said} is let in (HTTP {status})")
        if status != 401:
            return f"{said} is answered by HTTP {status}, not 401"
    return ""


def came_in(want: Expectation, connect: Connect, links: contextlib.ExitStack) -> Client:
    """A client of the address `want`, or of the front's own socket if that is closed to this host, or limited. Raises
    OSError when somebody else may be there: no password is sent then."""
    client = Client(want.listen, want.server_name, connect, links, seconds=SECONDS)
    if not probe.presents(want, client):
        raise OSError(probe.ANOTHER_CERTIFICATE)
    if want.inside and (want.limited or client.status(probe.GUARDED[0]) != 401):
        return probe.entered(want.inside, want.server_name, links, SECONDS)
    return client


def _way(
    host: Host, generation: Generation, connect: Connect, password: str, links: contextlib.ExitStack
) -> Callable[[Request], Answer]:
    """What asks the registry through the front, as our probe with `password`."""
    client = came_in(rehearsal.expectations(host, generation)[0], connect, links)
    login, word = f"{PROBE}:{password}", probe_word(generation)

    def ask(request: Request) -> Answer:
        return client.ask(replace(request, login=login, word=word))

    return ask
