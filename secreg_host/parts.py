"""The parts of a generation, read from /etc: settings, certificate, nginx, registry, users.

Each part is good or bad by itself, so that a broken file holds back only itself.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from secreg_host import bypass, certs, files, nginxconf, passing, records, registryconf, serverblocks, users
from secreg_host import settings as settings_module
from secreg_host.errors import BadInput, Problem, SecregError
from secreg_host.nginxsyntax import Directive
from secreg_host.paths import Paths
from secreg_host.settings import Settings

SETTINGS, CERTIFICATE, NGINX, REGISTRY, USERS = "settings", "certificate", "nginx", "registry", "users"
ALL = (SETTINGS, USERS, CERTIFICATE, NGINX, REGISTRY)
REVERTIBLE = (CERTIFICATE, NGINX, REGISTRY)
"""Parts that go back to their last good version when they fail. Users never do."""

WARN_DAYS = 14
CRT, KEY = "front/docker-registry.crt", "front/docker-registry.key"
CA = "front/ca.crt"
"""The CA that signed the certificate, for clients (/ca.crt); absent when none of ours or the administrator's did."""

HTPASSWD = "auth/htpasswd"
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


def guarded(read: Callable[[], Reading]) -> Reading:
    """`read()`, with what it raises turned into the problems of its part."""
    try:
        return read()
    except SecregError as error:
        return Reading(None, error.problems)


def _required(path: Path) -> bytes:
    data = files.read_or_none(path)
    if data is None:
        raise BadInput(
            [Problem(str(path), "does not exist", "bring it back, or let this write a new one: secure-registry setup")]
        )
    return data


def read_settings(paths: Paths, environment: Mapping[str, str], known: bool = False) -> tuple[Settings, Reading]:
    """The settings, and their part without the password.

    known: whether there are some that serve. They hold on while the file is away or empty, as it is for a moment while
    some editors save it: all defaults would be another port, other names.
    """
    data = _required(paths.conf) if known else files.read_or_none(paths.conf)
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
    crt, key = _required(paths.crt), _required(paths.key)
    authority = _authority(paths, crt)
    same = before is not None and (before.files[CRT], before.files[KEY]) == (crt, key)
    if before is not None and same:
        part = replace(before, files=_pair(crt, key, authority))
        return Reading(part, warnings=expiry(part, str(paths.crt), now))
    pair = certs.KeyPair(crt, key)
    judged = certs.judge(pair, str(paths.crt), str(paths.key), now)
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
    return Reading(part, warnings=expiry(part, str(paths.crt), now))


def _pair(crt: bytes, key: bytes, authority: bytes) -> dict[str, bytes]:
    return {CRT: crt, KEY: key} | ({CA: authority} if authority else {})


def _authority(paths: Paths, crt: bytes) -> bytes:
    """The CA certificate that clients need to trust `crt`: ca.crt, if it signed that; else nothing."""
    for path in (paths.ca_crt, paths.state / paths.ca_crt.name):
        try:
            data = files.read_or_none(path)
        except SecregError:
            continue
        if data is not None and certs.is_issued_by(crt, data):
            return certs.first(data)  # nothing else that may be in the file
    return b""


def expiry(part: Part, where: str, now: datetime) -> tuple[Problem, ...]:
    """A warning when the certificate that serves is expired, about to expire, or not valid by this host's clock."""
    begins, ends = (datetime.fromisoformat(part.facts[key]) for key in ("not_before", "not_after"))
    if now < begins:
        hint = "set this host's clock: timedatectl"
        return (Problem(where, f"by this host's clock ({now:%Y-%m-%d}) it is valid only from {begins:%Y-%m-%d}", hint),)
    days = (ends - now).days
    if days >= WARN_DAYS:
        return ()
    said = f"expires on {ends:%Y-%m-%d}, in {days} days" if now < ends else f"expired on {ends:%Y-%m-%d}"
    return (Problem(where, said, "renew it (your own certificate authority), or: secure-registry gencert"),)


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


def read_nginx(paths: Paths, images: Path | None = None) -> Reading:
    """nginx.conf and what it includes from /etc/secure-registry. images: where they are, on a file system."""
    read = functools.cache(files.read_or_none)
    places = [paths.run, paths.lib, *([images] if images else [])]
    rules = _Rules(bypass.Private.of(places, paths.shared_memory / "secure-registry-"))
    found = nginxconf.bundle(paths.nginx_conf, _required(paths.nginx_conf), read, rules)
    blocks = serverblocks.blocks(paths.etc, read)
    facts = {
        "doors": [asdict(door) for door in serverblocks.doors(blocks)],
        "answering": [asdict(listen) for listen in serverblocks.answering(blocks)],
        "listens": [asdict(listen) for listen in found.listens],
        "origin": {f"front/{name}": str(path) for name, path in found.origin.items()},
        "own_pair": found.own_pair,
        "outside": _digests(found.outside),
    }
    facts["watched"] = sorted({*map(str, (*found.sources, *found.outside)), *found.patterns})
    staged = {f"front/{name}": data for name, data in found.files.items()}
    return Reading(Part(staged, facts, tuple(map(str, found.sources))))


def outside(part: Part) -> dict[str, str]:
    """Digests of the files elsewhere that nginx reads for this part, as they are now."""
    return _digests(Path(name) for name in part.facts["outside"])


def _digests(paths: Iterable[Path]) -> dict[str, str]:
    return {str(path): records.digest(files.read_or_none(path) or b"") for path in paths}


def doors_of(part: Part) -> tuple[serverblocks.Door, ...]:
    """By which addresses and names its server blocks are reached (a part of version 0.1 doesn't say it)."""
    known = part.facts.get("doors", ())
    return tuple(serverblocks.Door(nginxconf.Listen(**door["listen"]), door["name"]) for door in known)


def answering(part: Part) -> tuple[nginxconf.Listen, ...]:
    """The addresses with TLS at which the registry answers: of server blocks that include registry.conf."""
    known = tuple(nginxconf.Listen(**listen) for listen in part.facts.get("answering", ()))
    return known or tuple(listen for listen in listens_of(part) if listen.tls)


def listens_of(part: Part) -> tuple[nginxconf.Listen, ...]:
    return tuple(nginxconf.Listen(**listen) for listen in part.facts["listens"])


def read_registry(paths: Paths) -> Reading:
    """docker-registry.yml."""
    data = _required(paths.registry_yml)
    conf = registryconf.parse(data, str(paths.registry_yml))
    root = str(conf.root) if conf.root else None
    facts = {"root": root, "auth": conf.auth, "more": conf.more, "headers": [list(header) for header in conf.headers]}
    return Reading(Part({REGISTRY_YML: data}, facts, (str(paths.registry_yml),)))


def read_users(paths: Paths, before: Part | None) -> Reading:
    """.htpasswd. Never None: unreadable or missing admits nobody, bad lines are dropped and named.

    The fact `epoch` is another one after every change, and never the same again: answers remembered for one set of
    users must not count for another, not even when an earlier set comes back.
    """
    sources = (str(paths.htpasswd),)
    found: tuple[users.User, ...] = ()
    problems: tuple[Problem, ...] = ()
    try:
        data = _required(paths.htpasswd)
    except SecregError as error:
        hint = "nobody can log in; make it: secure-registry htpasswd -c USER"
        problems = tuple(Problem(problem.where, problem.what, hint) for problem in error.problems)
    else:
        found, problems = users.parse(data, str(paths.htpasswd))
        if not found and not problems:
            hint = "nobody can log in; add one: secure-registry htpasswd USER"
            problems = (Problem(str(paths.htpasswd), "holds no user", hint),)
    staged = {HTPASSWD: users.render(found)}
    same = before is not None and before.files == staged
    epoch = before.facts["epoch"] if same and before is not None else secrets.token_hex(8)
    part = Part(staged, {"count": len(found), "epoch": epoch}, sources)
    return Reading(part, problems, users.weak(found, str(paths.htpasswd)))
