"""Where the images are that are backed up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from secreg_host.base import quoting, reading
from secreg_host.base.errors import BadInput, Problem, SecregError
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import registryconf
from secreg_host.generation import generations
from secreg_host.host.host import Host
from secreg_host.images import imagesplace, marker, site
from secreg_host.wanted.parts import registry
from secreg_host.wanted.parts.registry import RegistryPart


class Elsewhere(BadInput):
    """The images are on no file system of this host, or another registry's."""


def images(host: Host) -> Path:
    """The directory of images that are backed up. Raises as `place`."""
    return place(host, "they can't be backed up from here", "; or add --config-only")


def place(host: Host, elsewhere: str, without: str = "") -> Path:
    """The directory of images, without links: of what serves, or, where nothing ever did, of docker-registry.yml.
    elsewhere: what can't be done where they are on no file system; without: how it can be done without them.

    Raises Elsewhere where they are on no file system of this host, SecregError where they are away: what is there
    instead, the mount point of a disk, say, would make a backup without images.
    """
    generation = generations.load(host, generations.current_name(host))
    part = generation.parts[RegistryPart] if generation else registry.parse(Snapshot(host.paths))
    root = part.root
    if root is None:
        what = f"the images are on no file system of this host: {elsewhere}"
        raise Elsewhere([Problem(str(host.paths.registry_yml), what, f"do it where they are{without}")])
    real = imagesplace.resolved(root)
    if not reading.is_directory(Path(real)):
        hint = (
            f"mount it (findmnt -T {quoting.shell(root)}), or see rootdirectory in {host.paths.registry_yml}{without}"
        )
        raise SecregError(f"the images are not in {root}: there is no such directory", hint)
    if lost := marker.lost(part.store, marker.look(real)):
        hint = f"mount it, or bring them back (findmnt -T {quoting.shell(real)}){without}"
        raise SecregError(f"the images are not in {root}: {lost}", hint)
    return Path(real)


def told(data: bytes, where: str, about: Mapping[str, Any]) -> str | None:
    """The directory of images by the docker-registry.yml of a backup, whose bytes are `data`: one that can't be read
    did not serve, and what did is what the backup is `about`. None: they are on no file system."""
    try:
        root = registryconf.parse(data, where).root
    except SecregError:
        images = about.get("images")
        return images if isinstance(images, str) and images.startswith("/") else None
    return str(root) if root else None


def unmounted(host: Host, images: Path) -> str:
    """That nothing is mounted any more where the store that served was, if that was in `images`; "": all is well."""
    generation = generations.load(host, generations.current_name(host))
    part = generation.parts[RegistryPart] if generation else None
    if part is None or part.root is None or imagesplace.resolved(part.root) != str(images):
        return ""
    return marker.unmounted(part.store, marker.look(str(images)))


def check_restored(host: Host, images: Path) -> None:
    """Raise SecregError where there are no images, for a restore that was cut has put them together beside: a backup
    of none would pass for a whole one."""
    if name := site.unplaced(host, images):
        beside = quoting.shell(site.Site(name, images, "").path)
        hint = f"type that restore again; if nobody needs them: rm -rf {beside}"
        raise SecregError(f"the images of backup {name} are not all restored yet", hint)
