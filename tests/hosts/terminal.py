"""A program on a terminal, and what somebody types there."""

from __future__ import annotations

import os
import pty
import select
import time


def answering(argv: list[str], *answers: tuple[str, str], seconds: float = 60) -> str:
    """Run `argv` on a terminal, typing each answer when its prompt is shown; returns what was shown. Exit status 0."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(argv[0], argv)
    shown, todo, deadline = "", list(answers), time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            shown += os.read(terminal, 4096).decode(errors="replace")
        except OSError:
            break  # it ended
        if todo and todo[0][0] in shown.rpartition("\n")[2]:
            os.write(terminal, todo.pop(0)[1].encode() + b"\n")
    os.close(terminal)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert (status, todo) == (0, []), shown
    return shown
