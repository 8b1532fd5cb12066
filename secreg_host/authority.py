"""The host's own certificate authority at work: gencert, and what a first setup issues."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from secreg_host import certs, defaults, files, opensslcnf, reading, records
from secreg_host.errors import BadInput, Problem
from secreg_host.host import Host
from secreg_host.records import Ledger, Write
from secreg_host.settings import Settings


def restore_ca(host: Host) -> list[Write]:
    """Put ca.crt back into /etc when it is missing there; the CA itself is in state/ (its key never leaves it)."""
    kept = files.read_or_none(_kept_ca(host))
    if kept is None or reading.is_there(host.paths.ca_crt):
        return []
    write = Write(host.paths.ca_crt, kept)
    Ledger(host.paths).record([write])
    files.write(write.path, write.data, write.mode)
    return [write]


def due(host: Host, now: datetime) -> bool:
    """Whether the certificate that we issued must be issued anew: two thirds of its life are over, or openssl.cnf names
    other names or addresses. Never for one that the administrator brought. Raises BadInput when openssl.cnf is bad,
    whoever issued the certificate: the next gencert will need it."""
    paths = host.paths
    cnf = reading.read(paths.openssl_cnf, reading.SETTINGS)
    request = opensslcnf.parse(cnf.decode(errors="replace"), str(paths.openssl_cnf)) if cnf is not None else None
    crt = reading.peek(paths.crt, reading.PEM)
    ca = _load_ca(host)
    if request is None or ca is None:
        return False
    if not Ledger(paths).wrote(paths.crt, crt) or not certs.is_issued_by(crt, ca.crt):
        return False
    found = certs.describe(certs.chain(crt)[0])
    names_differ = set(found.names) != set(request.dns_names) or set(found.addresses) != set(request.addresses)
    return names_differ or now > found.not_before + (found.not_after - found.not_before) * 2 / 3


def issue(host: Host, settings: Settings, facts: defaults.Facts, now: datetime, new_ca: bool) -> list[Write]:
    """Issue a server certificate as openssl.cnf says, signed by the host's CA, which is made if need be.

    Returns what was written: docker-registry.{crt,key}, with a new CA also ca.crt. Raises BadInput when openssl.cnf
    is bad, or asks for names that the CA may not sign.
    """
    paths = host.paths
    text = (reading.read(paths.openssl_cnf, reading.SETTINGS) or b"").decode(errors="replace")
    request = opensslcnf.parse(text, str(paths.openssl_cnf))
    writes: list[Write] = []
    ca = None if new_ca else _load_ca(host)
    if ca is None:
        ca = certs.make_ca(request.dns_names, request.addresses, now, settings.o, facts.hostname)
        writes += [
            Write(paths.ca_key, ca.key, files.PRIVATE),
            Write(_kept_ca(host), ca.crt),
            Write(paths.ca_crt, ca.crt),
        ]
    elif outside := certs.outside(ca.crt, request.dns_names, request.addresses):
        raise BadInput(
            [
                Problem(
                    str(paths.openssl_cnf),
                    f"the host's CA may not sign {', '.join(outside)}",
                    "remove it there, or make a new CA, which every client must then trust anew: "
                    "secure-registry gencert --new-ca",
                )
            ]
        )
    pair = certs.issue(ca, request, settings.key_type, settings.cert_days, now)
    writes += [Write(paths.key, pair.key, files.PRIVATE), Write(paths.crt, pair.crt)]
    Ledger(paths).record([write for write in writes if write.path.parent == paths.etc])
    records.write_together(paths, writes)
    return writes


def _kept_ca(host: Host) -> Path:
    return host.paths.state / "ca.crt"


def _load_ca(host: Host) -> certs.KeyPair | None:
    crt, key = files.read_or_none(_kept_ca(host)), files.read_or_none(host.paths.ca_key)
    return certs.KeyPair(crt, key) if crt and key else None
