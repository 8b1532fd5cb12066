"""How the front sees the registry's storage, to send images from it by itself."""

from __future__ import annotations

from secreg_host.base.errors import Problem
from secreg_host.formats import registryconf
from secreg_host.host import views
from secreg_host.host.host import Host
from secreg_host.images import readable
from secreg_host.wanted.parts.registry import RegistryPart


def tree(host: Host, part: RegistryPart, slot: str) -> str | None:
    """Where the front finds the images of the registry in `slot`; None: only the registry may answer."""
    if part.root is None or part.more:
        return None
    return str(views.place(host, part.root, slot) / readable.TREE)


def must_look(host: Host) -> bool:
    """Whether nginx itself must see to it that no link is followed: without views, but with walls between users."""
    return not views.used(host) and host.accounts.front != host.accounts.registry


def unseen(host: Host, part: RegistryPart, slot: str) -> tuple[Problem, ...]:
    """A warning when the front has no view of the storage of `part`, though it should."""
    root = part.root
    if root is None or not views.used(host) or tree(host, part, slot) is None or views.shows(host, root, slot):
        return ()
    what = f"nginx has no view of {root}: downloads take the slow way, through the registry"
    hint = f"journalctl -u secure-registry-images@{slot} -n 20; mount(8) and the kernel must know nosymfollow"
    return (Problem(part.at(registryconf.ROOT), what, hint),)
