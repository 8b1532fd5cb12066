"""Looking at a store as the registry's user, several at once, with what was found the last time."""

from __future__ import annotations

import contextlib
import errno
import gc
import itertools
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from secreg_host.base import deputies
from secreg_host.base.errors import SecregError
from secreg_host.host.host import Host
from secreg_host.images import linking, mending, owners, readable, relinking, remembered, site, usage
from secreg_host.images.driver import Space
from secreg_host.images.filesystem import Filesystem
from secreg_host.images.layout import HERE, Malformed, Repository
from secreg_host.images.looker import Look, Share
from secreg_host.images.mending import Cut, Was
from secreg_host.images.overview import Overview

LOOKERS = max(1, min(4, os.cpu_count() or 1))


def everything(host: Host, place: Path, meanwhile: Callable[[Overview], object] = lambda _: None) -> Overview:
    """What is in the store in the directory `place`, with the weights of images. meanwhile: is told what was there at
    the last look, while it is looked at again; what it makes of that is right unless there are `news`. Raises
    SecregError where it can't be read."""
    with _uncollected():
        (before, complete), found = remembered.begin(host.paths.looked, place), Overview()

        def prepare() -> None:
            complete()
            meanwhile(before)

        works = [_work(before, Share(number, LOOKERS)) for number in range(LOOKERS)]
        found.heard(_told(host, place, works, prepare), before)
        if found.news:
            found.weights = usage.images(found)
            remembered.save(host.paths.looked, place, found)
    return found


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no garbage meanwhile, here and in forks: there is none, and each look for it goes through all that was
    found, which the forks would get copies of by that."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def history(host: Host, place: Path, name: str, tag: str) -> list[tuple[str, int]]:
    """What `tag` of the repository `name` ever was, and since when, the newest first. Raises SecregError as
    `everything`."""
    found = _told(
        host, place, [lambda: (f"{one.digest} {one.seconds}" for one in mending.history(Repository(HERE, name), tag))]
    )
    return [(line.split(" ")[0], int(line.split(" ")[1])) for line in found]


def cut(host: Host, place: Path, tags: Iterable[tuple[str, str]]) -> list[Cut]:
    """Those of the `tags`, each with its repository, that say nothing. Raises SecregError as `everything`."""
    wanted = list(tags)
    said = map(json.loads, _told(host, place, [lambda: map(json.dumps, mending.cut(HERE, wanted))]))
    return [Cut(name, tag, tuple(Was(*one) for one in was)) for name, tag, was in said]


def mend(host: Host, place: Path, one: Cut, digest: str) -> str:
    """Let the tag that is `one` be `digest`, unless it is something by now; what it is then. Raises SecregError."""

    def work() -> Iterable[str]:
        os.umask(site.UMASK)
        try:
            yield mending.mend(Repository(HERE, one.repository), one.tag, digest)
        except Malformed as error:
            raise OSError(errno.EINVAL, error.what, error.path) from None

    return next(iter(_told(host, place, [work])), "")


def mend_links(
    host: Host, place: Path, names: Collection[str], doubtful: Collection[tuple[str, str]] | None = None
) -> list[str]:
    """Mend the links of the repositories `names` that say nothing: of blobs and manifests, and, where it is said which
    tags are `doubtful`, the history of all others; which were. Raises SecregError."""

    def work() -> Iterable[str]:
        os.umask(site.UMASK)
        return relinking.mend(HERE, names, doubtful)

    return list(_told(host, place, [work])) if names else []


def back(host: Host, place: Path) -> list[str]:
    """Bring back the bytes that a collection which was killed had moved away; of which digests. Nobody collects
    meanwhile. Raises SecregError."""

    from secreg_host.images.purging import Purge  # what a list does without is loaded only where it is needed

    def work() -> Iterable[str]:
        os.umask(site.UMASK)
        return Purge(HERE).undo()

    return list(_told(host, place, [work]))


def rotten(host: Host, place: Path, digests: Collection[str]) -> list[str]:
    """Those of the `digests` of which there are bytes, and not the right ones, as far as that can be read."""

    def work() -> Iterable[str]:
        for digest in digests:
            with contextlib.suppress(OSError):
                if HERE.size(digest) is not None and not linking.is_right(HERE.blob(digest), digest):
                    yield digest

    return list(_told(host, place, [work])) if digests else []


def foreign(host: Host, place: Path) -> tuple[str, str] | None:
    """What of the store the registry can't write, and what to do; None: nothing. Raises SecregError."""

    def work() -> Iterable[str]:
        found = owners.every()
        first = next(found, None)
        if first is not None:
            yield json.dumps([first, sum(1 for _ in found)])

    said = next(iter(_told(host, place, [work])), None)
    return None if said is None else owners.told(host, str(place), *json.loads(said))


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


class Room(NamedTuple):
    """uploads: bytes of pushes that were begun; space: what the file system has (None: unknown); trash: what
    emptying the trash would free, by when it was put there."""

    uploads: int
    space: Space | None
    trash: tuple[tuple[int, int], ...] = ()


def room(host: Host, place: Path) -> Room:
    """What else is there. Raises SecregError as `everything`."""

    def work() -> Iterable[str]:
        driver = Filesystem()
        yield json.dumps(driver.space())
        for one in HERE.repositories(lambda _: None):
            for upload in driver.list(one.uploads):
                if seen := driver.look(f"{one.uploads}/{upload}/data"):
                    yield str(seen.size)

    from secreg_host.images import emptying  # as in `back`

    def in_trash() -> Iterable[str]:
        return map(json.dumps, emptying.frees(HERE))

    space, *uploads = map(json.loads, _told(host, place, [work]))
    trash = tuple((made, size) for made, size in map(json.loads, _told(host, place, [in_trash])))
    return Room(sum(uploads), Space(*space) if space else None, trash)


def _work(before: Overview, share: Share) -> Callable[[], Iterable[str]]:
    return lambda: Look(Filesystem(), before, share=share).lines()


def _told(
    host: Host, place: Path, works: list[Callable[[], Iterable[str]]], meanwhile: Callable[[], object] = lambda: None
) -> Iterable[str]:
    """What each of `works` tells, one after the other, though they run at once, and `meanwhile` with them. Raises
    SecregError."""
    account = host.accounts.registry
    with contextlib.ExitStack() as stack:
        told = [stack.enter_context(deputies.telling(account, place, work, shut=readable.closed)) for work in works]
        try:
            with ThreadPoolExecutor(len(told)) as threads:
                lines = threads.map(_all, told)
                meanwhile()
                yield from itertools.chain.from_iterable(lines)
        except OSError as error:
            what = f"cannot read the images in {place}: {error.strerror} ({error.filename})"
            raise SecregError(what, f"see what is there, as user {account.name}: ls -l") from error


def _all(lines: Iterator[str]) -> list[str]:
    return list(lines)
