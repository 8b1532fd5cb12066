"""What of the program a test runs in a process of its own, to have its system calls told:
`python -m tests.power.steps ROOT VERB ARGUMENTS`.

An apply and `trust` are the program's own, of a host whose processes are in memory (tests/world.py): what serves is of
no matter to a disk. So are Docker, which does not run just now, and the system's store of certificates.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from secreg_host.apply import apply, storeproof
from secreg_host.apply.report import Report
from secreg_host.apply.wish import Wish
from secreg_host.base import files, process
from secreg_host.base.errors import Exit, Note, Problem, SecregError
from secreg_host.base.paths import Paths
from secreg_host.base.process import Account
from secreg_host.clients import trust, trust_system
from secreg_host.command import cli
from secreg_host.generation import generations
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Accounts, Host
from tests import accounts
from tests import world as worlds
from tests.world import World

STORE = "update-ca-certificates"


class Resting:
    """systemd, on a host whose dockerd is stopped."""

    def unit(self, name: str) -> dict[str, Any]:
        if name != "docker.service":
            return {"LoadState": "not-found", "ActiveState": "inactive"}
        exec_start = [("/usr/sbin/dockerd", ["/usr/sbin/dockerd"])]
        return {"LoadState": "loaded", "ActiveState": "inactive", "ExecStart": exec_start, "EnvironmentFiles": []}

    def call(self, method: str, *args: object) -> None:
        raise AssertionError(f"nothing is asked of systemd: {method}")


@contextmanager
def world(root: Path, *, synced: bool = True) -> Iterator[World]:
    """A host below `root` on which nothing runs yet; with `synced` off, nothing is synced, which saves time."""
    me = Account(str(os.geteuid()), os.geteuid(), os.getegid())
    found = World(Host(Paths(root), Accounts(me, me, me)))
    real = os.fsync
    with pytest.MonkeyPatch.context() as patched:
        worlds.patch(found, patched)
        patched.setattr(accounts.ACCOUNT, accounts.found)
        patched.setattr(storeproof, "wrong", lambda *_: "")
        patched.setattr(
            trust_system.process, "find_program", lambda name: f"/usr/sbin/{name}" if name == STORE else None
        )
        patched.setattr(process, "run", lambda argv, *_, **__: subprocess.CompletedProcess(argv, 0, "", ""))
        if synced:
            patched.setattr(os, "fsync", real)
        yield found


def start(found: World) -> Report:
    """An apply as the service's start makes it, and clients that follow it."""

    def follow(generation: Generation, _: Callable[[], None]) -> tuple[()]:
        told(trust.Trust(found.host, generation, Resting()).follow())
        return ()

    return apply.apply(found.stage, Wish("start", {}, create=True, start=True), follow)


def install(found: World, *names: str) -> None:
    """`trust install NAMES`."""
    told(_trust(found).install(names, insecure=False))


def remove(found: World, *names: str) -> None:
    """`trust remove NAMES`."""
    told(_trust(found).remove(names))


def leave(found: World, user: str) -> None:
    """`htpasswd -D USER` where no other file can take the place of .htpasswd."""

    def busy(path: Path, data: bytes) -> None:
        raise SecregError(f"cannot write {path}: Device or resource busy")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(files, "rewrite", busy)
        assert cli.main(["htpasswd", "--root", str(found.host.paths.root), "-D", user]) == Exit.DONE


def _trust(found: World) -> trust.Trust:
    return trust.Trust(found.host, generations.load(found.host, generations.current_name(found.host)), Resting())


def told(problems: tuple[Problem, ...]) -> None:
    """Raise AssertionError for one that is more than a remark."""
    assert [one for one in problems if not isinstance(one, Note)] == []


if __name__ == "__main__":
    with world(Path(sys.argv[1])) as one:
        verbs: dict[str, Callable[..., object]] = {"start": start, "install": install, "remove": remove, "leave": leave}
        verbs[sys.argv[2]](one, *sys.argv[3:])
