"""Who deletes images, and frees their space, does it as the store's user, when nobody else needs the processor or the
disk; what he tells is entries, line by line."""

from __future__ import annotations

import errno
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
from secreg_host.images import readable, site
from secreg_host.images.survey import Entry
from secreg_host.upkeep import descriptors, progress, settling, source
from secreg_host.upkeep.settling import Settle
from secreg_host.wanted.parts import registry
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.settings import Settings

ODD = {errno.EINVAL: "no repository is called so", errno.ELOOP: "it is a link"}
"""Why what is among repositories is not looked into."""


def images(host: Host) -> Path:
    """The directory of images. Raises as source.place, and Elsewhere where they are another registry's."""
    found = source.place(host, "nothing of them is deleted or freed from here")
    _keeping(host)
    return found


def settings(host: Host) -> Settings:
    """What the secure-registry.conf that serves says of grace and trash."""
    generation = generations.load(host, generations.current_name(host))
    return generation.settings if generation else Settings()


def keeping(host: Host) -> Keeping:
    """What the docker-registry.yml that serves says of its store. Raises BadInput where nothing may be freed there, and
    SecregError where the registry remembers blobs in a Redis that is away."""
    found, where = _keeping(host)
    if found.redis is not None:
        descriptors.check(found.redis)
    elif found.cache not in ("", MEMORY):
        what = (
            f"cache: blobdescriptor: {found.cache}: the registry remembers blobs that are gone, and takes broken images"
        )
        raise bad_input(where, what, "take the lines of storage: cache: out (files are as fast), then try again")
    return found


def _keeping(host: Host) -> tuple[Keeping, str]:
    """The same, and where it says so, but for caches. Raises Elsewhere where the images are another registry's."""
    generation = generations.load(host, generations.current_name(host))
    part = generation.parts[RegistryPart] if generation else registry.parse(Snapshot(host.paths))
    found = registryconf.keeping(part.yml, part.place)
    if found.proxied:
        what = "the images are another registry's, which this one passes through: they are left alone"
        hint = "see proxy: ttl in that file: it removes what is old by itself"
        raise source.Elsewhere([Problem(part.place, what, hint)])
    return found, part.place


def as_owner(host: Host, images: Path, work: Callable[[], Iterable[Entry]]) -> Iterator[Entry]:
    """What `work` tells as the store's user in the directory `images`. Raises SecregError."""

    def lines() -> Iterator[str]:
        os.umask(site.UMASK)
        return (json.dumps(entry) for entry in work())

    with deputies.telling(host.accounts.registry, images, lines, shut=readable.closed) as told:
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
        """What `work` tells as the store's user, when nobody else needs anything; it is given what it waits by. Raises
        SecregError."""

        def lines(ask: Ask) -> Iterator[str]:
            os.umask(site.UMASK)
            doing = settling.teller(ask) if shown.shown else lambda _: None
            return (json.dumps(entry) for entry in work(Settle(settling.settler(self.keeping, ask), doing)))

        account, shown = self.host.accounts.registry, progress.to_terminal()
        with shown.steps() as tell:
            answer = settling.answerer(self.keeping, self.forget, tell)
            shut = readable.closed
            with deputies.conversing(account, self.images, lines, answer, self.lock, shut, gentle=True) as told:
                yield from _read(told, self.host, self.images)


def _read(told: Iterator[str], host: Host, images: Path) -> Iterator[Entry]:
    try:
        for line in told:
            yield tuple(json.loads(line))
    except OSError as error:
        if error.errno in ODD:
            what = f"{images}: nothing can be freed: {error.filename}: {ODD[error.errno]}, and it may need anything"
            raise SecregError(
                what, f"move it to where no images are, or remove it; then again: ls -l {images}"
            ) from error
        account = host.accounts.registry
        what = f"cannot tend the images in {images}: {error.strerror} ({error.filename})"
        hints = {errno.EROFS: f"it is mounted read-only: findmnt -T {images}", **dict.fromkeys(reserve.FULL, _FULL)}
        otherwise = f"see what is there, as user {account.name}: ls -l; then again"
        raise SecregError(what, hints.get(error.errno or 0, otherwise)) from error
    except SecregError as error:  # by paths in the directory of images
        if not reserve.tells_full(error.message):
            raise
        raise SecregError(f"cannot tend the images in {images}: {error.message}", _FULL) from error


_FULL = "free some space on that disk otherwise, for each name in the trash needs a little; then again: df -h"
