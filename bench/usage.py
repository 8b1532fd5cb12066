"""What the processes of a control group use: CPU time, memory, bytes written to disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.hosts.cgroup import ControlGroup

PARENTS = ("python3",)
"""Programs that only look after the others: on a host that is systemd."""


def cpu_seconds(group: ControlGroup) -> float:
    """CPU time that all processes of the group have used, those that ended included."""
    fields = dict(line.split() for line in (group.path / "cpu.stat").read_text().splitlines())
    return int(fields["usage_usec"]) / 1e6


def pids(group: ControlGroup, program: str = "") -> list[int]:
    """The processes that serve, or those of one program."""
    found = [int(line) for line in (group.path / "cgroup.procs").read_text().split()]
    names = {pid: _name(pid) for pid in found}
    return [pid for pid, name in names.items() if (name == program if program else name not in PARENTS)]


def memory(group: ControlGroup, program: str = "") -> int:
    """Bytes of memory that are not a file's, of those that serve or of one program; what processes share is counted
    once (Pss of proc(5), smaps_rollup).

    Files, such as the programs themselves, are left out: peers that run the same ones would share them.
    """
    lines = (line for pid in pids(group, program) for line in _read(pid, "smaps_rollup").splitlines())
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))


def written(processes: Iterable[int]) -> int:
    """Bytes that processes caused to be written to a disk."""
    lines = (line for pid in processes for line in _read(pid, "io").splitlines())
    return sum(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))


def resident(pid: int) -> int:
    """Bytes of one process in memory (RSS, as `systemctl status` and `ps` have it)."""
    return next(int(line.split()[1]) * 1024 for line in _read(pid, "status").splitlines() if line.startswith("VmRSS:"))


def watching(pid: int) -> dict[str, float]:
    """What a process that watches files takes: instances of inotify, threads, MB that are its own (what is shared is
    divided by all who share it: Pss of proc(5)) and MB in memory."""
    opened = [link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()]
    lines = _read(pid, "smaps_rollup").splitlines()
    return {
        "instances": opened.count(Path("anon_inode:inotify")),
        "threads": len(list(Path(f"/proc/{pid}/task").iterdir())),
        "own": next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")) / 1e6,
        "resident": resident(pid) / 1e6,
    }


def wakeups(pid: int) -> int:
    """How often the threads of a process have waited for something since they began."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                total += int(line.split()[1])
    return total


def _name(pid: int) -> str:
    return _read(pid, "comm").strip()


def _read(pid: int, name: str) -> str:
    """A file of /proc; "" for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
