"""Whether a registry can write, read and remove in its storage: an upload is begun, looked at and given up.

It is asked behind the front, on its unix socket, where it runs: in its sandbox.
"""

from __future__ import annotations

import contextlib
import http.client
import secrets
from pathlib import Path

from secreg_host.apply import probe
from secreg_host.base import process
from secreg_host.base.errors import SecregError
from secreg_host.base.process import Account
from secreg_host.formats.listening import Listen

SECONDS = 10.0

REPOSITORIES = "docker/registry/v2/repositories"


def wrong(socket: Path, repository: str) -> str:
    """What fails, of the registry on `socket` with a new `repository`; "": nothing, or it takes no uploads anyway
    (read-only, a proxy, with passwords of its own), so that this can't be told."""
    try:
        status, place = _ask(socket, "POST", f"/v2/{repository}/blobs/uploads/")
        if status != http.client.ACCEPTED:
            return f"an upload is answered by HTTP {status}" if status >= 500 else ""
        for method, doing in (("GET", "looking at an upload"), ("DELETE", "giving up an upload")):
            status, _ = _ask(socket, method, place)
            if status >= 500:
                return f"{doing} is answered by HTTP {status}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"an upload is not answered: {error}"
    return ""


def name() -> str:
    """The name of a repository that nobody has. Without manifests it is in no catalog."""
    return f"secure-registry-proof-{secrets.token_hex(16)}"


def tidy(account: Account, root: str, repository: str) -> None:
    """Remove what an upload that was given up leaves below `root`, as the registry's user; best effort."""
    argv = ["env", "-C", root, *process.as_account(["rm", "-rf", f"{REPOSITORIES}/{repository}"], account)]
    with contextlib.suppress(SecregError):
        process.run(process.outside(argv, SECONDS), SECONDS)


def _ask(socket: Path, method: str, address: str) -> tuple[int, str]:
    """Status of the answer, and the address that it names."""
    with contextlib.closing(http.client.HTTPConnection("registry")) as client:
        client.sock = probe.connect_unix(socket)(Listen("", 0, tls=False))
        client.request(method, address)
        answer = client.getresponse()
        answer.read(probe.MOST)
        return answer.status, answer.getheader("Location", "").removeprefix("http://registry")
