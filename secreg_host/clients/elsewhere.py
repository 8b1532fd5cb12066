"""Other machines: the script, or the line, with which they trust the registry."""

from __future__ import annotations

import base64
import contextlib
import http.client
import ssl

from secreg_host.apply import rehearsal
from secreg_host.apply.asking import Client, Request, connect_tcp
from secreg_host.base import templating, utf8
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.paths import Paths
from secreg_host.clients import served
from secreg_host.clients.served import Served
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def show(paths: Paths, known: Served | None, *, line: bool, within: bool = False) -> str:
    """A script (or one line, for Docker) with which another machine trusts what is served. within: the CA stands in it,
    rather than that it is fetched. Raises SecregError where nothing is served, or nothing that a client has to be told
    of."""
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
        "within": utf8.shown(base64.b64encode(ssl.PEM_cert_to_DER_cert(utf8.shown(known.ca)))) if within else "",
    }
    name = "line.sh.j2" if line else "show.sh.j2"
    return utf8.shown(templating.render(paths.templates, f"trust/{name}", **variables))


def kept_back(host: Host, current: Generation) -> Problem | None:
    """That /ca.crt of `current`, which serves, is not given to this `host`, which has no certificate of its own: then
    other machines may not get it either; None: it is."""
    want = next(iter(rehearsal.expectations(host, current)), None)
    ca = served.of(current).ca
    if want is None or ca is None:
        return None
    hint = "whoever nginx.conf lets in may use it"
    try:
        with contextlib.ExitStack() as links:
            answer = Client(want.listen, want.server_name, connect_tcp, links).ask(Request("/ca.crt"))
        if answer.status == http.client.OK and answer.body.strip() == ca.strip():
            return None
        said = f"is answered by HTTP {answer.status}"
        if b"SSL certificate" in answer.body:
            hint = "clients need certificates of their own there: put client.cert and client.key beside ca.crt"
    except (OSError, http.client.HTTPException, ValueError) as error:
        said = f"can't be fetched ({error})"
        hint = "see what keeps it from that: secure-registry status"
    return Problem("/ca.crt", f"{said} on this host, so the CA itself stands in what is printed", hint)
