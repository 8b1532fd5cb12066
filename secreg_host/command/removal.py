"""Taking back what setup made on a host: units, and with purge configuration and data. Images are never removed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from secreg_host.base import distant, leftovers, masking
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.paths import Paths
from secreg_host.command.instance import Instance
from secreg_host.generation import generations
from secreg_host.host import views
from secreg_host.host.host import Host
from secreg_host.wanted.parts.registry import RegistryPart


def holds_images(path: Path) -> bool:
    """Whether there are images in the directory `path`, at any depth (distribution's layout: docker/registry/v2), those
    that a restore moved aside among them."""
    if path.name.startswith("docker") and (path / "registry/v2").is_dir():
        return True
    return any(found.is_dir() for found in path.rglob("docker*/registry/v2"))


def _untrust(host: Host) -> tuple[Problem, ...]:
    """Take out of clients' files what we put in; what could not be taken out."""
    if not host.paths.trust.exists():
        return ()
    from secreg_host.clients import trust

    try:
        clients = trust.at(host, generations.load(host, generations.current_name(host)))
        problems = clients.remove(())
        clients.forget()
    except SecregError as error:
        return error.problems
    return problems


def uninstall(one: Instance, tell: Callable[[str], object], *, purge: bool) -> None:
    """Stop and disable the service, remove the rendered units; with `purge` also /etc and /var/lib but images.

    Raises SecregError, before anything is removed, when what runs can't be stopped; also when systemd can't be reached
    or a file can't be removed.
    """
    host, paths = one.host, one.host.paths
    removed, edited = one.remove_units()
    for path in removed:
        tell(f"removed {path}")
    for path in edited:
        tell(f"kept {path}: it is not as it was written for this host")
    for problem in _untrust(host):
        tell(str(problem))
    generation = generations.load(host, generations.current_name(host))
    images = generation.parts[RegistryPart].root if generation else str(paths.storage)
    clear(paths.run)
    views.remove(paths)
    if purge:
        _purge(paths, tell)
    else:
        tell(f"kept {paths.etc} and {paths.lib}")
    tell(f"images stay in {masking.urls(str(images))}")


def _purge(paths: Paths, tell: Callable[[str], object]) -> None:
    for path in (*leftovers.restoring(paths), paths.looked.parent):
        clear(path)
    for path in (paths.etc, paths.log):
        left = clear(path)
        tell(f"removed {path}" if not left else f"kept {left[0]}: something is mounted there, or it can't be removed")
    for path in sorted(paths.lib.glob("*")):
        if not holds_images(path):
            clear(path)


def clear(path: Path) -> tuple[Path, ...]:
    """Remove `path` and all below it; what had to stay. Of a link only the link goes; where something is mounted, bound
    directories too, it stays with all that is in it."""
    return tuple(_clear(path, frozenset(map(Path, distant.mounts()))))


def _clear(path: Path, mounted: frozenset[Path]) -> list[Path]:
    try:
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
            return []
        if path in mounted:
            return [path]
        left = [stays for entry in sorted(path.iterdir()) for stays in _clear(entry, mounted)]
        if not left:
            path.rmdir()
        return left
    except OSError:
        return [path]
