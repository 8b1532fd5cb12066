"""The parts of a generation, read from /etc: settings, certificate, nginx, registry, users.

Each part is good or bad by itself, so that a broken file holds back only itself.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from secreg_host.base import bugs, marks, names, reading
from secreg_host.base.errors import BadInput, Problem, bad_input
from secreg_host.base.paths import Paths
from secreg_host.formats import listening, nginxconf, registryconf, serverblocks, users
from secreg_host.formats.nginxsyntax import Directive
from secreg_host.pki import certs, ours, pairs
from secreg_host.wanted import bypass, passing, plainhttp
from secreg_host.wanted import settings as settings_module
from secreg_host.wanted.settings import Settings

SETTINGS, CERTIFICATE, NGINX, REGISTRY, USERS = "settings", "certificate", "nginx", "registry", "users"
ALL = (SETTINGS, CERTIFICATE, NGINX, REGISTRY)
"""What a generation is made of. Users are no part of it: they never go back (liveusers.py)."""

REVERTIBLE = (CERTIFICATE, NGINX, REGISTRY)
"""Parts that go back to their last good version when they fail."""

WARN_DAYS = 14
CRT, KEY = "front/docker-registry.crt", "front/docker-registry.key"
CA = "front/ca.crt"
"""The CA that signed the certificate, for clients (/ca.crt); absent when none of ours or the administrator's did."""

REGISTRY_YML = "registry/docker-registry.yml"


@dataclass(frozen=True)
class Part:
    """Files of a generation that stand and fall together, and facts about them.

    files: path below the generation -> bytes; facts: JSON values; sources: files of /etc they were read from.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What reading a part gave: the part (None: it can't be used), problems, and whether half of a pair is missing."""

    part: Part | None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    waiting: bool = False


def guarded(where: Path, read: Callable[[], Reading]) -> Reading:
    """`read()`, which is about the file `where`, with whatever it raises turned into the problems of its part."""
    try:
        return read()
    except BaseException as error:
        return Reading(None, bugs.caught(error, where))


RESTORE = "bring it back, or let this write a new one: secure-registry setup"


def _required(path: Path, limit: int, hint: str = RESTORE) -> bytes:
    data = reading.read(path, limit)
    if data is None:
        raise bad_input(str(path), "does not exist", hint)
    return data


def read_settings(paths: Paths, environment: Mapping[str, str], *, known: bool = False) -> tuple[Settings, Reading]:
    """The settings, and their part without the password.

    known: whether there are some that serve. They hold on while the file is away or empty, as it is for a moment while
    some editors save it: all defaults would be another port, other names.
    """
    data = _required(paths.conf, reading.SETTINGS) if known else reading.read(paths.conf, reading.SETTINGS)
    if known and not data:
        hint = "write the settings again, or a comment if there are none"
        raise BadInput([Problem(str(paths.conf), "is empty", hint)])
    loaded = settings_module.load(paths.conf, data, environment)
    problems = settings_module.unresolved(loaded)
    if problems:
        raise BadInput(problems)
    return loaded, Reading(settings_part(loaded))


def settings_part(settings: Settings) -> Part:
    return Part(facts=settings.public())


def settings_of(part: Part) -> Settings:
    """The settings that a generation was made with (without the password)."""
    known: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in part.facts.items()
        if name in Settings.__dataclass_fields__
    }
    return replace(Settings(), **known)


def read_certificate(paths: Paths, now: datetime, before: Part | None) -> Reading:
    """The pair docker-registry.{crt,key}; a pair that does not match is waited for, as it may change in two steps.

    before: the part that serves. The same bytes are not judged again: an expired certificate, or a clock set back,
    is a warning then.
    """
    if os.path.lexists(paths.crt) or os.path.lexists(paths.key):
        crt = _required(paths.crt, reading.PEM, f"bring it back; or {ours.renewal(paths, paths.key)}")
        key = _required(paths.key, reading.PEM, f"bring it back; or {ours.renewal(paths, paths.crt)}")
    else:
        crt, key = _required(paths.crt, reading.PEM), _required(paths.key, reading.PEM)
    authority = ours.signer(paths, crt)
    same = before is not None and (before.files[CRT], before.files[KEY]) == (crt, key)
    if before is not None and same:
        part = replace(before, files=_pair(crt, key, authority))
        return Reading(part, warnings=_warnings(part, paths, now, crt))
    pair = certs.KeyPair(crt, key)
    judged = pairs.judge(pair, str(paths.crt), str(paths.key), now, ours.renewal(paths, paths.crt))
    certificate = judged.certificate
    if certificate is None:
        return Reading(None, judged.problems, waiting=judged.mismatch)
    facts = {
        "fingerprint": certificate.fingerprint,
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
        "names": [*certificate.names, *map(str, certificate.addresses)],
    }
    part = Part(_pair(crt, key, authority), facts, (str(paths.crt), str(paths.key)))
    return Reading(part, warnings=_warnings(part, paths, now, crt))


def _warnings(part: Part, paths: Paths, now: datetime, crt: bytes) -> tuple[Problem, ...]:
    return (*expiry(part, paths, now), *ours.warnings(paths, crt), *unusable(part, str(paths.crt)))


def _pair(crt: bytes, key: bytes, authority: bytes) -> dict[str, bytes]:
    return {CRT: crt, KEY: key} | ({CA: authority} if authority else {})


def names_of(certificate: Part) -> tuple[str, ...]:
    """The names and addresses of a certificate for which clients can ask."""
    return names.usable(map(str, certificate.facts["names"]))


def unusable(part: Part, where: str) -> tuple[Problem, ...]:
    """A warning when the certificate has names that are neither host names nor addresses."""
    odd = [str(name) for name in part.facts["names"] if str(name) not in names_of(part)]
    if not odd:
        return ()
    shown = ", ".join(f"{name[:60]!a}" for name in odd[:5])
    what = f"{len(odd)} of its names are neither host names nor addresses, and passed over: {shown}"
    return (Problem(where, what, "clients can't reach it by them; have it issued without"),)


def expiry(part: Part, paths: Paths, now: datetime) -> tuple[Problem, ...]:
    """A warning when the certificate that serves is expired, about to expire, or not valid by this host's clock."""
    where = str(paths.crt)
    begins, ends = (datetime.fromisoformat(part.facts[key]) for key in ("not_before", "not_after"))
    if now < begins:
        hint = "set this host's clock: timedatectl"
        return (Problem(where, f"by this host's clock ({now:%Y-%m-%d}) it is valid only from {begins:%Y-%m-%d}", hint),)
    days = (ends - now).days
    if days >= WARN_DAYS:
        return ()
    said = f"expires on {ends:%Y-%m-%d}, in {days} days" if now < ends else f"expired on {ends:%Y-%m-%d}"
    return (Problem(where, said, ours.renewal(paths, paths.crt)),)


@dataclass(frozen=True)
class _Rules(nginxconf.Rules):
    """No line leads past the password check; what is passed on to it streams."""

    private: bypass.Private

    def problems(self, directives: Sequence[Directive], where: str) -> Iterable[Problem]:
        return bypass.problems(directives, where, self.private)

    def additions(
        self, directives: Sequence[Directive], context: tuple[str, ...], sets: Callable[[str], set[str]]
    ) -> Mapping[int, str]:
        return passing.additions(directives, context, sets)


def read_nginx(paths: Paths, images: Iterable[Path] = ()) -> Reading:
    """nginx.conf and what it includes from /etc/secure-registry. images: where they are, on a file system."""
    read = functools.cache(included)
    places = [paths.run, paths.views, paths.lib, *images]
    rules = _Rules(bypass.Private.of(places, paths.shared_memory / "secure-registry-"))
    found = nginxconf.bundle(paths.nginx_conf, _required(paths.nginx_conf, reading.NGINX), read, rules)
    blocks = serverblocks.blocks(paths.etc, read)
    facts = {
        "doors": [asdict(door) for door in serverblocks.doors(blocks)],
        "answering": [asdict(listen) for listen in serverblocks.answering(blocks)],
        "listens": [asdict(listen) for listen in serverblocks.listens(blocks)],
        "origin": {f"front/{name}": str(path) for name, path in found.origin.items()},
        "own_pair": found.own_pair,
        "outside": {str(path): marks.digest(reading.read(path, reading.OTHER) or b"") for path in found.outside},
    }
    facts["watched"] = sorted({*map(str, (*found.sources, *found.outside)), *found.patterns})
    staged = {f"front/{name}": data for name, data in found.files.items()}
    return Reading(Part(staged, facts, tuple(map(str, found.sources))), warnings=plainhttp.warnings(found.servers))


def included(path: Path) -> bytes | None:
    """What nginx reads from `path`; None: there is no such file. Raises BadInput as `reading.read`."""
    return reading.read(path, reading.NGINX if path.suffix in (".conf", ".inc") else reading.OTHER)


def outside(part: Part) -> dict[str, str]:
    """Digests of the files elsewhere that nginx reads for this part, as they are now; of what can't be read, that of
    nothing."""
    return {name: marks.digest(reading.peek(Path(name), reading.OTHER)) for name in part.facts["outside"]}


def doors_of(part: Part) -> tuple[serverblocks.Door, ...]:
    """By which addresses and names its server blocks are reached (a part of version 0.1 doesn't say it)."""
    known = part.facts.get("doors", ())
    return tuple(serverblocks.Door(listening.Listen(**door["listen"]), door["name"]) for door in known)


def answering(part: Part) -> tuple[listening.Listen, ...]:
    """The addresses with TLS at which the registry answers: of server blocks that include registry.conf."""
    known = tuple(listening.Listen(**listen) for listen in part.facts.get("answering", ()))
    return known or tuple(listen for listen in listens_of(part) if listen.tls)


def listens_of(part: Part) -> tuple[listening.Listen, ...]:
    return tuple(listening.Listen(**listen) for listen in part.facts["listens"])


def debug_of(part: Part) -> listening.Listen | None:
    """Where the metrics of docker-registry.yml are asked for: the front answers there, for the registry that serves."""
    found = part.facts.get("debug")
    return listening.Listen(found[0], found[1], tls=False) if found else None


def read_registry(paths: Paths) -> Reading:
    """docker-registry.yml."""
    data = _required(paths.registry_yml, reading.YAML)
    conf = registryconf.parse(data, str(paths.registry_yml))
    root = str(conf.root) if conf.root else None
    facts: dict[str, Any] = {"root": root, "auth": conf.auth, "more": conf.more}
    facts["headers"] = [list(header) for header in conf.headers]
    if conf.debug:
        facts["debug"] = list(conf.debug)
    return Reading(Part({REGISTRY_YML: data}, facts, (str(paths.registry_yml),)))


@dataclass(frozen=True)
class UsersReading:
    """What reading .htpasswd gave: its good lines, USER:HASH, and what is wrong with the others."""

    htpasswd: bytes
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def read_users(paths: Paths) -> UsersReading:
    """.htpasswd. Unreadable or missing admits nobody, bad lines are dropped and named."""
    where = str(paths.htpasswd)
    try:
        found, problems = users.parse(_required(paths.htpasswd, reading.HTPASSWD), where)
    except BaseException as error:
        hint = "nobody can log in; make it: secure-registry htpasswd -c USER"
        told = tuple(Problem(problem.where or where, problem.what, hint) for problem in bugs.caught(error, where))
        return UsersReading(b"", told)
    if not found and not problems:
        problems = (Problem(where, "holds no user", "nobody can log in; add one: secure-registry htpasswd USER"),)
    return UsersReading(users.render(found), problems, (*users.weak(found, where), *users.empty(found, where)))
