"""Another process of the registry takes over, which remembers nothing, and the one before ends."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator

from secreg_host.base import waiting
from secreg_host.base.errors import SecregError
from secreg_host.generation import generations
from secreg_host.host.host import Host
from secreg_host.services.services import Services
from secreg_host.watchdog import ask

SECONDS = 600.0
"""How long what a registry has begun is waited for: it takes nothing new, but the end of a slow upload."""

ASK_SECONDS = 60.0
"""How long another apply is waited for."""

STDERR = 2


def renew(host: Host, services: Services) -> None:
    """Have the registry move to another slot, and wait until each process that ran has ended. Where none runs, none
    remembers anything. Raises SecregError."""
    with _processes(services) as running:
        if not running:
            return
        _move(host)
        if not waiting.until(lambda: not _alive(running), SECONDS, 0.1):
            what = f"the registry that was replaced still takes something after {SECONDS:.0f} s: nothing is freed"
            raise SecregError(
                what, "try again when long uploads are over (systemctl status 'secure-registry-registry@*')"
            )


def _move(host: Host) -> None:
    """Have an apply move the registry: what does that may do nothing else (ready.py)."""
    before = _slot(host)
    code, wrong = waiting.until(lambda: _asked(), ASK_SECONDS, 0.5) or (ask.UNHEARD, "another apply goes on and on")
    if wrong:
        raise SecregError(
            f"the registry can't move to another slot: {wrong}", "systemctl restart secure-registry-apply.socket"
        )
    if _slot(host) == before:
        what = f"the registry did not move to another slot (exit code {code}): nothing is freed"
        raise SecregError(what, "see what is held back: secure-registry status")


def _asked() -> tuple[int, str] | None:
    """What came of it; None: there is another apply just now."""
    code, wrong = ask.ask(ask.RENEWED, (STDERR, STDERR))
    return None if wrong == ask.BUSY else (code, wrong)


def _slot(host: Host) -> str:
    generation = generations.load(host, generations.current_name(host))
    return generation.slot if generation else ""


@contextlib.contextmanager
def _processes(services: Services) -> Iterator[list[int]]:
    """A descriptor of each process of the registry (pidfd_open(2)), in whichever slot."""
    with contextlib.ExitStack() as stack:
        found = []
        for pid in sorted({pid for slot in services.slots() for pid in services.pids(f"registry@{slot}")}):
            with contextlib.suppress(ProcessLookupError):
                found.append(os.pidfd_open(pid))
                stack.callback(os.close, found[-1])
        yield found


def _alive(running: list[int]) -> bool:
    ended, _, _ = select.select(running, [], [], 0)
    return len(ended) < len(running)
