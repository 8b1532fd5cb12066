"""The proxies of dockerd, which it takes over when it starts: it is asked once for each of its runs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from secreg_host.base import records
from secreg_host.base.errors import SecregError
from secreg_host.base.paths import Paths
from secreg_host.base.proxies import Proxies
from secreg_host.clients.docker import dockerinfo
from secreg_host.clients.docker.dockerd import Dockerd, Patience
from secreg_host.clients.kept import PROXIES, RECORD, Kept

if TYPE_CHECKING:
    from secreg_host.base.systemd import Systemd

UNKNOWN = {"run": "", "https": "", "none": ""}
"""What is kept where somebody wants to know them and dockerd was never asked."""


def of(kept: Kept, daemon: Dockerd) -> Proxies:
    """Those that `daemon` goes by, as far as it has said: of a run that does not answer now, those of the one before.
    Raises SecregError when what it said can't be kept."""
    before = kept.of(PROXIES)
    known, engine = UNKNOWN | before, daemon.engine
    if engine is not None and engine.running and known["run"] != engine.run:
        with contextlib.suppress(SecregError):  # who needs an answer tells
            asked = dockerinfo.proxies(daemon.info())
            known = {"run": engine.run, "https": asked.https, "none": asked.none}
    if known != before:
        kept.save(PROXIES, known)
    return Proxies(known["https"], known["none"])


def forget(kept: Kept) -> None:
    """Nobody wants to know them any more."""
    if kept.of(PROXIES):
        kept.save(PROXIES, {})


def unheard(paths: Paths, manager: Systemd) -> bool:
    """Whether dockerd was started since it was asked, and answers: the next apply hears what it says. For each look:
    nothing is asked of dockerd whose run is known. Raises SecregError when that can't be told."""
    known = records.peek(paths.trust, RECORD).get(PROXIES)
    if not known:
        return False
    found = manager.properties(dockerinfo.UNIT, "ActiveState", "InvocationID")
    if found["ActiveState"] != "active" or str(found["InvocationID"]) == known.get("run"):
        return False
    Dockerd(paths, manager, None, Patience(endless=False)).info()
    return True
