"""A TLS handshake as a client would do it: which certificates it trusts, and what it says."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import urllib.parse
from dataclasses import dataclass

from secreg_host.base import names, utf8

SECONDS = 5.0
PROXY_PORTS = {"http": 80, "https": 443}
"""What a proxy is asked by, and where it listens unless its URL says so."""

OUT_OF_TIME = "the certificate is not valid at this time (clock, or expiry), but trusted otherwise"
_TIMES = (9, 10)
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL, reached only after the chain was built."""


@dataclass(frozen=True)
class Rule:
    """What a client trusts at an endpoint: anything (insecure), or the system's CAs and those in `cas` (PEM). proxy:
    the URL of the proxy through which it goes there; refuses: why it does not go there at all."""

    insecure: bool = False
    cas: tuple[bytes, ...] = ()
    proxy: str = ""
    refuses: str = ""


def shake(host: str, port: int, rule: Rule, reach: str = "") -> str:
    """ "" when a client with `rule` accepts what `host` serves, else why not. reach: another address to go to."""
    if rule.refuses:
        return rule.refuses
    try:
        context = ssl.create_default_context()
        context.hostname_checks_common_name = False  # the clients are written in Go, which looks at the SAN only,
        context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN  # and takes any CA for one
        for pem in rule.cas:
            context.load_verify_locations(cadata=utf8.shown(pem))
        if rule.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        with _connected(reach or host, port, rule.proxy) as link:
            with context.wrap_socket(link, server_hostname=host):
                return ""
    except ssl.SSLCertVerificationError as error:
        return OUT_OF_TIME if error.verify_code in _TIMES else error.verify_message
    except socket.gaierror as error:
        return f"this host does not know the name ({error.strerror})"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"no TLS: {error}"


def _connected(host: str, port: int, proxy: str) -> socket.socket:
    """A connection to `host`, through the `proxy` at this URL, if there is one (RFC 9110, 9.3.6). Raises OSError,
    ValueError when the URL is none, and HTTPException for what is no answer."""
    if not proxy:
        return socket.create_connection((host, port), SECONDS)
    url = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if url.scheme not in PROXY_PORTS or not url.hostname:
        raise ValueError("its proxy is none of http:// or https://, so that can't be tried")
    there = (url.hostname, url.port or PROXY_PORTS[url.scheme])
    try:
        link = socket.create_connection(there, SECONDS)
        if url.scheme == "https":
            link = ssl.create_default_context().wrap_socket(link, server_hostname=url.hostname)
        _tunnel(link, names.place(host, port), url)
    except (OSError, http.client.HTTPException) as error:
        raise OSError(f"the proxy {names.place(*there)}: {error}") from error
    return link


def _tunnel(link: socket.socket, place: str, url: urllib.parse.SplitResult) -> None:
    """Ask the proxy at the other end of `link`, which `url` leads to, for a way to `place`."""
    asked = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if url.username is not None:
        given = urllib.parse.unquote(f"{url.username}:{url.password or ''}")
        asked.append(f"Proxy-Authorization: Basic {utf8.shown(base64.b64encode(given.encode()))}")
    link.sendall("".join(f"{line}\r\n" for line in (*asked, "")).encode())
    answer = http.client.HTTPResponse(link, method="CONNECT")
    answer.begin()
    if answer.status // 100 != 2:
        raise OSError(f"answers {answer.status} {answer.reason}")
