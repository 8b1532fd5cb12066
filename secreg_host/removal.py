"""Taking back what setup made on a host: units, and with purge configuration and data. Images are never removed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

from secreg_host import generations, units, views
from secreg_host import parts as kinds
from secreg_host.errors import Problem, SecregError
from secreg_host.host import Host, systemd_runs


def holds_images(path: Path) -> bool:
    """Whether there are images in the directory `path`, at any depth (distribution's layout: docker/registry/v2)."""
    if path.name == "docker" and (path / "registry/v2").is_dir():
        return True
    return any(found.is_dir() for found in path.rglob("docker/registry/v2"))


def _untrust(host: Host) -> tuple[Problem, ...]:
    """Take out of clients' files what we put in; what could not be taken out."""
    if not host.paths.trust.exists():
        return ()
    from secreg_host import trust

    try:
        clients = trust.at(host)
        problems = clients.remove(())
        clients.forget()
    except SecregError as error:
        return error.problems
    return problems


def uninstall(host: Host, purge: bool, tell: Callable[[str], object]) -> None:
    """Stop and disable the service, remove the rendered units; with `purge` also /etc and /var/lib but images.

    Raises SecregError when systemd can't be reached or a file can't be removed.
    """
    if host.is_system and systemd_runs():
        from secreg_host.systemd import Systemd

        systemd = Systemd()
        with contextlib.suppress(SecregError):  # it may not be there any more
            systemd.job("StopUnit", units.MAIN)
        with contextlib.suppress(SecregError):
            systemd.call("DisableUnitFiles", [units.MAIN], False)
        removed = units.remove(host)
        systemd.call("Reload")
    else:
        removed = units.remove(host)
    for path in removed:
        tell(f"removed {path}")
    for problem in _untrust(host):
        tell(str(problem))
    generation = generations.load(host, generations.current_name(host))
    images = generation.parts[kinds.REGISTRY].facts["root"] if generation else str(host.paths.storage)
    shutil.rmtree(host.paths.run, ignore_errors=True)
    views.remove(host.paths)
    if purge:
        for path in (host.paths.etc, host.paths.log):
            shutil.rmtree(path, ignore_errors=True)
            tell(f"removed {path}")
        for path in host.paths.lib.glob("*"):
            if not holds_images(path):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() and not path.is_symlink() else path.unlink()
    else:
        tell(f"kept {host.paths.etc} and {host.paths.lib}")
    tell(f"images stay in {images}")
