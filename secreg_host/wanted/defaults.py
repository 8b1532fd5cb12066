"""The files of /etc/secure-registry that the program offers: rendered from settings, never over an edit."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from secreg_host.base import files, quoting, reading, records, templating
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.names import is_address, is_host_name
from secreg_host.base.records import Write
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import envfile
from secreg_host.host import host as hosts
from secreg_host.host.host import Host
from secreg_host.wanted import settings as settings_module
from secreg_host.wanted.settings import KEYS, Given, Settings


@dataclass(frozen=True)
class Facts:
    """Facts of the host as they were at setup. Fixed then, so that a later setup changes nothing by itself. domain: of
    its name; "" for none, and on hosts that were set up by version 0.1, whose CA may not sign it."""

    hostname: str
    addresses: tuple[str, ...]
    ipv6: bool
    domain: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The host's name, with its domain first, if it has one."""
        return (*((f"{self.hostname}.{self.domain}",) if self.domain else ()), self.hostname)


FACTS: dict[Any, records.Shape] = {"hostname": str, "addresses": [str], "ipv6": bool}
"""Without a version: 0.1 takes a record with any other key for none."""

DOMAIN: dict[Any, records.Shape] = {"domain": str}
Outside = Callable[[Sequence[str], Sequence[str]], Sequence[str]]
"""Which of some names and addresses may not be signed."""

CALLED = "this host is called"
"""How it begins when the host has a name that the certificate is not for."""


def facts(host: Host) -> Facts:
    """The recorded facts; gathered and recorded when there are none yet."""
    return recorded(host) or keep(host, now())


def now() -> Facts:
    """The facts as they are now."""
    return Facts(socket.gethostname(), hosts.addresses(), hosts.has_ipv6(), hosts.domain())


def recorded(host: Host) -> Facts | None:
    """The facts as they were when they were needed first, or by gencert; None: they never were."""
    known = records.load(host.paths.state / "facts.json", FACTS)
    if set(known) != set(FACTS):
        return None
    domain = records.peek(host.paths.state / "domain.json", DOMAIN).get("domain", "")
    return Facts(known["hostname"], tuple(known["addresses"]), known["ipv6"], domain)


def keep(host: Host, found: Facts) -> Facts:
    """Record what was `found`, from now on; returns it. Raises SecregError."""
    values = {"hostname": found.hostname, "addresses": list(found.addresses), "ipv6": found.ipv6}
    records.save(host.paths.state / "domain.json", {"domain": found.domain})
    records.save(host.paths.state / "facts.json", values, versioned=False)
    return found


def signable(found: Facts, known: Facts | None, outside: Outside) -> tuple[Facts, tuple[str, ...]]:
    """What of the facts that were `found` the host's CA may sign, and the names and addresses that it may not. The name
    that is `known` stands in for one that it may not sign. outside: which of names and addresses that are. Pure."""
    lost = [one for one in found.addresses if outside((), (one,))]
    kept = replace(found, addresses=tuple(one for one in found.addresses if one not in lost))
    refused = outside((found.hostname,), ())
    if refused and known is not None:
        kept = replace(kept, hostname=known.hostname, domain=known.domain)
    elif outside(found.names, ()):
        kept = replace(kept, domain="")
    return kept, (*refused, *lost)


def moved(
    conf: Path, settings: Settings, known: Facts, outside: Outside, covered: Callable[[str], bool]
) -> tuple[Problem, ...]:
    """Warnings when this host has another name, or lost an address, since what it has was `known`; not of the name
    where others were set. outside: which of names and addresses the host's CA may not sign; covered: whether the
    certificate is for a name all the same."""
    found = []
    name, here = socket.gethostname(), hosts.addresses()
    if not settings.server_names and name != known.hostname and not covered(name):
        what = f"{CALLED} {name} now, and its certificate is for {known.hostname}"
        other = " --new-ca, for its CA may not sign that (and every client must then trust the new one)"
        hint = f"secure-registry gencert{other if outside((name,), ()) else ''}"
        found.append(Problem(str(conf), what, f"{hint}; or set the name that clients use: SERVER_NAME"))
    if lost := [one for one in known.addresses if one not in here]:
        what = f"this host has not the address {', '.join(lost)} any more, which its certificate is for"
        found.append(Problem(str(conf), what, "secure-registry gencert; or see why it is gone: ip address"))
    return tuple(found)


def names(settings: Settings, known: Facts) -> tuple[str, ...]:
    """Every name of the front, the most wanted first. The host's own are some only if clients can use them."""
    given = [name for name in settings.server_names if not is_address(name)]
    return tuple(dict.fromkeys((*given, *filter(is_host_name, known.names), "localhost")))


def addresses(settings: Settings, known: Facts) -> tuple[str, ...]:
    """Every address of the front, the most wanted first."""
    given = [name for name in settings.server_names if is_address(name)]
    return tuple(dict.fromkeys((*settings.server_ips, *given, *known.addresses, "127.0.0.1", "::1")))


def render(host: Host, settings: Settings, known: Facts) -> tuple[Write, ...]:
    """nginx.conf, docker-registry.yml, access.yml and openssl.cnf as they are for `settings`. Pure."""
    paths = host.paths
    variables = {
        "paths": paths,
        "settings": settings,
        "host": known,
        "names": names(settings, known),
        "ip_addresses": addresses(settings, known),
    }
    modes = {paths.nginx_conf: files.PUBLIC, paths.registry_yml: files.SECRET, paths.openssl_cnf: files.PUBLIC}
    modes |= {paths.access_yml: files.SECRET}
    return tuple(
        Write(path, templating.render(paths.templates, f"etc/{path.name}.j2", **variables), mode)
        for path, mode in modes.items()
    )


def render_conf(host: Host, given: Mapping[str, Given]) -> Write:
    """secure-registry.conf: every key with its default, those in `given` (but PASSWORD, a secret) set."""
    default = settings_module.default()
    keys = []
    for key in KEYS:
        value = getattr(default, key.field)
        shown = key.shown or (str(value) if value != () else "")
        is_given = key.name in given and key.name != "PASSWORD"
        line = envfile.assignment(key.name, given[key.name].value if is_given else shown)
        keys.append({"about": key.about, "given": is_given, "assignment": quoting.Quoted(line)})
    data = templating.render(host.paths.templates, "etc/secure-registry.conf.j2", keys=keys)
    return Write(host.paths.conf, data, files.SECRET)


def follow(disk: Snapshot, writes: tuple[Write, ...], *, create: bool) -> tuple[Write, ...]:
    """Bring unedited files up to `writes`; missing ones are made if `create`. Returns what was written.

    A link is an edit, whatever it leads to, and stays as it is: no default is written through it or in its place.

    Raises SecregError when a file can't be written; each file is then old or new, and a later run goes on.
    """
    due = []
    for write in writes:
        if write.path.is_symlink():
            continue
        try:
            now = disk.read(write.path, reading.NGINX)
        except SecregError:
            continue  # not what we wrote; its part tells what is wrong
        if now == write.data:
            if not disk.ledger.wrote(write.path, now):
                disk.ledger.record([write])
            else:
                files.close(write.path, write.mode)  # an earlier version made it wider
        elif (now is None and create) or disk.ledger.wrote(write.path, now):
            due.append(write)
    for write in due:
        disk.write([write])
    return tuple(due)
