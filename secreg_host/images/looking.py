"""Looking at a store as the registry's user, several at once, with what was found the last time."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from secreg_host.base import deputies
from secreg_host.base.errors import SecregError
from secreg_host.host.host import Host
from secreg_host.images import remembered, usage
from secreg_host.images.filesystem import Filesystem
from secreg_host.images.looker import Look, Share
from secreg_host.images.overview import Overview

LOOKERS = max(1, min(4, os.cpu_count() or 1))


def everything(host: Host, place: Path) -> Overview:
    """What is in the store in the directory `place`, with the weights of images. Raises SecregError where it can't be
    read."""
    before, found = remembered.load(host.paths.looked, place), Overview()
    found.heard(_told(host, place, [_work(before, Share(number, LOOKERS)) for number in range(LOOKERS)]), before)
    if found.news:
        found.weights = usage.images(found)
        remembered.save(host.paths.looked, place, found)
    return found


def one(host: Host, place: Path, name: str) -> Overview:
    """The repository `name` alone; nothing: there is none. Raises SecregError as `everything`."""
    before, found = Overview(), Overview()
    found.heard(_told(host, place, [lambda: Look(Filesystem(), before).lines(name)]), before)
    return found


def sizes(host: Host, place: Path) -> dict[str, int]:
    """How many bytes each blob has that is there, whoever needs it. Raises SecregError as `everything`."""

    def work() -> Iterable[str]:
        driver = Filesystem()
        for digest in driver.tree.blobs():
            seen = driver.look(driver.tree.blob(digest))
            if seen is not None:
                yield f"{digest} {seen.size}"

    said = (line.split(" ") for line in _told(host, place, [work]))
    return {digest: int(size) for digest, size in said}


def _work(before: Overview, share: Share) -> Callable[[], Iterable[str]]:
    return lambda: Look(Filesystem(), before, share=share).lines()


def _told(host: Host, place: Path, works: list[Callable[[], Iterable[str]]]) -> Iterable[str]:
    """What each of `works` tells, one after the other, though they run at once. Raises SecregError."""
    account = host.accounts.registry
    with contextlib.ExitStack() as stack:
        told = [stack.enter_context(deputies.telling(account, place, work)) for work in works]
        try:
            with ThreadPoolExecutor(len(told)) as threads:
                yield from itertools.chain.from_iterable(threads.map(_all, told))
        except OSError as error:
            what = f"cannot read the images in {place}: {error.strerror} ({error.filename})"
            raise SecregError(what, f"see what is there, as user {account.name}: ls -l") from error


def _all(lines: Iterator[str]) -> list[str]:
    return list(lines)
