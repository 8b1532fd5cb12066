"""Files that nginx.conf names and nginx can't use as what they are to be: by which line, and what must be in them.

Source: ngx_http_ssl_module, ngx_http_proxy_module, and what ngx_event_openssl.c says of each.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from secreg_host.apply import blame
from secreg_host.wanted.parts.nginx import NginxPart

SEE = "what it is: openssl x509 -noout -text -in FILE (a key: openssl pkey)"
KEY = f"name the key of that certificate, in PEM form, without a password; {SEE}"
CAS = f"name a file with certificates of CAs, in PEM form; {SEE}"


@dataclass(frozen=True)
class Kind:
    """What nginx says of a file that does not do, with its path; how the names of directives end that have one of this
    kind; and what helps."""

    said: re.Pattern[str]
    ends: tuple[str, ...]
    hint: str


def _kind(said: str, *ends: str, hint: str) -> Kind:
    return Kind(re.compile(said.replace("PATH", r'"(?P<path>/[^"]+)"')), ends, hint)


KINDS = (
    _kind(r"cannot load certificate key PATH", "ssl_certificate_key", hint=KEY),
    _kind(r"SSL_CTX_use_PrivateKey\(PATH", "ssl_certificate_key", hint=KEY),
    _kind(
        r"(?:cannot load certificate |SSL_CTX_use_certificate\()PATH",
        "ssl_certificate",
        hint=f"name a certificate, in PEM form, its issuers behind it; {SEE}",
    ),
    _kind(r"SSL_\w+\(PATH", "ssl_client_certificate", "ssl_trusted_certificate", hint=CAS),
    _kind(
        r"X509_\w+\(PATH",
        "ssl_crl",
        hint="name a list of revoked certificates, in PEM form; what it is: openssl crl -noout -text -in FILE",
    ),
    _kind(
        r"(?:PEM_\w*DHparams|BIO_new_file)\(PATH",
        "ssl_dhparam",
        hint="name a file with DH parameters, or leave the line out; they are made by: openssl dhparam -out FILE 2048",
    ),
    _kind(
        r"^PATH must be 48 or 80 bytes",
        "ssl_session_ticket_key",
        hint="name a file of 80 random bytes; they are made by: openssl rand -out FILE 80",
    ),
    _kind(
        r"d2i_OCSP_RESPONSE_bio\(PATH",
        "ssl_stapling_file",
        hint="name an answer of OCSP, in DER form; what it is: openssl ocsp -text -respin FILE",
    ),
)


def blamed(nginx: NginxPart, text: str, pair: Collection[str]) -> tuple[str, str, str] | None:
    """Where the line stands that names the file of which nginx says `text`, its directive, and what helps; None: that
    is said of no file that a line names, or of the host's own `pair`. Paths in `text` are those of /etc."""
    etc = Path(nginx.conf).parent
    for kind in KINDS:
        if not (found := kind.said.search(text)) or found["path"] in pair:
            continue
        for line in blame.lines(nginx):
            directive = line.directive
            if directive.name.endswith(kind.ends) and Path(found["path"]) in [etc / word for word in directive.args]:
                return line.where, directive.name, kind.hint
    return None
