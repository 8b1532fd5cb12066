"""Who listens on a TCP port of this host: /proc/self/net/tcp{,6} and /proc/PID/fd (proc(5))."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from secreg_host.base import names, process
from secreg_host.base.paths import PROC
from secreg_host.formats.listening import Listen

LISTENING = "0A"


def _listeners() -> Iterator[tuple[str, int, str]]:
    """(address, port, inode of the socket) of every listening TCP socket; "" and "::" stand for all addresses."""
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        listing = PROC / "self/net" / table
        if not listing.exists():
            continue
        for line in listing.read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] != LISTENING:
                continue
            packed, port = columns[1].split(":")
            words = struct.unpack(f"<{len(packed) // 8}I", bytes.fromhex(packed))  # host byte order, word by word
            address = socket.inet_ntop(family, struct.pack(f">{len(words)}I", *words))
            yield {"0.0.0.0": "", "::": "::"}.get(address, address), int(port, 16), columns[9]


def holders(listen: Listen) -> tuple[str, ...]:
    """The sockets (inodes) that keep us from listening on `listen`."""
    found = []
    for address, port, inode in _listeners():
        if port != listen.port:
            continue
        alike = names.is_ipv6(address) == names.is_ipv6(listen.host)
        covered = address == listen.host or (alike and not {"", "::"}.isdisjoint((address, listen.host)))
        # a socket on [::] without IPV6_V6ONLY also takes IPv4; /proc does not say, so it counts
        if covered or address == "::":
            found.append(inode)
    return tuple(found)


def kept_from(new: Iterable[Listen], held: Iterable[Listen]) -> tuple[Listen, Listen] | None:
    """The first address of `new` that nginx can't take as long as it holds those of `held`, and the one that is in its
    way; None: a reload will do.

    All addresses of a port and a single one can't be held together (bind(2), EADDRINUSE), and nginx lets old sockets
    go only after it has the new ones. Where both are configured it holds the one for all addresses alone (listen,
    `bind`, of ngx_http_core_module).
    """
    before = _bound(held)
    for listen in sorted(_bound(new) - before):
        for other in sorted(before):
            if other[:2] == listen[:2] and "" in (other[2], listen[2]):
                return _listen(listen), _listen(other)
    return None


def _bound(listens: Iterable[Listen]) -> set[tuple[bool, int, str]]:
    """The sockets that nginx has for `listens`: IPv6, port, address ("": all)."""
    every = {(names.is_ipv6(one.host), one.port, one.host if one.host != "::" else "") for one in listens}
    return {one for one in every if not one[2] or (*one[:2], "") not in every}


def _listen(bound: tuple[bool, int, str]) -> Listen:
    ipv6, port, host = bound
    return Listen(host or ("::" if ipv6 else ""), port)


def is_foreign(listen: Listen) -> bool:
    """Whether `listen` names an address that this host does not have (a host name is nginx's to judge)."""
    if not names.is_address(listen.host):
        return False
    family = socket.AF_INET6 if names.is_ipv6(listen.host) else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.bind((listen.host, 0))
        except OSError as error:
            return error.errno == errno.EADDRNOTAVAIL
    return False


def sockets_of(pids: set[int]) -> set[str]:
    """The inodes of all sockets that the processes `pids` hold."""
    return {inode for pid in pids for inode in _sockets(PROC / str(pid))}


def holder(inode: str) -> int | None:
    """The process that holds socket `inode`; None: there is none, or one of another user's that we can't see."""
    return next((int(one.name) for one in PROC.glob("[0-9]*") if inode in _sockets(one)), None)


def _sockets(one: Path) -> set[str]:
    """The inodes of all sockets that a process, a directory of /proc, holds."""
    found = set()
    with contextlib.suppress(OSError), os.scandir(one / "fd") as descriptors:
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                kind, _, inode = os.readlink(descriptor.path).partition("[")  # noqa: PTH115 (Path takes twice as long)
                if kind == "socket:":
                    found.add(inode.rstrip("]"))
    return found


def name_of(pid: int | None) -> str:
    """A name for process `pid`, such as `apache2 (process 812, apache2.service)`; None: "another process"."""
    if pid is None:
        return "another process"
    name = "a process"
    with contextlib.suppress(OSError):
        name = (PROC / str(pid) / "comm").read_text(errors="replace").strip()
    unit = process.unit_of(pid)
    return f"{name} (process {pid}{', ' + unit if unit else ''})"
