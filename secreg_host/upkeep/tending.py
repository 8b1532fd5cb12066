"""Who deletes images, and frees their space, does it as the store's user, when nobody else needs the processor or the
disk; what he tells is entries, line by line."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from secreg_host.base import deputies, reserve
from secreg_host.base.deputies import Ask
from secreg_host.base.errors import Problem, SecregError, bad_input
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import registryconf
from secreg_host.formats.registryconf import MEMORY, Keeping
from secreg_host.generation import generations
from secreg_host.host.host import Host
from secreg_host.images import site
from secreg_host.images.survey import Entry
from secreg_host.upkeep import descriptors, progress, settling, source
from secreg_host.upkeep.settling import Settle
from secreg_host.wanted.parts import registry
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.settings import Settings


def images(host: Host) -> Path:
    """The directory of images. Raises as source.place."""
    return source.place(host, "nothing of them is deleted or freed from here")


def settings(host: Host) -> Settings:
    """What the secure-registry.conf that serves says of grace and trash."""
    generation = generations.load(host, generations.current_name(host))
    return generation.settings if generation else Settings()


def keeping(host: Host) -> Keeping:
    """What the docker-registry.yml that serves says of its store. Raises BadInput where nothing may be freed there, and
    SecregError where the registry remembers blobs in a Redis that is away."""
    generation = generations.load(host, generations.current_name(host))
    part = generation.parts[RegistryPart] if generation else registry.parse(Snapshot(host.paths))
    found, where = registryconf.keeping(part.yml, part.place), part.place
    if found.proxied:
        what = "the images are another registry's, which this one passes through: they are left alone"
        hint = "see proxy: ttl in that file: it removes what is old by itself"
        raise source.Elsewhere([Problem(where, what, hint)])
    if found.redis is not None:
        descriptors.check(found.redis)
    elif found.cache not in ("", MEMORY):
        what = (
            f"cache: blobdescriptor: {found.cache}: the registry remembers blobs that are gone, and takes broken images"
        )
        raise bad_input(where, what, "take the lines of storage: cache: out (files are as fast), then try again")
    return found


def as_owner(host: Host, images: Path, work: Callable[[], Iterable[Entry]]) -> Iterator[Entry]:
    """What `work` tells as the store's user in the directory `images`. Raises SecregError."""

    def lines() -> Iterator[str]:
        os.umask(site.UMASK)
        return (json.dumps(entry) for entry in work())

    with deputies.telling(host.accounts.registry, images, lines) as told:
        yield from _read(told, host, images)


@dataclass(frozen=True)
class Freeing:
    """Freeing space in the directory `images`, of which `keeping` says what must be known. lock: of all that free space
    (holding.alone), which the deputy holds, too, lest somebody gets it when we are killed; forget: has the registry
    forget what it remembers in memory, and raises SecregError."""

    host: Host
    images: Path
    keeping: Keeping
    lock: int
    forget: Callable[[], None]

    def as_owner(self, work: Callable[[Settle], Iterable[Entry]]) -> Iterator[Entry]:
        """What `work` tells as the store's user, when nobody else needs anything (a process of that class has the disk
        last, too: ioprio_set(2)); it is given what it waits by. Raises SecregError."""

        def lines(ask: Ask) -> Iterator[str]:
            os.umask(site.UMASK)
            with contextlib.suppress(OSError):
                os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            doing = settling.teller(ask) if shown.shown else lambda _: None
            return (json.dumps(entry) for entry in work(Settle(settling.settler(self.keeping, ask), doing)))

        account, shown = self.host.accounts.registry, progress.to_terminal()
        with shown.steps() as tell:
            answer = settling.answerer(self.forget, tell)
            with deputies.conversing(account, self.images, lines, answer, self.lock) as told:
                yield from _read(told, self.host, self.images)


def _read(told: Iterator[str], host: Host, images: Path) -> Iterator[Entry]:
    try:
        for line in told:
            yield tuple(json.loads(line))
    except OSError as error:
        account = host.accounts.registry
        what = f"cannot tend the images in {images}: {error.strerror} ({error.filename})"
        full = error.errno in reserve.FULL
        raise SecregError(
            what, _FULL if full else f"see what is there, as user {account.name}: ls -l; then again"
        ) from error
    except SecregError as error:  # by paths in the directory of images
        if not reserve.tells_full(error.message):
            raise
        raise SecregError(f"cannot tend the images in {images}: {error.message}", _FULL) from error


_FULL = "free some space on that disk otherwise, for each name in the trash needs a little; then again: df -h"
