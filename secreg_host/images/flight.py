"""Manifests on their way to the registry: who passes one on says so, and who hides links waits for him.

A seam for the manifest service: `putting` around a PUT, from before what the manifest names is brought back until the
registry has answered. The collector moves links of a repository only while none is on its way there (`still`), and ends
a wait for all that were (`landed`); and bytes that no link names it moves away while none is on its way anywhere
(BLOBS): the registry looks for what a manifest names after that was brought back. Whoever comes then waits at a gate,
so that who hides gets his turn among many.

Who gives a tag something else has a `turn`: whoever decides by what a tag is, an immutable one, say, has nobody change
it until that is done. It is taken before `putting`, so that nobody who waits for it holds up the collector.

Locks are of an open file (fcntl(2), F_OFD_SETLK), two bytes of one file for each repository, a byte of another one for
each tag. Nothing that is whole depends on them: a PUT that went past them is what the collector looks again for.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from secreg_host.base import files, marks, waiting
from secreg_host.images.filesystem import FOLDER, MODE
from secreg_host.images.layout import Tree

FILE, TURNS = "puts", "turns"
SECONDS = 60.0
"""How long a manifest is on its way at the most."""

BLOBS = "*"
"""What is `still` while no manifest at all is on its way: bytes belong to every repository. (None is called so.)"""

BUSY_SECONDS = 2.0
"""How long the end of a push is waited for, before what it may need is left for the next run."""

PAUSE = 0.002
FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextlib.contextmanager
def putting(tree: Tree, repository: str) -> Iterator[None]:
    """A manifest is on its way to `repository` within the block."""
    with _opened(tree) as descriptor:
        for name in (repository, BLOBS):
            gate, main = _bytes(name)
            _locked(descriptor, gate, fcntl.F_RDLCK, SECONDS)
            _locked(descriptor, main, fcntl.F_RDLCK, SECONDS)
            _lock(descriptor, gate, fcntl.F_UNLCK)
        yield


@contextlib.contextmanager
def turn(tree: Tree, repository: str, tag: str, seconds: float = SECONDS) -> Iterator[bool]:
    """Nobody else changes `tag` of `repository` within the block; False: somebody does, for longer than `seconds`."""
    with _opened(tree, TURNS) as descriptor:
        yield _locked(descriptor, _bytes(f"{repository}:{tag}")[0], fcntl.F_WRLCK, seconds)


@contextlib.contextmanager
def still(tree: Tree, repository: str, seconds: float = SECONDS) -> Iterator[bool]:
    """No manifest is on its way to `repository` within the block; False: one is, for longer than `seconds`."""
    with _opened(tree) as descriptor:
        gate, main = _bytes(repository)
        got = _locked(descriptor, gate, fcntl.F_WRLCK, seconds)
        got = got and _locked(descriptor, main, fcntl.F_WRLCK, seconds)
        if not got:
            _lock(descriptor, gate, fcntl.F_UNLCK)
        yield got


def landed(tree: Tree, repositories: Iterable[str], seconds: float = SECONDS) -> bool:
    """Whether each manifest has ended that is on its way to one of `repositories` now; it is waited for."""
    deadline = waiting.within(seconds)
    for one in repositories:
        with still(tree, one, deadline.left) as got:
            if not got:
                return False
    return True


@contextlib.contextmanager
def _opened(tree: Tree, name: str = FILE) -> Iterator[int]:
    descriptor = _descriptor(f"{tree.base}/{FOLDER}", name)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _descriptor(folder: str, name: str) -> int:
    with contextlib.suppress(FileNotFoundError):
        return os.open(f"{folder}/{name}", FLAGS, files.PRIVATE)
    Path(folder).mkdir(MODE, parents=True, exist_ok=True)
    return os.open(f"{folder}/{name}", FLAGS, files.PRIVATE)


def _bytes(name: str) -> tuple[int, int]:
    """The two bytes that are locked for what is called `name`: two may have the same, and wait for each other."""
    at = 2 * int(marks.digest(name.encode())[:15], 16)
    return at, at + 1


def _locked(descriptor: int, at: int, kind: int, seconds: float) -> bool:
    return _lock(descriptor, at, kind) or waiting.until(lambda: _lock(descriptor, at, kind), seconds, PAUSE)


def _lock(descriptor: int, at: int, kind: int) -> bool:
    wanted = struct.pack("hhqqi4x", kind, os.SEEK_SET, at, 1, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return False
    return True
