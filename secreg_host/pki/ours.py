"""Which certificate, key and CA are of this program's making: what may be replaced, and what to do about the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from secreg_host.base import reading
from secreg_host.base.errors import BadInput, Problem, SecregError
from secreg_host.base.paths import Paths
from secreg_host.base.snapshot import Snapshot
from secreg_host.pki import certs, chains, pairs
from secreg_host.pki.certs import KeyPair
from secreg_host.pki.chains import Cert

GENCERT = "secure-registry gencert"


@dataclass(frozen=True)
class Authority:
    """The host's own CA. pair: None when it can't sign; lost: why, though clients trust it (None: there never was one,
    or it can)."""

    pair: KeyPair | None
    lost: Problem | None = None


def kept_ca(paths: Paths) -> Path:
    """The program's own copy of the CA's certificate, beside the CA's key."""
    return paths.state / paths.ca_crt.name


def authority(disk: Snapshot) -> Authority:
    """The host's CA: its key, and the certificate that belongs to it, in state/ or, brought back from a backup, /etc.

    A CA certificate of the administrator's in /etc, whose key never was here, is not the host's CA.
    """
    paths = disk.paths
    try:
        kept, shown = disk.read(kept_ca(paths), reading.PEM), disk.content(paths.ca_crt)
        key = disk.read(paths.ca_key, reading.PEM)
    except SecregError as error:
        return Authority(None, Problem(str(paths.ca_key), error.message, error.hint))
    ours = kept is not None or (shown is not None and is_our_ca(disk, shown))
    if key is None and not ours:
        return Authority(None)
    flaw = "it is not there" if key is None else ""
    for crt in (kept, shown) if key is not None else ():
        if crt is not None and not (flaw := _flaw(crt, key or b"", str(paths.ca_key))):
            return Authority(KeyPair(chains.read(crt, "")[0].pem, key or b""))
    said = f"the key of the host's CA is lost ({flaw or 'its certificate is not there'}): no certificate can be renewed"
    hint = (
        f"bring {paths.ca_key} back from a backup; or make a new CA, which every client must then trust anew: "
        f"{GENCERT} --new-ca"
    )
    return Authority(None, Problem(str(paths.ca_key), said, hint))


def _flaw(crt: bytes, key: bytes, key_where: str) -> str:
    """Why `key` can't sign in the name of the CA `crt` (both PEM); "": it can."""
    try:
        signer = pairs.private_key(key, key_where)
    except BadInput as error:
        return error.problems[0].what
    if not (found := chains.peek(crt)):
        return "the certificate beside it is damaged"
    return (
        "" if found[0].key == chains.public_bytes(signer.public_key()) else "it does not belong to the CA's certificate"
    )


def is_our_ca(disk: Snapshot, crt: bytes) -> bool:
    """Whether the CA certificate `crt`, found in /etc, is the host's own: the one in state/ or, where that is lost, one
    that this program made, be it on the host that this one was restored from."""
    kept = disk.read(kept_ca(disk.paths), reading.PEM)
    if disk.ledger.wrote(disk.paths.ca_crt, crt):
        return True
    found = chains.peek(crt)
    return crt == kept if kept is not None else bool(found) and certs.is_made_here(found[0])


def anchors(disk: Snapshot) -> tuple[Cert, ...]:
    """The CAs that clients can be told to trust: those in ca.crt in /etc, and the host's own in state/."""
    found: list[Cert] = []
    for path in (disk.paths.ca_crt, kept_ca(disk.paths)):
        try:
            found += chains.peek(disk.content(path))
        except SecregError:
            continue
    return tuple(found)


def anchor(chain: Sequence[Cert], known: Sequence[Cert]) -> Cert | None:
    """What clients need so that they trust a server that sends `chain`: the highest of the CAs that are `known`, or the
    root that is sent; None: that is not known here, as of a certificate that is publicly trusted."""
    way = chains.path(chain, known)
    return way.anchor or (way.sent[-1] if way.sent[-1].is_root else None)


def is_our_certificate(disk: Snapshot, crt: bytes) -> bool:
    """Whether the host's own CA issued the first certificate of `crt`, wherever the file came from."""
    found = chains.peek(crt)
    own = disk.read(kept_ca(disk.paths), reading.PEM)
    shown = disk.content(disk.paths.ca_crt)
    cas = [own, shown if shown is not None and is_our_ca(disk, shown) else None]
    return bool(found) and any(ca and found[0].is_signed_by(ca[0]) for ca in map(chains.peek, cas))


def renewed_at(leaf: Cert) -> datetime:
    """When a certificate of ours is issued anew: when two thirds of its life are over."""
    begins, ends = leaf.validity
    return begins + (ends - begins) * 2 / 3


def kept_key(disk: Snapshot) -> bytes | None:
    """The key of a certificate of ours that we did not make, or don't remember: it stays when that is issued anew."""
    paths = disk.paths
    crt, key = disk.content(paths.crt), disk.content(paths.key)
    if crt is None or key is None or disk.ledger.wrote(paths.key, key) or not is_our_certificate(disk, crt):
        return None
    return key if is_pair(disk) else None


def is_pair(disk: Snapshot) -> bool:
    """Whether the certificate and the key in /etc can be read, and belong together."""
    crt, key = (disk.peek(path, reading.PEM) for path in (disk.paths.crt, disk.paths.key))
    return bool(pairs.read(KeyPair(crt, key), "", "").chain)


def brought(disk: Snapshot, targets: tuple[Path, ...], command: str) -> tuple[Problem, ...]:
    """What stands at `targets` (of the certificate, its key, ca.crt) and is not of this program's making; how it is
    renewed, and how `command` would replace it. A key is only ours if it is remembered. Raises SecregError when one
    can't be read."""
    found = []
    for path in targets:
        data = disk.content(path)
        link = f"a link to {path.readlink()}, " if path.is_symlink() else ""
        if data is None and not link:
            continue
        if data is not None and _is_ours(disk, path, data):
            continue
        said = f"is {link}not of this program's making{_issuer(data)}" if data else f"is {link}where no file is"
        hint = f"{renewal(disk, path)}; or keep it beside (.bak) and let another one serve: {command} --force"
        found.append(Problem(str(path), said, hint))
    return tuple(found)


def _is_ours(disk: Snapshot, path: Path, data: bytes) -> bool:
    if path == disk.paths.key:
        return disk.ledger.wrote(path, data)
    return is_our_certificate(disk, data) if path == disk.paths.crt else is_our_ca(disk, data)


def _issuer(data: bytes | None) -> str:
    found = chains.peek(data)
    return f", issued by {found[0].issuer}" if found else ""


def renewal(disk: Snapshot, path: Path) -> str:
    """How the certificate or the key at `path` is renewed: gencert is for what is ours."""
    try:
        data = disk.content(path)
        if data is not None and _is_ours(disk, path, data):
            return GENCERT
    except SecregError:
        pass
    where = f" ({path.readlink()})" if path.is_symlink() else ""
    return f"renew it where it comes from{where}"


def warnings(disk: Snapshot, crt: bytes) -> tuple[Problem, ...]:
    """What should be known at once of what can't be renewed: the CA that signed `crt`, which serves, lost its key."""
    lost = authority(disk).lost
    return (lost,) if lost is not None and is_our_certificate(disk, crt) else ()
