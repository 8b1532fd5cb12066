"""Whether a registry can write, read and remove in its storage: a few bytes, in a repository that nobody else has.

The bytes are others each time, and nobody can know them before: blobs are kept once for all repositories, so what is
removed must be nobody else's. They are written, read back and removed by the registry, where it runs: in its sandbox.
What it leaves is removed as its user, so that the repository is in no catalogue: an empty directory is none.
"""

from __future__ import annotations

import contextlib
import http.client
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from secreg_host.apply.asking import Answer, Client, Request, connect_unix
from secreg_host.base import files, marks, process
from secreg_host.base.errors import SecregError
from secreg_host.formats.listening import Listen
from secreg_host.formats.users import PROBE
from secreg_host.host.host import Host

SECONDS = 10.0
REPOSITORY = PROBE

STORE = "docker/registry/v2"
PLACES = (f"{STORE}/repositories/{REPOSITORY}/_layers", f"{STORE}/repositories/{REPOSITORY}/_uploads")
"""What makes a catalogue list a repository. The directory itself stays: a registry that just lists what is removed from
under it answers 500 to whoever asked."""

Ask = Callable[[Request], Answer]


class Unreached(str):
    """What is wrong, when it is not the registry that said so: what is before it may be why, or it was just killed."""


def failed(what: str, answer: Answer) -> str:
    """What is wrong with `what`, which was asked of a registry: its status; `Unreached` if another one answered."""
    said = f"{what} is answered by HTTP {answer.status}"
    return said if answer.registry else Unreached(said)


def wrong(host: Host, images: str, ask: Ask) -> str:
    """What fails, of the registry that answers `ask` and stores in the directory `images`; "": nothing, or it takes no
    uploads anyway (read-only, a proxy, with passwords of its own), so that this can't be told."""
    with alone(host):
        content = b"secure-registry writes, reads and removes this: " + secrets.token_hex(32).encode() + b"\n"
        begun, said = _tried(ask, content)
        if begun:
            _tidy(host, images, marks.digest(content))
        return said


def behind(socket: Path) -> Ask:
    """What asks a registry on its own unix `socket`, a new connection each time."""

    def ask(request: Request) -> Answer:
        with contextlib.ExitStack() as links:
            client = Client(Listen("", 0, tls=False), "registry", connect_unix(socket), links, seconds=SECONDS)
            return client.ask(request)

    return ask


def _tried(ask: Ask, content: bytes) -> tuple[bool, str]:
    """Whether something was begun, and what failed."""
    begun, digest = False, f"sha256:{marks.digest(content)}"
    try:
        answer = ask(Request(f"/v2/{REPOSITORY}/blobs/uploads/", "POST"))
        begun = answer.status == http.client.ACCEPTED
        if not begun:
            return False, failed("an upload", answer) if answer.status >= 500 else ""
        place, blob = urlsplit(answer.location), f"/v2/{REPOSITORY}/blobs/{digest}"
        stored = ask(Request(f"{place.path}?{place.query}&digest={digest}", "PUT", body=content))
        if stored.status != http.client.CREATED:
            return True, failed("storing what was uploaded", stored)
        found = ask(Request(blob))
        if found.status != http.client.OK:
            return True, failed("what was stored", found)
        if found.body != content:
            return True, "what was stored comes back as something else"
        removed = ask(Request(blob, "DELETE"))
        return True, failed("removing what was stored", removed) if removed.status >= 500 else ""
    except TimeoutError:
        return begun, f"an upload is not answered within {SECONDS:.0f} s"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return begun, Unreached(f"an upload is not answered: {error}")


@contextlib.contextmanager
def alone(host: Host) -> Iterator[None]:
    """One at a time, as far as that can be had: two would take each other's bytes away."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(SecregError):
            held.enter_context(files.exclusively(host.paths.slot("a").parent, 2 * SECONDS))
        yield


def _tidy(host: Host, images: str, digest: str) -> None:
    """Remove what is left below `images`, the bytes of `digest` among it, as the registry's user; best effort."""
    left = ["rm", "-rf", *PLACES, f"{STORE}/blobs/sha256/{digest[:2]}/{digest}"]
    argv = ["env", "-C", images, *process.as_account(left, host.accounts.registry)]
    with contextlib.suppress(SecregError):
        process.run(process.outside(argv, SECONDS), SECONDS)
