"""Applies that begin at once: a process that has loaded what an apply needs, and forks for each one.

Loading Python's libraries, in a sandbox that systemd has to build first, takes as long as all that an apply then does.
secure-registry-apply.service is this process, secure-registry-apply.socket where it is asked (ask.py). It holds no
state: a fork begins as a process of its own would, and one that nobody waits for any more is ended.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import math
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

from secreg_host.base import handed, marks, templating
from secreg_host.base.errors import Exit
from secreg_host.base.journal import notify
from secreg_host.base.paths import PROC, Paths
from secreg_host.command import cli
from secreg_host.host import activity
from secreg_host.watchdog.ask import BEGUN, DEBUGGED, RENEWED

LATER = (
    "cryptography.hazmat.backends.openssl.backend",
    "encodings.idna",
    "gi.repository.Gio",
    "pydbus",
    "secreg_host.clients.following",
    "yaml",
)
"""What applies load when they come to need it."""

WORDS = {DEBUGGED: ("--debug",), RENEWED: ("--renew",)}
"""The options of an apply, by what is asked for."""

TERM_SECONDS = 0.1
"""How long one that nobody waits for may take to end."""

TICK_SECONDS = 0.05
"""How far apart the clocks of processes and of files may be."""

SECONDS = 5.0
"""How long one may take to say what is wanted."""


def main(paths: Paths) -> int:
    """Serve one request after the other, until something that was loaded is replaced on disk: systemd begins anew."""
    loaded = _load(paths)
    with handed.listener("secure-registry-apply.socket") as listener:
        notify("READY=1")
        os.environ.pop("NOTIFY_SOCKET", None)  # it is not the forks' to say how we are
        while True:
            select.select([listener], [], [])
            if outdated(loaded):
                return Exit.DONE  # who asks is heard by the next one
            link, _ = listener.accept()
            with link, contextlib.suppress(OSError):
                _serve(listener, link)


def _load(paths: Paths) -> dict[Path, str]:
    """Load everything; returns the files of it, each with its mark."""
    for name in LATER:
        with contextlib.suppress(ImportError):  # told by the apply that misses it
            importlib.import_module(name)
    templating.load(paths.templates)
    cli.build_parser("apply")
    gc.freeze()  # so that forks share it
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    since = activity.begun(os.getpid()) - TICK_SECONDS
    return {path: mark(path, since) for path in map(Path, filter(None, files))}


def mark(path: Path, since: float = math.inf) -> str:
    """That of what is at `path`, "" if nothing is, or something that came after `since` (seconds since the epoch): what
    was there before may have been loaded. Of hundreds of files of the system's, without a look at the way."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return "" if marks.came_after(found, since) else marks.of(found)


def outdated(loaded: Mapping[Path, str]) -> bool:
    """Whether anything that this process has `loaded` is not what is on disk: modules, or libraries of the system's."""
    if any(mark(path) != was for path, was in loaded.items()):
        return True
    return any(line.endswith(" (deleted)") and ".so" in line for line in _mapped())


def _mapped() -> list[str]:
    """What the kernel says of our memory (proc_pid_maps(5))."""
    return (PROC / "self/maps").read_text().splitlines()


def _serve(listener: socket.socket, link: socket.socket) -> None:
    """One request: an apply in a fork, then its exit code; nothing if it was cut short. It ends if its client does."""
    link.settimeout(SECONDS)
    asked, outputs, *_ = socket.recv_fds(link, 1, 2)
    try:
        if not asked:
            return
        link.sendall(BEGUN)  # fails if nobody waits any more
        child = os.fork()
        if child == 0:
            listener.close()
            link.close()
            _apply(outputs, WORDS.get(asked, ()))
    finally:
        for descriptor in outputs:
            os.close(descriptor)
    over = os.pidfd_open(child)
    try:
        if over not in select.select([over, link], [], [])[0]:
            os.kill(child, signal.SIGTERM)
            if not select.select([over], [], [], TERM_SECONDS)[0]:
                os.kill(child, signal.SIGKILL)  # it was stopped: any apply may end anywhere
    finally:
        os.close(over)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code >= 0:
        link.sendall(bytes([code]))


def _apply(outputs: list[int], options: tuple[str, ...]) -> None:
    """In the fork: one apply with these `options`, which says what it has to say to `outputs`. Does not return."""
    gc.disable()  # it is over before there is anything to collect
    code = int(Exit.FAILED)
    try:
        for descriptor, output in enumerate(outputs, 1):
            os.dup2(output, descriptor)
        code = cli.main(["apply", *options])
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
