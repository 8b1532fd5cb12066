"""Why a program did not even start, in plain words: what systemd says of its unit, or setpriv(1) without one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from secreg_host.base.errors import Problem
from secreg_host.base.paths import SANDBOXED

SPAWN = re.compile(r"Failed at step (?P<step>[A-Z_]+) spawning (?P<program>.+): (?P<reason>[^:]+)$")
"""systemd's message SD_MESSAGE_SPAWN_FAILED; the steps are the names of exit codes (systemd.exec(5))."""

SETPRIV = re.compile(r"setpriv: failed to execute (?P<program>.+): (?P<reason>[^:]+)$")
SANDBOX = re.compile(r"Failed to set up mount namespacing(?:: (?P<path>/.*))?: (?P<reason>[^:]+)$")

REASONS = {
    "Exec format error": "it is no program for this machine; see what it is: file {program}",
    "Permission denied": "its user must be able to execute it (ls -lL {program}), and the service does not see /home, "
    "/root and /tmp: install it below /usr/local or /opt",
    "No such file or directory": "the service does not see /home, /root and /tmp: install it below /usr/local or /opt; "
    "if it is there, a library or interpreter of its own is not: file {program}",
}
"""What to do, by why a program can't be executed (execve(2))."""

STEPS = {
    "USER": ("its user does not exist", "make it: systemd-sysusers"),
    "GROUP": ("its group does not exist", "make it: systemd-sysusers"),
    "NAMESPACE": ("its sandbox can't be set up", "see its unit: systemctl cat 'secure-registry-*'"),
}


class NotStarted(NamedTuple):
    """What kept a program from starting, what to do, and whether it is the program's own fault."""

    what: str
    hint: str
    program: bool


def explain(said: Iterable[str]) -> NotStarted | None:
    """What the lines `said` tell of a program that did not start; None: it did, for all they say."""
    lines = list(said)
    for line in lines:
        if found := SANDBOX.search(line):
            place = (found["path"] or "").removeprefix(SANDBOXED)
            what = f"its sandbox can't be set up: {f'{place}: ' if place else ''}{found['reason']}"
            hint = f"see why: ls -ld {place}" if place else STEPS["NAMESPACE"][1]
            return NotStarted(what, hint, program=False)
    for line in lines:
        if found := SPAWN.search(line) or SETPRIV.search(line):
            program, reason = found["program"], found["reason"]
            step = found.groupdict().get("step") or "EXEC"
            if step == "EXEC":
                hint = REASONS.get(reason, "see what it is: file {program}").format(program=program)
                return NotStarted(f"{program} can't be executed: {reason}", hint, program=True)
            what, hint = STEPS.get(step, (f"systemd can't prepare it (step {step})", "see systemd.exec(5), exit codes"))
            return NotStarted(f"{what}: {reason}", hint, program=False)
    return None


def failed(argv: Sequence[str], how: str, said: Sequence[str]) -> Problem:
    """`argv` that `how` (such as "fails"), with `said` as its last words, as a problem whose place is still open."""
    if wrong := explain(said):
        return Problem("", wrong.what, wrong.hint)
    return Problem("", ": ".join([f"{' '.join(argv)} {how}", *said[-1:]]))
