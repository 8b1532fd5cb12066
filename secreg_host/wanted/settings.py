"""Settings: `secure-registry.conf` and the environment, parsed once into a frozen `Settings`.

Every variable of the original container is here with its meaning. All problems are reported at once, each with its
line; nothing behind this module sees a raw string.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path

from secreg_host.base import reading, utf8
from secreg_host.base.errors import BadInput, Problem, SecregError
from secreg_host.base.paths import OWN_NGINX, OWN_REGISTRY, PROC
from secreg_host.formats import envfile
from secreg_host.wanted import values
from secreg_host.wanted.values import Invalid


@dataclass(frozen=True)
class Settings:
    """What the administrator set. Empty strings and tuples mean "not set"."""

    server_names: tuple[str, ...] = ()
    server_ips: tuple[str, ...] = ()
    ca_domains: tuple[str, ...] = ()
    port: int = 443
    username: str = "docker"
    password: str = ""
    opt: str = ""
    c: str = "AU"
    st: str = "Queensland"
    l: str = "Brisbane"  # noqa: E741 - the name of RFC 4519
    o: str = "Void"
    cn: str = ""
    key_type: str = "P-256"
    cert_days: int = 397
    registry_host: str = ""
    registry_port: int = 5000
    nginx_binary: str = ""
    registry_binary: str = ""
    docker_trust: str = "insecure"
    gc_grace: str = "24h"
    trash_days: int = 14
    audit_days: int = 365
    audit_pulls: bool = False

    @property
    def own_registry(self) -> bool:
        """Whether we run the registry ourselves, rather than pass requests on to REGISTRY_HOST."""
        return not self.registry_host

    @property
    def grace(self) -> int:
        """GC_GRACE in seconds."""
        return values.age(self.gc_grace)

    def public(self) -> dict[str, object]:
        """All settings but the password, for records and digests."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "password"}


def default() -> Settings:
    """The defaults for whoever runs this: without the right to bind port 443, the port is 8443."""
    lowest = PROC / "sys/net/ipv4/ip_unprivileged_port_start"
    may_bind = os.geteuid() == 0 or (lowest.exists() and int(lowest.read_text()) <= Settings.port)
    return Settings() if may_bind else Settings(port=8443)


@dataclass(frozen=True)
class Key:
    """One key of secure-registry.conf: the field it sets, its parser, and how the file explains it."""

    name: str
    field: str
    parse: Callable[[str], object]
    about: str
    shown: str = ""


KEYS = (
    Key(
        "SERVER_NAME",
        "server_names",
        values.host_names,
        "Names under which clients reach the registry (several: separate by "
        "blanks).\nThey go into the certificate. Default: this host's name.",
        "registry.example.org",
    ),
    Key(
        "SERVER_IP",
        "server_ips",
        values.addresses,
        "Addresses for the certificate, IPv4 and IPv6, besides localhost and this host's own.",
        "192.0.2.10",
    ),
    Key(
        "CA_DOMAIN",
        "ca_domains",
        values.domains,
        "Domains below which the host's CA may sign names, besides those above; of two labels at least, and\n"
        "no public suffix. A CA that is there stays as it is until: secure-registry gencert --new-ca",
        "example.org",
    ),
    Key("PORT", "port", values.number(1, 65535), "The port on which the registry answers (TLS)."),
    Key("USERNAME", "username", values.username, "The first user, made with .htpasswd."),
    Key(
        "PASSWORD",
        "password",
        values.password,
        "Its password. Default: the content of .password, else a random one that is stored there.",
    ),
    Key(
        "OPT",
        "opt",
        values.options,
        "Options of the htpasswd command when it makes .htpasswd, such as -B -C 12; also spelled OPTS.",
        "-5",
    ),
    Key("C", "c", values.country, "The certificate's subject, see openssl.cnf: country (two letters), ..."),
    Key("ST", "st", values.text, "... state or province, ..."),
    Key("L", "l", values.text, "... locality, ..."),
    Key("O", "o", values.text, "... organization, ..."),
    Key("CN", "cn", values.text, "... and common name. Default: the first SERVER_NAME.", "registry.example.org"),
    Key(
        "KEY_TYPE",
        "key_type",
        values.key_type,
        "Key of the server certificate: P-256, or RSA-4096 for very old clients.",
    ),
    Key("CERT_DAYS", "cert_days", values.number(1, 3650), "Days for which the server certificate is valid."),
    Key(
        "REGISTRY_HOST",
        "registry_host",
        values.host,
        "Pass requests on to a registry that runs elsewhere. Default: the "
        "registry that this\npackage runs itself, over a unix socket.",
        "127.0.0.1",
    ),
    Key("REGISTRY_PORT", "registry_port", values.number(1, 65535), "The port of REGISTRY_HOST."),
    Key("NGINX_BINARY", "nginx_binary", values.program, "The nginx to run. Default: found in PATH.", str(OWN_NGINX)),
    Key(
        "REGISTRY_BINARY",
        "registry_binary",
        values.program,
        "distribution's registry to run. Default: docker-registry or registry, found in PATH.",
        str(OWN_REGISTRY),
    ),
    Key(
        "DOCKER_TRUST",
        "docker_trust",
        values.docker_trust,
        "How the Docker daemon of this host trusts a certificate of our own CA: insecure (an entry in\n"
        '"insecure-registries"), ca (verified, by ca.crt below /etc/docker/certs.d; better), or none (hands off).',
    ),
    Key(
        "GC_GRACE",
        "gc_grace",
        values.age_said,
        "How old something must be before it is collected: longer than any push takes. A number and s, m, h, d or w.",
    ),
    Key(
        "TRASH_DAYS",
        "trash_days",
        values.number(1, 3650),
        "How many days what was deleted or collected can be brought back, before its space is free.",
    ),
    Key("AUDIT_DAYS", "audit_days", values.number(1, 36500), "For how many days it is kept who did what (audit)."),
    Key("AUDIT_PULLS", "audit_pulls", values.yes_or_no, "Whether pulls are kept there, too: yes or no.", "no"),
)
BY_NAME = {key.name: key for key in KEYS}
ALIASES = {"OPTS": "OPT"}


@dataclass(frozen=True)
class Given:
    """A value as given, and where."""

    value: str
    where: str

    def problem(self, name: str, what: str, hint: str) -> Problem:
        """What is wrong with it as the value of setting `name`, unless the place says already of which one."""
        return Problem(self.where, what if self.where == _variable(name) else f"{name}: {what}", hint)


def _variable(name: str) -> str:
    return f"environment variable {name}"


def from_environment(environment: Mapping[str, str]) -> dict[str, Given]:
    """The settings in `environment`.

    USERNAME is set by some desktop logins to the name of the person: it counts only together with PASSWORD, or when
    it differs from who is logged in.
    """
    given = {}
    for name in (*BY_NAME, *ALIASES):
        if name in environment:
            given[ALIASES.get(name, name)] = Given(environment[name], _variable(name))
    login = {environment.get(name) for name in ("USER", "LOGNAME", "SUDO_USER")}
    if "USERNAME" in given and "PASSWORD" not in given and environment["USERNAME"] in login:
        del given["USERNAME"]
    return given


def from_file(data: bytes, where: str) -> tuple[dict[str, Given], tuple[Problem, ...]]:
    """The settings in the bytes of secure-registry.conf, and every problem of their form."""
    try:
        text = utf8.text(data, where)
    except BadInput as error:
        return {}, error.problems
    assignments, problems = envfile.parse(text, where)
    given: dict[str, Given] = {}
    found = list(problems)
    for item in assignments:
        place = f"{where}:{item.line}"
        name = ALIASES.get(item.key, item.key)
        if name not in BY_NAME:
            close = get_close_matches(item.key[:40].upper().removeprefix("EXPORT "), BY_NAME, n=1)
            hint = f"did you mean {close[0]}?" if close else "known: " + ", ".join(BY_NAME)
            found.append(Problem(place, "a setting that is not known", hint))
        elif name in given:
            found.append(Problem(place, f"{name} is set again (first at {given[name].where})", "keep one of the two"))
        else:
            given[name] = Given(item.value, place)
    return given, tuple(found)


def combine(file: dict[str, Given], environment: dict[str, Given]) -> tuple[dict[str, Given], tuple[Problem, ...]]:
    """Both sources as one; the same key with two different values is a problem, for neither would last."""
    problems = [
        given.problem(
            name,
            f"differs from {file[name].where}",
            f"change it in the file, or run this without {name} in the environment",
        )
        for name, given in environment.items()
        if name in file and file[name].value != given.value
    ]
    return file | environment, tuple(problems)


def parse(given: Mapping[str, Given]) -> Settings:
    """`given` as Settings. Raises BadInput with every bad value; a password is never part of a message."""
    read: dict[str, object] = {}
    problems = []
    for name, item in given.items():
        key = BY_NAME[name]
        if item.value == "" and key.field not in ("username",):
            continue  # KEY= is the same as leaving it out, as in a shell's ${KEY:-default}
        try:
            if not utf8.is_text(item.value):  # of the environment
                raise Invalid("not UTF-8 text")
            read[key.field] = key.parse(item.value)
        except Invalid as error:
            problems.append(item.problem(name, str(error), f"see {name} in secure-registry.conf(5)"))
    if problems:
        raise BadInput(problems)
    return replace(default(), **read)  # type: ignore[arg-type]


def load(conf: Path, data: bytes | None, environment: Mapping[str, str]) -> Settings:
    """Settings of file `conf` with the bytes `data` (None: no such file) under `environment`.

    Raises BadInput with all problems of both at once.
    """
    file, problems = from_file(data, str(conf)) if data is not None else ({}, ())
    given, conflicts = combine(file, from_environment(environment))
    found = [*problems, *conflicts]
    settings = Settings()
    try:
        settings = parse(given)
    except BadInput as error:
        found += error.problems
    if found:
        raise BadInput(sorted(found, key=_place))
    return settings


def _place(problem: Problem) -> tuple[str, int]:
    head, _, line = problem.where.rpartition(":")
    return (head, int(line)) if line.isdecimal() else (problem.where, 0)


def place_of(conf: Path, name: str) -> str:
    """Where setting `name` stands in the file `conf`, as `file:line`; the file where it does not."""
    with contextlib.suppress(SecregError):
        file, _ = from_file(reading.read(conf, reading.SETTINGS) or b"", str(conf))
        if name in file:
            return file[name].where
    return str(conf)
