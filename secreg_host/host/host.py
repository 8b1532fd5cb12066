"""Facts of the host: programs, accounts, names and addresses. Found once, handed on frozen."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import pwd
import socket
import stat
import struct
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from secreg_host.base import distant, distro, names, utf8
from secreg_host.base.errors import SecregError
from secreg_host.base.paths import NET, PROC, SYSTEMD, Paths
from secreg_host.base.process import Account, find_program

if TYPE_CHECKING:
    from secreg_host.base.systemd import Systemd

NGINX_NAMES = ("nginx",)
REGISTRY_NAMES = ("docker-registry", "registry")
"""Debian's name of distribution's registry, and everybody else's."""

FRONT_USER = "secure-registry-nginx"
AUTH_USER = "secure-registry-auth"
REGISTRY_USER = "secure-registry"
SIOCGIFCONF = 0x8912
ADDRESSES = 4096
"""How many addresses of this host are looked at."""

IFCONF, IFREQ = "iP", struct.Struct(f"16s4x4s8x{struct.calcsize('LLHBBB0L') - 16}x")
"""struct ifconf; struct ifreq, which holds a sockaddr_in, and room for a struct ifmap (netdevice(7)): the interface,
perhaps with a label (`eth0:1`), and the address."""

NAME_SECONDS = 2.0
"""How long this host's domain is asked for."""

IF_INET6 = PROC / "self/net/if_inet6"


@dataclass(frozen=True)
class Accounts:
    """Who runs what. Three different users on a host; all the caller where it is not root."""

    front: Account
    auth: Account
    registry: Account


@dataclass(frozen=True)
class Host:
    """Where an instance lives: its paths, and who runs its processes; by_systemd: systemd, as units. What follows from
    that is said in this room, and asked of it by all others."""

    paths: Paths
    accounts: Accounts
    by_systemd: bool = False

    @property
    def is_system(self) -> bool:
        """Whether this is the machine's own instance, which systemd runs where there is one."""
        return self.paths.root == Path("/")

    @property
    def walled(self) -> bool:
        """Whether there are walls around each of its processes: units have sandboxes."""
        return self.by_systemd

    @property
    def observed(self) -> bool:
        """Whether somebody looks at it again and again: an observer, which is a unit."""
        return self.by_systemd

    def manager(self) -> Systemd | None:
        """systemd, where it runs the instance; None: there is nobody to be asked. Raises SecregError when it does not
        answer."""
        if not self.by_systemd:
            return None
        from secreg_host.base import systemd

        return systemd.Systemd()


def discover(paths: Paths) -> Host:
    """The host below `paths`. Raises SecregError when we are root and the service users do not exist."""
    by_systemd = paths.root == Path("/") and SYSTEMD.is_dir()  # it is PID 1 (sd_booted(3))
    if os.geteuid() != 0:
        me = Account(str(os.geteuid()), os.geteuid(), os.getegid())
        return Host(paths, Accounts(me, me, me), by_systemd)
    accounts = Accounts(
        _account(FRONT_USER, paths.front_run),
        _account(AUTH_USER, paths.auth_run),
        _account(REGISTRY_USER, paths.registry_run("a"), paths.registry_run("b")),
    )
    return Host(paths, accounts, by_systemd)


def _account(name: str, *run: Path) -> Account:
    """The account `name`; one that is gone is still who runs what has a directory in `run`: users must be removable as
    long as it serves. Raises SecregError when there is neither."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        for place in run:
            with contextlib.suppress(OSError):
                if (found := place.lstat()).st_uid and stat.S_ISDIR(found.st_mode):
                    return Account(name, found.st_uid, found.st_gid)
        raise SecregError(
            f"the system user {name} does not exist",
            "the package creates it; without the package, run a foreground instance as an ordinary user",
        ) from None
    return Account(name, entry.pw_uid, entry.pw_gid)


def nginx(given: str = "") -> Path:
    """The nginx program: the one that is `given` (NGINX_BINARY), else the distribution's. Raises SecregError when there
    is none."""
    return _program(given, NGINX_NAMES, "NGINX_BINARY", distro.install("nginx"))


def registry(given: str = "") -> Path:
    """distribution's registry program: the one that is `given` (REGISTRY_BINARY), else the distribution's. Raises
    SecregError when there is none."""
    return _program(given, REGISTRY_NAMES, "REGISTRY_BINARY", distro.install_registry())


def _program(given: str, names: tuple[str, ...], setting: str, remedy: str) -> Path:
    for name in (given,) if given else names:
        if found := find_program(name):
            return found
    wanted = given or " or ".join(names)
    raise SecregError(f"program not found: {wanted}", f"{remedy}, or set {setting} in secure-registry.conf")


def in_memory(path: Path) -> bool:
    """Whether `path` (or the nearest above it that exists) is on a tmpfs (proc_pid_mountinfo(5))."""
    where = path
    while not where.exists():
        where = where.parent
    mount = distant.mount_at(where.resolve())
    return mount is not None and mount.kind in ("tmpfs", "ramfs")


def has_ipv6() -> bool:
    """Whether the kernel has IPv6 (if_inet6, proc(5))."""
    return IF_INET6.exists()


def domain() -> str:
    """The domain of this host's name, as hostname(1) finds it (--fqdn); "" where it has none, and where who is asked
    for it (/etc/hosts, DNS) does not answer."""
    short = socket.gethostname()
    found: list[str] = []

    def ask() -> None:
        with contextlib.suppress(OSError, UnicodeError):
            found.extend(one[3] for one in socket.getaddrinfo(short, None, flags=socket.AI_CANONNAME))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(NAME_SECONDS)
    below = (one for one in list(found) if names.is_host_name(one) and one.startswith(f"{short}."))
    return next((one.removeprefix(f"{short}.") for one in below if not one.endswith(".localdomain")), "")


def is_inner(interface: str) -> bool:
    """Whether `interface` is a bridge that leads to containers or virtual machines of this host alone (docker0, cni0,
    virbr0): none of its ports is a device, or stands upon one (VLAN, bond)."""
    if not (NET / interface / "bridge").is_dir():
        return False
    ports = [path.resolve() for path in (NET / interface / "brif").glob("*")]
    outside = (NET / port.name for port in ports)
    return not any((port / "device").exists() or any(port.glob("lower_*")) for port in outside)


def addresses() -> tuple[str, ...]:
    """This host's own addresses that others can reach: IPv4 first, no loopback, no link-local ones, none of bridges to
    containers."""
    found = _ipv4()
    if has_ipv6():
        lines = [line.split() for line in IF_INET6.read_text().splitlines()]
        found += [(name, bytes.fromhex(address)) for address, *_, name in lines]
    own = (names.packed(address) for name, address in found if not is_inner(name))
    return tuple(dict.fromkeys(str(item) for item in own if not item.is_loopback and not item.is_link_local))


def _ipv4() -> list[tuple[str, bytes]]:
    """Interfaces and each IPv4 address of theirs, those besides the first one, too: netdevice(7), SIOCGIFCONF."""
    room = array.array("B", bytes(ADDRESSES * IFREQ.size))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        asked = struct.pack(IFCONF, len(room), room.buffer_info()[0])
        size, _ = struct.unpack(IFCONF, fcntl.ioctl(probe, SIOCGIFCONF, asked))
    every = IFREQ.iter_unpack(room.tobytes()[:size])
    return [(utf8.shown(name.rstrip(b"\0")).partition(":")[0], address) for name, address in every]
