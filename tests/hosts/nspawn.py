"""One boot of a host: the systemd-nspawn process and its child, which is PID 1 of the host (the leader)."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.hosts.cgroup import ControlGroup

REBOOT = 133  # nspawn's exit status when the host asked for a reboot

_BOOTED = ("--boot", "--kill-signal=SIGRTMIN+3")
_ENTERED = ("--as-pid2",)
_FLAGS = (
    "--quiet",
    "--register=no",  # there is no systemd out here to register with
    "--keep-unit",
    "--capability=all",
    "--system-call-filter=@keyring bpf",  # dockerd
    "--resolv-conf=copy-host",  # for commands that run in this computer's network
    "--console=pipe",
    "--rlimit=NOFILE=1024:524288",  # as on hardware; less where we may not raise ours
)
_ENVIRONMENT = {
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",  # systemd 258 and later need it
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",  # /proc/sys/net, as --private-network would: dockerd sets ip_forward
}


class Nspawn:
    """A running host. Only the leader is ever killed: nspawn ends with it, but it would outlive nspawn."""

    def __init__(
        self,
        root: Path,
        name: str,
        network: Path | None,
        group: ControlGroup,
        console: Path,
        binds: Mapping[Path, str],
        arguments: Sequence[str] = (),
        boot: bool = True,
    ) -> None:
        """Start it on `root`; `binds` are directories out here and where they appear; `arguments` are for its PID 1.

        network: a network namespace, None for this computer's. boot: off for a tree without systemd; `arguments` are
        then the command whose end is the end of it all.
        """
        argv = [
            "systemd-nspawn",
            *(_BOOTED if boot else _ENTERED),
            *_FLAGS,
            f"--directory={root}",
            f"--machine={name}",
            *([f"--network-namespace-path={network}"] if network else []),
            *(f"--bind={here}:{there}" for here, there in binds.items()),
            *arguments,
        ]
        self._console = console
        group.make()
        with console.open("ab") as output:
            self._process = subprocess.Popen(
                group.enter(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | (_ENVIRONMENT if boot else {}),
                start_new_session=True,
            )
        self.pid = self._process.pid
        self.leader = self._find_leader(timeout=20)

    def _find_leader(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"systemd-nspawn ended with {self._process.returncode}:\n{self.said()}")
            for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
                if _is_first_of_its_namespace(int(child)):
                    return int(child)
            time.sleep(0.005)
        self._process.terminate()
        raise RuntimeError(f"systemd-nspawn started nothing in {timeout:.0f} s:\n{self.said()}")

    def signal(self, number: int) -> None:
        """Send a signal to PID 1 of the host."""
        if self._process.poll() is None:
            os.kill(self.leader, number)

    def shut_down(self, timeout: float = 30) -> None:
        """An orderly end, forced after `timeout` seconds."""
        self.signal(signal.SIGRTMIN + 3)
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """The end of everything in the host, now."""
        self.signal(signal.SIGKILL)
        self.wait(30)

    def wait(self, timeout: float) -> int:
        """Wait for the end; returns nspawn's exit status (`REBOOT`, 0)."""
        return self._process.wait(timeout)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def said(self) -> str:
        """The end of what nspawn and the host wrote to the console."""
        return "\n".join(self._console.read_text(errors="replace").splitlines()[-30:])


def _is_first_of_its_namespace(pid: int) -> bool:
    """Whether `pid` is PID 1 of a namespace of its own and has become what it is to be, systemd or nspawn's own.

    nspawn's helpers share its children.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        program = Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return False
    numbers = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
    return len(numbers) > 1 and numbers[-1] == "1" and program in ("systemd", "init", "(sd-stubinit)")
