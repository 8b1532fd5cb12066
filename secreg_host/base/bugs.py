"""What should never have been raised: told like any other problem, with the traceback in the journal.

Neither holds anything of what was read: no local variables, no message of the exception, which may quote a file.
"""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

from secreg_host.base import journal
from secreg_host.base.errors import BadInput, Problem, SecregError

log = logging.getLogger(__name__)

HINT = "journalctl -t secure-registry -p err; please report it, see SECURITY.md"
FRAMES = 30
"""Innermost frames of a traceback that are kept."""


def is_failure(error: BaseException) -> bool:
    """Whether `error` is something that went wrong, rather than somebody's wish that this process ends. Panics of Rust
    code (in the cryptography library) are no Exception, but nothing else than one."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def problems(error: BaseException, doing: str) -> tuple[Problem, ...]:
    """What `error`, met while `doing` (such as "apply"), is for an administrator; it is told in full elsewhere."""
    if isinstance(error, SecregError):
        return error.problems
    return (Problem(doing, f"it raised what it never should (a bug in secure-registry: {type(error).__name__})", HINT),)


def caught(error: BaseException, where: Path | str, *, serves: bool = True) -> tuple[Problem, ...]:
    """What `error`, met while what is at `where` was read or judged, is for an administrator: its own problems, or
    one that there is a bug. Raised again if it is neither (somebody wants this process to end), or nothing
    `serves` that could go on: as a SecregError then."""
    if isinstance(error, SecregError) and not serves:
        raise error
    if isinstance(error, SecregError):
        return error.at(str(where))
    if not is_failure(error):
        raise error
    problem = told(error, where)
    if not serves:
        raise BadInput([problem]) from error
    return (problem,)


def told(error: BaseException, where: Path | str) -> Problem:
    """The problem that `error` is, whose traceback is kept in the journal as one entry."""
    name = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    said = "".join(traceback.format_list(frames))
    kept = journal.entry({"kind": "bug", "where": str(where)}, kept=True)
    log.error(f"bug: {name} while {where} was read\n{said}{name}", extra=kept)
    what = f"can't be read (a bug in secure-registry: {name}); the traceback is in the journal"
    return Problem(str(where), what, HINT)
