"""Who deletes images, and frees their space, does it as the store's user, when nobody else needs the processor or the
disk; what he tells is entries, line by line."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from secreg_host.base import deputies, waiting
from secreg_host.base.errors import SecregError, bad_input
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import registryconf
from secreg_host.formats.registryconf import Keeping
from secreg_host.generation import generations
from secreg_host.host.host import Host
from secreg_host.images import site
from secreg_host.images.survey import Entry
from secreg_host.wanted.parts import registry
from secreg_host.wanted.parts.registry import RegistryPart

SETTLE_SECONDS = 10.0
"""How long a request of the registry takes at the most between its look at a file and what it writes for that."""


def keeping(host: Host) -> Keeping:
    """What the docker-registry.yml that serves says of its store. Raises BadInput where nothing may be freed there."""
    generation = generations.load(host, generations.current_name(host))
    part = generation.parts[RegistryPart] if generation else registry.parse(Snapshot(host.paths))
    found, where = registryconf.keeping(part.yml, part.place), part.place
    if found.proxied:
        what = "the images are another registry's, which this one passes through: they are left alone"
        raise bad_input(where, what, "see proxy: ttl in that file: it removes what is old by itself")
    if found.cache:
        what = (
            f"cache: blobdescriptor: {found.cache}: the registry remembers blobs that are gone, and takes broken images"
        )
        raise bad_input(where, what, "take the lines of storage: cache: out (files are as fast), then try again")
    return found


def as_owner(host: Host, images: Path, work: Callable[[], Iterable[Entry]], *, idle: bool = False) -> Iterator[Entry]:
    """What `work` tells as the store's user in the directory `images`; idle: when nobody else needs anything (a process
    of that class has the disk last, too: ioprio_set(2)). Raises SecregError."""
    account = host.accounts.registry

    def lines() -> Iterator[str]:
        os.umask(site.UMASK)
        if idle:
            with contextlib.suppress(OSError):
                os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        return (json.dumps(entry) for entry in work())

    with deputies.telling(account, images, lines) as told:
        try:
            for line in told:
                yield tuple(json.loads(line))
        except OSError as error:
            what = f"cannot tend the images in {images}: {error.strerror} ({error.filename})"
            raise SecregError(what, f"see what is there, as user {account.name}: ls -l; then again") from error


def settle() -> None:
    """Wait for what is under way in the registry."""
    waiting.until(lambda: False, SETTLE_SECONDS, 1.0)
