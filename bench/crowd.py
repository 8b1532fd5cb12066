"""A crowd of bad clients, as a program of bench's in a process of its own: niced, and gone when the block is left.

What it is to do it reads from its standard input, a line of JSON, and what it has done so far it prints, a line each
quarter of a second. It ends when its input does, so none outlives the bench, however that ends; its sockets are reset,
so no port of this machine is left in TIME_WAIT.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

NICE = 10
"""The CPU is the front's first; as much as a bad client needs is left."""

EVERY = 0.25
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closed by a reset, without TIME_WAIT."""


class Crowd:
    """One that runs: `last` is what it said last."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.last: dict[str, Any] = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):  # it may be killed in the midst of one
                self.last = json.loads(line)

    def wait(self, enough: Callable[[dict[str, Any]], bool], seconds: float) -> bool:
        """Whether it came that far in time. Raises RuntimeError when it ended."""
        deadline = time.monotonic() + seconds
        while not (self.last and enough(self.last)):
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.process.args!r} ended early")
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


@contextmanager
def crowd(module: str, **told: Any) -> Iterator[Crowd]:
    """bench.`module` as a program, told what to do, while the block runs."""
    argv = ["nice", "-n", str(NICE), sys.executable, "-m", f"bench.{module}"]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(told) + "\n")
        process.stdin.flush()
        yield Crowd(process)
    finally:
        process.kill()
        process.wait()


def told() -> dict[str, Any]:
    """In such a program: what it is to do. From then on it ends when its input does."""
    found: dict[str, Any] = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()
    return found


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


def say(**done: Any) -> None:
    """In such a program: what it has done so far."""
    print(json.dumps(done), flush=True)


def let_open(files: int) -> int:
    """Let this process, and those that it starts, have so many files open; how many it may, if that is less."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(files, soft)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
    except (ValueError, PermissionError):  # no CAP_SYS_RESOURCE
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def plain_socket(source: str) -> socket.socket:
    """A TCP socket of this address, whose port is chosen when it connects: as many as there are pairs of addresses."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    found.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
    found.bind((source, 0))
    return found
