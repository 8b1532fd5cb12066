"""Whether this process sees the host as PID 1 does: in a sandbox, what serves may look as if it were away."""

from __future__ import annotations

from pathlib import Path

from secreg_host.base.paths import PROC
from secreg_host.host.host import Host

NAMESPACES = ("mnt", "net")
"""What decides which files and which addresses there are (namespaces(7))."""


def inside(proc: Path = PROC) -> bool:
    """Whether this process has other mounts or another network than PID 1, lacks capabilities that it has, or may call
    less of the kernel (proc_pid_status(5)). Also where that can't be told: who may not look at PID 1 is in one."""
    mine, first = proc / "self", proc / "1"
    try:
        if any((mine / "ns" / name).readlink() != (first / "ns" / name).readlink() for name in NAMESPACES):
            return True
        (rights, filtered), (all_rights, filtered_anyway) = _limits(mine), _limits(first)
    except (OSError, KeyError, ValueError):
        return True
    return bool(all_rights & ~rights) or filtered > filtered_anyway


def hides(host: Host) -> bool:
    """Whether this process may not see all of the instance of `host`: its units are not where the process is."""
    return host.by_systemd and inside()


def _limits(process: Path) -> tuple[int, int]:
    """The capabilities of `process` that are effective, as bits, and the mode of its filter of system calls."""
    lines = (process / "status").read_text(errors="replace").splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return int(found["CapEff"], 16), int(found["Seccomp"])
