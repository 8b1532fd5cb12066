"""A candidate's nginx, tried where no client can reach it: `nginx -t` on its bytes, then a run on unix sockets.

The run answers what a syntax check can't: does it present the certificate, and does it ask for a password?
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import shutil
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from secreg_host.apply import blame, namedfiles, probe
from secreg_host.apply.asking import connect_unix
from secreg_host.base import bugs, files, process, quoting, utf8, waiting
from secreg_host.base.errors import Later, Problem, SecregError
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import lastwords, listening, nginxconf, onsockets, serverblocks
from secreg_host.generation import assemble
from secreg_host.generation.generations import Generation
from secreg_host.host import host as hosts
from secreg_host.host import processes
from secreg_host.host.host import Host
from secreg_host.services import nginxmaster
from secreg_host.wanted import bypass
from secreg_host.wanted.parts.certificate import CRT, KEY, CertificatePart
from secreg_host.wanted.parts.nginx import NginxPart, included

log = logging.getLogger(__name__)

SECONDS = 10.0
ATTEMPTS = 5
MESSAGE = re.compile(
    r"(nginx: |[\d/]+ [\d:]+ )\[(?P<level>emerg|alert|crit|error)\] (\d+\#\d+: )?"
    r"(?P<text>.*?)(?: in (?P<file>/\S+?):(?P<line>\d+))?$"
)

CERTIFICATE = re.compile(r'(?:cannot load certificate(?: key)? |(?:SSL|PEM|BIO)_\w+\()"(?P<path>/[^"]+)"')
"""How nginx begins to tell that it can't use a certificate or a key (ngx_event_openssl.c)."""

NOT_ALLOWED = "Permission denied"
NO_ADDRESS = "Cannot assign requested address"
UNKNOWN = "host not found in "
OUTSIDE = re.compile(f"{NO_ADDRESS}|{UNKNOWN}")
"""What nginx says that may be over without any edit: it is tried again."""

PATH = re.compile(r'"(/[^"]+)"|(/\S+)')


def check(host: Host, generation: Generation, staged: Path, tried: Generation | None = None) -> tuple[Problem, ...]:
    """Problems of the staged generation's two nginx configurations; none: it may serve.

    tried: a generation that the nginx which is on disk was tried with. A password check that is the same is not tried
    again: it could only hold back what has nothing to do with it.
    """
    try:
        return _check(host, generation, staged, tried)
    except BaseException as error:
        return bugs.caught(error, generation.parts[NginxPart].conf)


def _check(host: Host, generation: Generation, staged: Path, tried: Generation | None) -> tuple[Problem, ...]:
    settings = generation.settings
    program = hosts.nginx(settings.nginx_binary)
    tests = [("front", host.accounts.front, host.paths.front_run)]
    same_settings = tried is not None and tried.settings == settings
    if not same_settings or generation.differs(tried, "auth/"):
        tests.append(("auth", host.accounts.auth, host.paths.auth_run))
    else:
        log.debug("auth: not tried, unchanged")
    with ThreadPoolExecutor() as pool:  # of processes that are waited for
        said = [pool.submit(_test, program, staged / part / "nginx.conf", whose, run) for part, whose, run in tests]
        rehearsed = pool.submit(_rehearse, host, generation, staged, program)
        for stderr in (each.result() for each in said):
            if stderr is not None:
                return explain(stderr, staged, generation)
        return rehearsed.result()


def _test(program: Path, conf: Path, account: process.Account, run: Path) -> str | None:
    """What `nginx -t` says against `conf`; None: nothing."""
    argv = process.as_account([*processes.nginx_argv(program, conf), "-t"], account)
    for _ in range(ATTEMPTS):
        files.make_directory(run, 0o750, account.owner)
        result = process.run(argv)
        if f"{run}/" not in result.stderr or "No such file" not in result.stderr:
            break  # else systemd took the run directory away, as it does when a process of ours fails to start
    return result.stderr if result.returncode else None


def explain(stderr: str, staged: Path, generation: Generation) -> tuple[Problem, ...]:
    """nginx's error output as problems that name the administrator's own file and line."""
    nginx, pair = generation.parts[NginxPart], generation.parts[CertificatePart]
    sources = {f"{staged}/{name}": source for name, source in nginx.origin.items()}
    sources |= {f"{staged}/{name}": source for name, source in zip((CRT, KEY), pair.sources, strict=False)}
    found = []
    for line in stderr.splitlines():
        match = MESSAGE.match(line)
        if not match or match["level"] == "alert":
            continue
        text = _of_etc(match["text"], sources)
        where, hint = nginx.conf, hint_for(text)
        if known_line := blame.unplaced(nginx, text):
            where, hint = known_line[0], known_line[1] or hint
        named = next((word for word in _paths(text) if word in sources.values()), None)
        if placed := sources.get(match["file"] or ""):
            where = f"{placed}:{match['line']}"
        elif named:
            where = named
        shown = lastwords.nginx(text)
        if blamed := namedfiles.blamed(nginx, text, pair.sources):
            where, directive, helps = blamed
            shown, hint = f"{directive}: {shown}", hint if NOT_ALLOWED in text else helps
        found.append((Later if OUTSIDE.search(text) else Problem)(where, shown, hint))
    if not found:
        said = (stderr.strip().splitlines() or ["nginx -t ended without a word"])[-1]
        found = [Problem(nginx.conf, lastwords.nginx(said), RUNS)]
    return tuple(found)


def _of_etc(text: str, sources: Mapping[str, str]) -> str:
    """`text` with the files of /etc in the place of those of which they are copies."""
    for copy, source in sources.items():
        text = text.replace(copy, source)
    return text


def _paths(text: str) -> Iterator[str]:
    """The paths in `text`."""
    for quoted, bare in PATH.findall(text):
        yield (quoted or bare).rstrip('",)')


RUNS = "see whether nginx runs at all: nginx -v"


def hint_for(text: str) -> str:
    """What to do about an error of nginx's, by its `text`."""
    if "bind() to unix:" in text:
        return "nginx does not run as root: name a socket in a directory that user secure-registry-nginx may write to"
    if NO_ADDRESS in text:
        return "correct the line 'listen', or wait for that address: it is tried again by itself"
    if UNKNOWN in text:
        return "correct the name, or wait until this host knows it (getent hosts NAME): it is tried again by itself"
    if NOT_ALLOWED in text:
        return "nginx does not run as root: put the file into /etc/secure-registry, from where it is copied for it"
    if CERTIFICATE.match(text):
        return "bring another one, in PEM form; what it is: openssl x509 -noout -text -in FILE (a key: openssl pkey)"
    if "unknown directive" in text:
        return "correct it, or install the nginx module that knows it"
    return "correct the line; what may stand there: https://nginx.org/en/docs/dirindex.html"


def _rehearse(host: Host, generation: Generation, staged: Path, program: Path) -> tuple[Problem, ...]:
    directory, account = host.paths.rehearsal, host.accounts.front
    shutil.rmtree(directory, ignore_errors=True)
    files.make_directory(directory, 0o700)
    conf = generation.parts[NginxPart].conf
    try:
        sockets = _copy(host, generation, staged, directory)
        files.make_directory(directory, 0o700, account.owner)  # from now on it may hold anything
        argv = (*processes.nginx_argv(program, directory / "nginx.conf"), *processes.IN_FRONT)
        with _running(process.as_account(argv, account), directory / "nginx.pid"):
            moved = {(listen.host, listen.port): connect_unix(path) for path, listen in sockets.items()}
            for known in expectations(host, generation):
                want = replace(known, inside=directory / assemble.GUARDED) if known.inside else known
                connect = moved.get((want.listen.host, want.listen.port))
                if connect and (wrong := probe.once(want, connect)):
                    log.debug("rehearsed on port %d: %s", want.listen.port, wrong)
                    return (at_fault(generation, want, wrong),)
            log.debug("rehearsed on %d addresses: as expected", len(moved))
            here = [door for door in doors(generation) if (door.listen.host, door.listen.port) in moved]
            if wrong := probe.find_open(here, lambda door: moved[door.listen.host, door.listen.port]):
                return (Problem(blame.opened(generation.parts[NginxPart]), f"rehearsed: {wrong}", bypass.REMEDY),)
    except SecregError as error:
        return (Problem(conf, f"rehearsal: {error.message}", error.hint),)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return ()


def at_fault(generation: Generation, want: probe.Expectation, wrong: str) -> Problem:
    """What is to blame for what was `wrong` in the rehearsal."""
    said = f"rehearsed on port {want.listen.port}: {wrong}"
    if isinstance(wrong, probe.NoHandshake) and want.fingerprint:
        hint = (
            "bring an RSA or a P-256 key; or see whether ssl_ciphers and ssl_protocols in nginx.conf go with this one"
        )
        return Problem(generation.parts[CertificatePart].place, said, hint)
    nginx = generation.parts[NginxPart]
    where, hint = blame.answered(nginx, want, wrong)
    return Problem(where, said, hint)


def _copy(host: Host, generation: Generation, staged: Path, directory: Path) -> dict[Path, listening.Listen]:
    """The front's files in `directory`, with another run directory and unix sockets for addresses."""
    owner = host.accounts.front.owner
    front = {path.removeprefix("front/"): data for path, data in generation.files.items() if path.startswith("front/")}
    front |= {path.removeprefix("front/"): data for path, data in assemble.generation_conf(generation).items()}
    if assemble.DEBUG in front:
        front[assemble.DEBUG] = b""  # the address of what serves; nobody asks there now
    changed, sockets = onsockets.on_sockets(
        front, staged / "front", directory, functools.partial(included, Snapshot(host.paths))
    )
    was, now = (quoting.nginx_part(path).encode() for path in (host.paths.front_run, directory))
    for name, data in (front | changed).items():
        target = directory / name
        if target.parent != directory:
            files.make_directory(target.parent, 0o750, (0, owner[1]))
        if name in nginxconf.PAIR:
            target.symlink_to(staged / "front" / name)
        else:
            files.create(target, data.replace(was, now), 0o400, owner)
    return sockets


@contextlib.contextmanager
def _running(argv: list[str], pid_file: Path) -> Iterator[None]:
    """nginx while the block runs; raises SecregError with its last line if it does not come up."""
    nginx = process.spawn(argv, umask=processes.UMASK)  # it may be the first to open a log
    try:
        waiting.until(lambda: nginxmaster.pid_in(pid_file) or nginx.poll() is not None, SECONDS, 0.002)
        if not nginxmaster.pid_in(pid_file):
            nginx.kill()
            said = (utf8.shown(nginx.communicate()[0]).strip().splitlines() or ["no answer"])[-1]
            raise SecregError(f"nginx did not start: {lastwords.nginx(said)}", RUNS)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(nginx.pid, signal.SIGKILL)  # nobody but us talks to it
        nginx.communicate(timeout=SECONDS)


def expectations(host: Host, generation: Generation) -> tuple[probe.Expectation, ...]:
    """What the world gets when `generation` serves."""
    return tuple(expectation(host, generation, listen) for listen in generation.parts[NginxPart].answering)


def doors(generation: Generation) -> tuple[serverblocks.Door, ...]:
    """Behind what the registry must not answer without a password."""
    return generation.parts[NginxPart].doors


def expectation(host: Host, generation: Generation, listen: listening.Listen) -> probe.Expectation:
    """What `listen` must answer when `generation` serves."""
    nginx = generation.parts[NginxPart]
    wished = (*generation.settings.server_names, "localhost")[0]
    called = [door.name for door in nginx.called if door.listen == listen]
    name = wished if wished in called or not called else called[0]
    fingerprint = generation.parts[CertificatePart].fingerprint if nginx.own_pair else None
    inside = host.paths.front_run / assemble.GUARDED if nginx.closed or nginx.limited else None
    return probe.Expectation(listen, assemble.answer_path(generation), fingerprint, name, inside, nginx.limited)
