"""A network of our own: every machine of this process has an address on one bridge, and none reaches the world.

The bridge stands in a network namespace (`secreg-PID-lan`), each machine has one (`secreg-PID-N`), both ends of every
cable are in one of them: nothing shows up in the network of this computer.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path

_NAMESPACES = Path("/run/netns")
_numbers = itertools.count(10)


class Port:
    """The network of one machine, made anew at every boot: `eth0` with `address`, no route to anywhere else."""

    def __init__(self) -> None:
        number = next(_numbers)
        self.address = f"10.213.{number // 250}.{number % 250 + 1}"
        self._lan = f"secreg-{os.getpid()}-lan"
        self._name = f"secreg-{os.getpid()}-{number}"
        self._cable = f"port{number}"

    @property
    def namespace(self) -> Path:
        return _NAMESPACES / self._name

    def plug(self) -> None:
        """Make the namespace, with a cable to the bridge; whatever was in an earlier one is gone."""
        self.unplug()
        _sweep()
        if not (_NAMESPACES / self._lan).exists():
            _ip("netns", "add", self._lan)
            _ip("-n", self._lan, "link", "add", "br0", "type", "bridge")
            _ip("-n", self._lan, "link", "set", "br0", "up")
        _ip("netns", "add", self._name)
        peer = ("peer", "name", "eth0", "netns", self._name)
        _ip("-n", self._lan, "link", "add", self._cable, "type", "veth", *peer)
        _ip("-n", self._lan, "link", "set", self._cable, "master", "br0", "up")
        _ip("-n", self._name, "address", "add", f"{self.address}/16", "dev", "eth0")
        _ip("-n", self._name, "link", "set", "lo", "up")
        _ip("-n", self._name, "link", "set", "eth0", "up")

    def unplug(self) -> None:
        """Remove the namespace and the cable; the bridge too after the last one."""
        if self.namespace.exists():
            _ip("-n", self._lan, "link", "delete", self._cable)
            _ip("netns", "delete", self._name)
        if [path.name for path in _NAMESPACES.glob(f"secreg-{os.getpid()}-*")] == [self._lan]:
            _ip("netns", "delete", self._lan)


def _sweep() -> None:
    """Remove the namespaces of runs that were killed."""
    for path in _NAMESPACES.glob("secreg-*-*"):
        if not Path(f"/proc/{path.name.split('-')[1]}").exists():
            # another run may sweep, too: then it is gone already
            subprocess.run(["ip", "netns", "delete", path.name], check=False, stderr=subprocess.DEVNULL)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
