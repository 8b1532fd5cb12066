"""The only place that runs another program."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from secreg_host.base import distant, masking, waiting
from secreg_host.base.errors import SecregError
from secreg_host.base.paths import PROC, SEARCH

log = logging.getLogger(__name__)

CONFINED = "SECREG_CONFINED"
"""Set by units that run us in a sandbox."""

UNIT = re.compile(r"/([^/\n]+\.(?:service|socket|scope))")
ENVIRONMENT = {"PATH": SEARCH, "LANG": "C.UTF-8"}


@dataclass(frozen=True)
class Account:
    """A user and its primary group, as numbers and as the name that unit files use."""

    name: str
    uid: int
    gid: int

    @property
    def owner(self) -> tuple[int, int]:
        """User and group, as chown(2) takes them."""
        return self.uid, self.gid


def find_program(name: str) -> Path | None:
    """The absolute path of program `name` (a name or a path), None if there is none."""
    for place in [name] if "/" in name else [f"{directory}/{name}" for directory in SEARCH.split(":")]:
        with contextlib.suppress(SecregError):  # it does not answer
            if distant.ask(place, partial(shutil.which, place)):
                return Path(place)
    return None


def as_account(argv: Sequence[str], account: Account) -> list[str]:
    """`argv` run as `account`, able to bind low ports and nothing else (setpriv(1)). It ends when we do."""
    dies_with_us = "--pdeathsig=TERM"  # a parent that is killed leaves nothing running
    if os.geteuid() == account.uid:
        return ["setpriv", dies_with_us, *argv]
    capability = "+net_bind_service"
    return [
        "setpriv",
        dies_with_us,
        f"--reuid={account.uid}",
        f"--regid={account.gid}",
        "--init-groups",
        f"--inh-caps=-all,{capability}",
        f"--ambient-caps=-all,{capability}",
        f"--bounding-set=-all,{capability}",
        "--no-new-privs",
        *argv,
    ]


def confined() -> bool:
    """Whether we are in the sandbox of a unit, which says so: what we see of file systems may be its own."""
    return CONFINED in os.environ


def outside(argv: Sequence[str], timeout: float, environment: Mapping[str, str] | None = None) -> list[str]:
    """`argv` for `run`, beyond the sandbox of the unit that we are in (which says so): in a unit of its own.

    For programs that are not ours, which may need what we never do. The variables of `environment` are passed on.
    """
    if not confined():
        return list(argv)
    passed = [f"--setenv={name}" for name in environment or {}]
    about = f"--description=secure-registry: {argv[0]}"
    limit = f"--property=RuntimeMaxSec={timeout:.0f}s"
    return ["systemd-run", "--quiet", "--collect", "--pipe", "--wait", about, limit, *passed, "--", *argv]


def run(
    argv: Sequence[str], timeout: float = 30.0, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `argv` to its end with a fixed environment (and `environment`) and no input; at most `timeout` seconds.

    Returns the completed process whatever its exit status, stdout and stderr as text. Raises SecregError when it
    can't be started or doesn't end in time.
    """
    shown, took = masking.shown(argv), waiting.stopwatch()
    child = _started(argv, environment, stderr=subprocess.PIPE, text=True, errors="replace")
    try:
        said = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        child.kill()  # and not waited for: what waits for a dead file system can't be ended
        log.debug("ran %s: no end within %.0f s, killed", shown, timeout)
        raise SecregError(
            f"{shown} did not end within {timeout:.0f} s", "run it by hand, to see what it waits for"
        ) from error
    except BaseException:
        child.kill()
        raise
    log.debug("ran %s%s: exit status %d, %.0f ms", shown, _given(environment), child.returncode, took())
    return subprocess.CompletedProcess(argv, child.returncode, *said)


def _given(environment: Mapping[str, str] | None) -> str:
    """The names of what a program was given in its environment."""
    return f" (with {', '.join(environment)})" if environment else ""


def _started(argv: Sequence[str], environment: Mapping[str, str] | None, **how: Any) -> subprocess.Popen[Any]:
    """`argv`, just started, with a fixed environment (and `environment`), no input, and a pipe for what it says; how:
    what else subprocess.Popen is to know. Raises SecregError when it can't be."""
    whole = ENVIRONMENT | dict(environment or {})
    try:
        return subprocess.Popen(argv, stdout=subprocess.PIPE, env=whole, **{"stdin": subprocess.DEVNULL, **how})
    except FileNotFoundError as error:
        raise SecregError(f"program not found: {argv[0]}", f"install the package that holds {argv[0]}") from error
    except OSError as error:
        raise SecregError(f"cannot run {argv[0]}: {error.strerror}", f"see what it is: file {argv[0]}") from error


def spawn(
    argv: Sequence[str],
    environment: dict[str, str] | None = None,
    umask: int = 0o077,
    listener: socket.socket | None = None,
) -> subprocess.Popen[bytes]:
    """Start `argv` and leave it running in a process group of its own; all it says comes by the pipe `stdout`.
    listener: a socket that it gets in the place of an input."""
    given = subprocess.DEVNULL if listener is None else listener.fileno()
    how: dict[str, Any] = {"stdin": given, "stderr": subprocess.STDOUT, "umask": umask, "start_new_session": True}
    child = _started(argv, environment, **how)
    log.debug("started %s%s: process %d", masking.shown(argv), _given(environment), child.pid)
    return child


def unit_of(pid: int) -> str:
    """The unit of systemd's that process `pid` belongs to, by its control group (cgroups(7)); "": none."""
    with contextlib.suppress(OSError):
        found = UNIT.findall((PROC / str(pid) / "cgroup").read_text(errors="replace"))
        return str(found[-1]) if found else ""
    return ""


def group_members(group: int) -> set[int]:
    """The processes of process group `group` (proc_pid_stat(5))."""
    found = set()
    for stat in PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[2]) == group:
                found.add(int(stat.parent.name))
    return found
