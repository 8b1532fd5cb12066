"""Where it stands how dockerd is started, and what it reads then: what is a change for our entries among these."""

from __future__ import annotations

from pathlib import Path

from secreg_host.base import records
from secreg_host.base.paths import Paths
from secreg_host.host.host import Host

FOLDERS = ("etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system")
"""Of units (systemd.unit(5)), below the root."""

USUAL = ("etc/docker/daemon.json", "etc/default/docker", "etc/sysconfig/docker")
PLACES = "places"
"""The key of what clients keep, under which the places stand that systemd names of this host's dockerd."""


def watched(paths: Paths) -> tuple[Path, ...]:
    """Its unit and its drop-ins (patterns), daemon.json, and files of its environment, there or not; those that are
    elsewhere by what systemd said last."""
    folders = [paths.root / folder for folder in FOLDERS]
    units = [folder / name for folder in folders for name in ("docker.service", "docker.service.d/*.conf")]
    told = records.peek(paths.trust, {PLACES: [str]}).get(PLACES, [])
    return tuple(dict.fromkeys((*units, *(paths.root / name for name in USUAL), *map(Path, told))))


def followed(host: Host) -> tuple[Path, ...]:
    """Those that matter to the instance of `host`: none where no systemd runs it, for then dockerd is told nothing."""
    return watched(host.paths) if host.by_systemd else ()


def there(paths: Paths) -> tuple[Path, ...]:
    """Those files that are there now."""
    found = (path.parent.glob(path.name) if path.name.startswith("*") else [path] for path in watched(paths))
    return tuple(path for several in found for path in several if path.is_file())
