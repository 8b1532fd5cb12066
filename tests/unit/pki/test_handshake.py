"""What a client says of a certificate: a real handshake, without a network."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from secreg_host.formats import opensslcnf
from secreg_host.pki import certs, handshake
from secreg_host.pki.certs import KeyPair
from secreg_host.pki.handshake import Rule

NOW = datetime.now(UTC)
NAME = "registry.example.org"
CNF = f"""
[req]
distinguished_name = dn
x509_extensions = ext
prompt = no
[dn]
CN = {NAME}
[ext]
subjectAltName = DNS:{NAME}
"""


def authority() -> KeyPair:
    return certs.make_ca((NAME,), (), NOW - timedelta(days=30), "Void", "host")


def issued(ca: KeyPair, *, days: int = 90) -> KeyPair:
    return certs.issue(ca, opensslcnf.parse(CNF.encode(), "f"), "P-256", days, NOW - timedelta(days=20))


@pytest.mark.parametrize(
    ("days", "name", "known", "said"),
    [
        (90, NAME, True, ""),
        (90, NAME, False, ""),
        (90, "evil.example", True, "Hostname mismatch"),
        (90, "evil.example", False, "Hostname mismatch"),
        (10, NAME, True, "certificate has expired"),
        (10, NAME, False, "certificate has expired"),
    ],
)
def test_a_client_looks_at_issuer_dates_and_names(days: int, name: str, known: bool, said: str, tmp_path: Path) -> None:
    """Of an issuer that is not known here only the rest can be judged: it may be a company's."""
    ca, other = authority(), authority()
    pair = issued(ca, days=days)
    (tmp_path / "crt").write_bytes(pair.crt)
    (tmp_path / "key").write_bytes(pair.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "crt", tmp_path / "key")

    def serve(link: socket.socket) -> None:
        try:
            server.wrap_socket(link, server_side=True).close()
        except OSError:
            link.close()

    def connect() -> socket.socket:
        ours, theirs = socket.socketpair()
        threading.Thread(target=serve, args=(theirs,), daemon=True).start()
        return ours

    wrong = handshake.wrong(name, connect, Rule(cas=((ca if known else other).crt,)))
    assert wrong.startswith(said) and bool(wrong) is bool(said)


def test_no_tls_is_told() -> None:
    def connect() -> socket.socket:
        raise ConnectionRefusedError("refused")

    assert handshake.wrong(NAME, connect, Rule()) == "no TLS: refused"
