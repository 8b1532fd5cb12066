"""Work that is killed before one of its steps."""

from __future__ import annotations

import os
from collections.abc import Iterable

STRIDE = int(os.environ.get("SECREG_KILL_STRIDE", "5"))
"""Every so many steps it is killed; at each one: 1."""

STEPS = ("link", "unlink", "rename", "mkdir", "rmdir", "pwrite", "ftruncate")


def killed(work: Iterable[object], number: int) -> bool:
    """Do `work` in a fork that is gone at once before its step of that number; whether there was one."""
    child = os.fork()
    if child == 0:
        try:
            count = 0

            def wrapped(name: str):  # type: ignore[no-untyped-def]
                real = getattr(os, name)

                def step(*args: object, **more: object) -> object:
                    nonlocal count
                    if count == number:
                        os._exit(9)
                    count += 1
                    return real(*args, **more)

                return step

            for name in STEPS:
                setattr(os, name, wrapped(name))
            list(work)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 9)
    return os.waitstatus_to_exitcode(status) == 9
