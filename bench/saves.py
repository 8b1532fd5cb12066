"""How long after a save a new certificate is served: `python -m bench.saves ROOT pairs|COUNT SERVICE…`.

Runs in the network of a booted host, but sees its files from outside, below ROOT. `pairs` gives each service a
key; a number saves so many certificates of these keys to each, in turn, and prints the seconds as JSON.
"""

from __future__ import annotations

import hashlib
import json
import socket
import sys
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench import load
from bench.certificate import Key, self_signed

OURS, BARE = "secure-registry", "bare .path unit"
ETC = {OURS: "etc/secure-registry", BARE: "etc/bare"}
PORT = {OURS: 443, BARE: 8443}
LIMIT_SECONDS = 30.0
PAUSE_SECONDS = 0.01
"""Between looks, each of which is a handshake that takes CPU time from what is measured."""

LONGEST_SECONDS = 150.0
"""No more saves than fit into this, on a machine that is slow today."""

CRT, KEY = "docker-registry.crt", "docker-registry.key"


def save(path: Path, data: bytes) -> None:
    """Write beside and rename, as careful programs do."""
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.chmod(0o600)
    new.rename(path)


def save_certificate(root: Path, name: str, key: Key) -> str:
    """Save a new certificate of a key; its fingerprint."""
    crt, _ = self_signed(key)
    save(root / ETC[name] / CRT, crt)
    der = x509.load_pem_x509_certificate(crt).public_bytes(serialization.Encoding.DER)
    return hashlib.sha256(der).hexdigest()


def until_served(name: str, fingerprint: str) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while served(PORT[name]) != fingerprint:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{name}: the new certificate was not served within {LIMIT_SECONDS:.0f} s")
        time.sleep(PAUSE_SECONDS)


def served(port: int) -> str:
    """The fingerprint of the certificate of a new connection; "" if there is none."""
    try:
        with socket.create_connection((load.HOST, port), 5) as plain:
            with load.context().wrap_socket(plain) as link:
                return hashlib.sha256(link.getpeercert(binary_form=True) or b"").hexdigest()
    except OSError:
        return ""


def load_key(path: Path) -> Key:
    found = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(found, ec.EllipticCurvePrivateKey)
    return found


def main(root: Path, what: str, services: list[str]) -> None:
    if what == "pairs":
        for name in services:
            new = ec.generate_private_key(ec.SECP256R1())
            save(root / ETC[name] / KEY, self_signed(new)[1])
            save_certificate(root, name, new)
        return
    keys = {name: load_key(root / ETC[name] / KEY) for name in services}
    found: dict[str, list[float]] = {name: [] for name in services}
    end = time.monotonic() + LONGEST_SECONDS
    for turn in range(int(what) + 1):
        if time.monotonic() > end:
            break
        for name, key in keys.items():
            fingerprint = save_certificate(root, name, key)
            begin = time.perf_counter()
            until_served(name, fingerprint)
            if turn:  # the first one is for caches
                found[name].append(time.perf_counter() - begin)
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
