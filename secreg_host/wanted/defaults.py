"""The files of /etc/secure-registry that the program offers: rendered from settings, never over an edit."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from secreg_host.base import files, quoting, reading, records, templating
from secreg_host.base.errors import SecregError
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
    """Facts of the host as they were at setup. Fixed then, so that a later setup changes nothing by itself."""

    hostname: str
    addresses: tuple[str, ...]
    ipv6: bool


FACTS: dict[Any, records.Shape] = {"hostname": str, "addresses": [str], "ipv6": bool}
"""Without a version: 0.1 takes a record with any other key for none."""


def facts(host: Host, *, fresh: bool = False) -> Facts:
    """The recorded facts; gathered and recorded when there are none yet, or `fresh` ones are wanted."""
    path = host.paths.state / "facts.json"
    known = {} if fresh else records.load(path, FACTS)
    if set(known) == {field.name for field in fields(Facts)}:
        return Facts(known["hostname"], tuple(known["addresses"]), known["ipv6"])
    found = Facts(socket.gethostname(), hosts.addresses(), hosts.has_ipv6())
    records.save(
        path, {"hostname": found.hostname, "addresses": list(found.addresses), "ipv6": found.ipv6}, versioned=False
    )
    return found


def names(settings: Settings, known: Facts) -> tuple[str, ...]:
    """Every name of the front, the most wanted first. The host's own is one only if clients can use it."""
    given = [name for name in settings.server_names if not is_address(name)]
    own = [known.hostname] if is_host_name(known.hostname) else []
    return tuple(dict.fromkeys((*given, *own, "localhost")))


def addresses(settings: Settings, known: Facts) -> tuple[str, ...]:
    """Every address of the front, the most wanted first."""
    given = [name for name in settings.server_names if is_address(name)]
    return tuple(dict.fromkeys((*settings.server_ips, *given, *known.addresses, "127.0.0.1", "::1")))


def render(host: Host, settings: Settings, known: Facts) -> tuple[Write, ...]:
    """nginx.conf, docker-registry.yml and openssl.cnf as they are for `settings`. Pure."""
    paths = host.paths
    variables = {
        "paths": paths,
        "settings": settings,
        "host": known,
        "names": names(settings, known),
        "ip_addresses": addresses(settings, known),
    }
    modes = {paths.nginx_conf: files.PUBLIC, paths.registry_yml: files.SECRET, paths.openssl_cnf: files.PUBLIC}
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
