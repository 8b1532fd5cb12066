"""Whether the manifest service takes what the front passes on to it (push/): it is asked as the front asks it."""

from __future__ import annotations

import contextlib

from secreg_host.apply import probe
from secreg_host.apply.asking import Request
from secreg_host.apply.clientproof import UNREACHED
from secreg_host.host import processes
from secreg_host.host.host import Host
from secreg_host.push.asked import LIVES
from secreg_host.services import sockets

SECONDS = 5.0


class Unheard(str):
    """That nobody listens where the front asks the manifest service."""

    __slots__ = ()


def wrong(host: Host) -> str:
    """What is wrong with the manifest service; `Unheard`, and "" where nothing is."""
    path = processes.manifests_socket(host)
    if not sockets.leads(path):
        return Unheard(f"nobody listens at {path}")
    try:
        with contextlib.ExitStack() as links:
            status = probe.entered(path, "manifests", links, SECONDS).ask(Request(LIVES)).status
    except (TimeoutError, BlockingIOError):  # nobody takes it, or as many wait as may
        return f"the manifest service does not answer within {SECONDS:.0f} s"
    except UNREACHED as error:
        return f"the manifest service does not answer: {getattr(error, 'strerror', None) or error}"
    return "" if status == 204 else f"the manifest service answers by HTTP {status}"
