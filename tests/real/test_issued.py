"""The verdict on what is issued is that of clients: openssl-verify(1), and a handshake by Python's ssl."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from secreg_host.formats import opensslcnf
from secreg_host.pki import certs
from secreg_host.pki.certs import KeyPair
from tests.unit.pki.test_certs import handshake
from tests.unit.pki.test_clientrules import BAD, CA, GOOD, NAME, NOW, Leaf, abouts, trusted

STRICTER = {
    "basicConstraints": "OpenSSL takes a CA for a server; Firefox does not, and whoever gets its key could sign",
    "keyUsage": "OpenSSL takes either bit; RFC 8446 (4.4.2.2) and GnuTLS, NSS and Chrome with it do not",
}
"""Where we ask for more than OpenSSL does."""


def verify(pair: KeyPair, ca: bytes, folder: Path, *name: str) -> str:
    """What openssl-verify(1), at its strictest, has against `pair` as a TLS server's; "": nothing."""
    (folder / "ca").write_bytes(ca)
    (folder / "crt").write_bytes(pair.crt)
    argv = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", *name, "-CAfile", "ca", "crt"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


def name_of(leaf: Leaf) -> tuple[str, str]:
    return ("-verify_hostname", leaf.names[0]) if leaf.names else ("-verify_ip", "10.0.0.1")


@pytest.mark.parametrize("case", GOOD)
def test_what_we_take_clients_take(case: str, tmp_path: Path) -> None:
    leaf = GOOD[case]
    assert verify(leaf.pair(), CA.crt, tmp_path, *name_of(leaf)) == ""
    handshake(CA.crt, leaf.pair(), NAME, tmp_path)


@pytest.mark.parametrize("case", sorted(set(BAD) - set(STRICTER)))
def test_what_we_refuse_clients_refuse(case: str, tmp_path: Path) -> None:
    leaf = BAD[case]
    if not verify(leaf.pair(), trusted(leaf).crt, tmp_path, *name_of(leaf)):
        with pytest.raises(ssl.SSLError):
            handshake(trusted(leaf).crt, leaf.pair(), leaf.names[0], tmp_path)


@pytest.mark.parametrize("key_type", ["P-256", "RSA-4096"])
@pytest.mark.parametrize("subject", [(("CN", NAME),), ()])
def test_what_is_issued_passes_the_strictest(
    key_type: str, subject: tuple[tuple[str, str], ...], tmp_path: Path
) -> None:
    """Python 3.13 verifies with VERIFY_X509_STRICT by default; an empty subject wants the names critical."""
    request = replace(opensslcnf.parse(f"[req]\n[alt_names]\nDNS.1 = {NAME}\n".encode(), "f"), subject=subject)
    pair = certs.issue(CA, request, key_type, 90, NOW)
    assert abouts(pair, CA, NAME) == ()
    assert verify(pair, CA.crt, tmp_path, "-verify_hostname", NAME) == ""
    handshake(CA.crt, pair, NAME, tmp_path)
