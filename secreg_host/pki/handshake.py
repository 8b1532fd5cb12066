"""A TLS handshake as a client would do it: which certificates it trusts, and what it says."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from secreg_host.base import utf8

SECONDS = 5.0
OUT_OF_TIME = "the certificate is not valid at this time (clock, or expiry), but trusted otherwise"
_TIMES = (9, 10)
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL, reached only after the chain was built."""


@dataclass(frozen=True)
class Rule:
    """What a client trusts at an endpoint: anything (insecure), or the system's CAs and those in `cas` (PEM)."""

    insecure: bool = False
    cas: tuple[bytes, ...] = ()


def shake(host: str, port: int, rule: Rule, reach: str = "") -> str:
    """ "" when a client with `rule` accepts what `host` serves, else why not. reach: another address to go to."""
    try:
        context = ssl.create_default_context()
        context.hostname_checks_common_name = False  # the clients are written in Go, which looks at the SAN only,
        context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN  # and takes any CA for one
        for pem in rule.cas:
            context.load_verify_locations(cadata=utf8.shown(pem))
        if rule.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        with socket.create_connection((reach or host, port), SECONDS) as link:
            with context.wrap_socket(link, server_hostname=host):
                return ""
    except ssl.SSLCertVerificationError as error:
        return OUT_OF_TIME if error.verify_code in _TIMES else error.verify_message
    except socket.gaierror as error:
        return f"this host does not know the name ({error.strerror})"
    except (OSError, ValueError) as error:
        return f"no TLS: {error}"
