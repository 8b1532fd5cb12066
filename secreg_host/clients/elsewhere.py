"""Other machines: the script, or the line, with which they trust the registry."""

from __future__ import annotations

from secreg_host.base import templating, utf8
from secreg_host.base.errors import SecregError
from secreg_host.base.paths import Paths
from secreg_host.clients import served
from secreg_host.clients.served import Served

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def show(paths: Paths, known: Served | None, *, line: bool) -> str:
    """A script (or one line, for Docker) with which another machine trusts what is served. Raises SecregError where
    nothing is, or nothing that a client has to be told of."""
    if known is None:
        raise SecregError("nothing serves yet, so there is nothing to trust", "secure-registry start")
    far = [endpoint for endpoint in known.endpoints if endpoint.host not in LOOPBACK]
    if known.ca is None or not far:
        raise SecregError(
            "the certificate was not signed by a CA that is known here",
            f"publicly trusted: clients need nothing; else put your CA's certificate into {paths.ca_crt}",
        )
    variables = {
        "best": far[0].spellings[0],
        "addresses": [endpoint.spellings[0] for endpoint in far if endpoint.port == far[0].port],
        "spellings": list(dict.fromkeys(word for end in far for word in end.spellings)),
        "fingerprint": served.fingerprint(known.ca),
    }
    name = "line.sh.j2" if line else "show.sh.j2"
    return utf8.shown(templating.render(paths.templates, f"trust/{name}", **variables))
