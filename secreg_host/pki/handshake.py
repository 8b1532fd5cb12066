"""A TLS handshake as a client would do it: which certificates it trusts, what it looks at, and what it says."""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import ssl
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from secreg_host.base import names, utf8

SECONDS = 5.0
PROXY_PORTS = {"http": 80, "https": 443}
"""What a proxy is asked by, and where it listens unless its URL says so."""

OUT_OF_TIME = "the certificate is not valid at this time (clock, or expiry), but trusted otherwise"
_TIMES = (9, 10)
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED (X509_STORE_CTX_get_error(3)), reached only after the
chain was built."""

_UNKNOWN_ISSUER = (2, 18, 19, 20, 21)
"""X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT and its like: no anchor is known."""


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
    found = _shaken(host, lambda: _connected(reach or host, port, rule.proxy), rule)
    return OUT_OF_TIME if found.code in _TIMES else found.said


def wrong(name: str, connect: Callable[[], socket.socket], rule: Rule) -> str:
    """Why a client with `rule` refuses for `name` what is served where `connect` leads; "": it does not. Of an issuer
    that it does not know, only the name and the dates are judged: clients elsewhere may know it."""
    found = _shaken(name, connect, rule)
    if found.code in _UNKNOWN_ISSUER:
        shown = _shaken(name, connect, Rule(insecure=True)).shown
        found = _shaken(name, connect, Rule(cas=(ssl.DER_cert_to_PEM_cert(shown).encode(),)))
    return found.said


class _Outcome(NamedTuple):
    """Why a handshake failed ("": it did not), by which error of X509_STORE_CTX_get_error(3), and the certificate (DER)
    that was shown."""

    said: str
    code: int = 0
    shown: bytes = b""


def _shaken(name: str, connect: Callable[[], socket.socket], rule: Rule) -> _Outcome:
    try:
        context = _context(rule)
        with contextlib.closing(connect()) as link, context.wrap_socket(link, server_hostname=name) as secure:
            return _Outcome("", 0, secure.getpeercert(binary_form=True) or b"")
    except ssl.SSLCertVerificationError as error:
        return _Outcome(error.verify_message, error.verify_code)
    except socket.gaierror as error:
        return _Outcome(f"this host does not know the name ({error.strerror})")
    except (OSError, ValueError, http.client.HTTPException) as error:
        return _Outcome(f"no TLS: {error}")


def _context(rule: Rule) -> ssl.SSLContext:
    """What `rule` is for OpenSSL. The clients are written in Go, which looks at the SAN only, and takes any CA for an
    anchor (X509_V_FLAG_PARTIAL_CHAIN, X509_VERIFY_PARAM_set_flags(3)). Raises OSError or ValueError for a CA that is
    none."""
    context = ssl.create_default_context()
    context.hostname_checks_common_name = False
    context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN
    for pem in rule.cas:
        context.load_verify_locations(cadata=utf8.shown(pem))
    if rule.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


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
