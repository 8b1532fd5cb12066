"""Whether a registry can write, read and remove in its storage: an upload is begun, looked at and given up.

It is asked behind the front, on its unix socket, where it runs: in its sandbox.
"""

from __future__ import annotations

import contextlib
import http.client
from pathlib import Path

from secreg_host import probe, process
from secreg_host.errors import SecregError
from secreg_host.host import Host
from secreg_host.nginxconf import Listen

REPOSITORY = "secure-registry/proof"
"""Without manifests: it is in no catalog."""

UPLOADS = f"docker/registry/v2/repositories/{REPOSITORY}/_uploads"


def wrong(socket: Path) -> str:
    """What fails, of the registry on `socket`; "": nothing, or it takes no uploads anyway (read-only, a proxy, with
    passwords of its own), so that this can't be told."""
    try:
        status, place = _ask(socket, "POST", f"/v2/{REPOSITORY}/blobs/uploads/")
        if status != http.client.ACCEPTED:
            return f"an upload is answered by HTTP {status}" if status >= 500 else ""
        for method, doing in (("GET", "looking at an upload"), ("DELETE", "giving up an upload")):
            status, _ = _ask(socket, method, place)
            if status >= 500:
                return f"{doing} is answered by HTTP {status}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"an upload is not answered: {error}"
    return ""


def tidy(host: Host, root: str) -> None:
    """Remove the empty directories that are left below `root`, as the registry's user; best effort."""
    below = [UPLOADS, *map(str, list(Path(UPLOADS).parents)[:2])]
    argv = process.as_account(["rmdir", "--ignore-fail-on-non-empty", *below], host.accounts.registry)
    with contextlib.suppress(SecregError):
        process.run(["env", "-C", root, *argv])


def _ask(socket: Path, method: str, address: str) -> tuple[int, str]:
    """Status of the answer, and the address that it names."""
    with contextlib.closing(http.client.HTTPConnection("registry")) as client:
        client.sock = probe.connect_unix(socket)(Listen("", 0, tls=False))
        client.request(method, address)
        answer = client.getresponse()
        answer.read(probe.MOST)
        return answer.status, answer.getheader("Location", "").removeprefix("http://registry")
