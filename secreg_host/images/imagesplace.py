"""Where images may be: everywhere but where the registry's sandbox keeps it from others' files, or nothing is kept.

Of home directories the registry sees nothing but the directory of images, by a door that its unit opens.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from secreg_host.base import distant
from secreg_host.base.paths import HOMES, NOT_KEPT
from secreg_host.host.host import Host

ELSEWHERE = "name a directory of its own elsewhere, such as /srv/registry"


def resolved(root: str) -> str:
    """The directory `root` without links, as far as it is there. Raises SecregError when it does not answer."""
    return distant.ask(root, lambda: os.path.realpath(root))


def real(facts: Mapping[str, Any]) -> str | None:
    """The directory of images without links, by the facts of docker-registry.yml (a part of before does not say it)."""
    found = facts.get("real") or facts["root"]
    return None if found is None else str(found)


def places(facts: Mapping[str, Any]) -> tuple[Path, ...]:
    """Every way in which the directory of images can be named, by the same facts."""
    return tuple(dict.fromkeys(Path(one) for one in (facts["root"], real(facts)) if one))


def at_home(place: str | None) -> bool:
    """Whether `place` is below what ProtectHome= hides."""
    return place is not None and any(home in Path(place).parents for home in HOMES)


def refused(host: Host, root: str, place: str) -> tuple[str, str] | None:
    """Why images can't be in `place`, the directory `root` without links, and what to do; None: they can."""
    path, paths = Path(place), host.paths
    if not host.by_systemd:
        return None
    if path in (Path("/"), *HOMES):
        return f"rootdirectory {root} is not a directory of images alone", ELSEWHERE
    for one in NOT_KEPT:
        if one in (path, *path.parents):
            return f"rootdirectory {root}: what a service has in {one} is not kept, or not its own", ELSEWHERE
    for one in (paths.etc, paths.state, paths.generations, paths.run, paths.views):
        if one in (path, *path.parents) or path in one.parents:
            return f"rootdirectory {root}: {one} is hidden from the registry", ELSEWHERE
    if at_home(place) and ":" in place:
        return f"rootdirectory {root}: a unit can't name a path with a colon below a home directory", ELSEWHERE
    return None
