"""TLS as a client verifies it, by what Go and OpenSSL share: an issuer that it trusts, dates, a name in the SAN."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable

from secreg_host.base import utf8

UNKNOWN_ISSUER = (2, 18, 19, 20, 21)
"""X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT and its like (X509_STORE_CTX_get_error(3)): no anchor is known."""


def wrong(name: str, connect: Callable[[], socket.socket], cas: tuple[bytes, ...]) -> str:
    """Why a client refuses for `name` what is served where `connect` leads; "": it does not.

    It has `cas` (PEM), or the system's where there are none. Where those don't know the issuer, only the name and the
    dates are judged (X509_V_FLAG_PARTIAL_CHAIN, X509_VERIFY_PARAM_set_flags(3)).
    """
    try:
        context = ssl.create_default_context(cadata="\n".join(map(utf8.shown, cas)) or None)
        context.hostname_checks_common_name = False
        said, unknown = _shaken(context, name, connect)
        if not unknown:
            return said
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.hostname_checks_common_name = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=_shown(name, connect))
        return _shaken(context, name, connect)[0]
    except (OSError, ValueError) as error:
        return f"no TLS: {error}"


def _shaken(context: ssl.SSLContext, name: str, connect: Callable[[], socket.socket]) -> tuple[str, bool]:
    """Why the handshake fails ("": it does not), and whether it is that the issuer is unknown."""
    try:
        with contextlib.closing(connect()) as link, context.wrap_socket(link, server_hostname=name):
            return "", False
    except ssl.SSLCertVerificationError as error:
        return error.verify_message, error.verify_code in UNKNOWN_ISSUER


def _shown(name: str, connect: Callable[[], socket.socket]) -> bytes:
    """The certificate (DER) that is shown to whoever asks for `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with contextlib.closing(connect()) as link, context.wrap_socket(link, server_hostname=name) as secure:
        return secure.getpeercert(binary_form=True) or b""
