"""Which certificate, key and CA are of this program's making: what may be replaced, and what to do about the rest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from secreg_host.base import bugs, reading
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.paths import Paths
from secreg_host.base.snapshot import Snapshot
from secreg_host.pki import certs, issued
from secreg_host.pki.certs import KeyPair

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
        if crt is not None and not (flaw := issued.authority_flaw(crt, key or b"", str(paths.ca_key))):
            return Authority(KeyPair(certs.first(crt), key or b""))
    said = f"the key of the host's CA is lost ({flaw or 'its certificate is not there'}): no certificate can be renewed"
    hint = (
        f"bring {paths.ca_key} back from a backup; or make a new CA, which every client must then trust anew: "
        f"{GENCERT} --new-ca"
    )
    return Authority(None, Problem(str(paths.ca_key), said, hint))


def is_our_ca(disk: Snapshot, crt: bytes) -> bool:
    """Whether the CA certificate `crt`, found in /etc, is the host's own: the one in state/ or, where that is lost, one
    that this program made, be it on the host that this one was restored from."""
    kept = disk.read(kept_ca(disk.paths), reading.PEM)
    return disk.ledger.wrote(disk.paths.ca_crt, crt) or (certs.is_made_here(crt) if kept is None else crt == kept)


def signer(disk: Snapshot, crt: bytes) -> bytes:
    """The CA certificate that signed `crt`: ca.crt in /etc or, of the host's own CA, in state/; b"": neither did."""
    for path in (disk.paths.ca_crt, kept_ca(disk.paths)):
        try:
            data = disk.content(path)
        except SecregError:
            continue
        if data is not None and certs.is_issued_by(crt, data):
            return certs.first(data)  # nothing else that may be in the file
    return b""


def is_our_certificate(disk: Snapshot, crt: bytes) -> bool:
    """Whether this program issued `crt`: it remembers, or the host's own CA signed it."""
    if disk.ledger.wrote(disk.paths.crt, crt):
        return True
    own = disk.read(kept_ca(disk.paths), reading.PEM)
    if own is not None and certs.is_issued_by(crt, own):
        return True
    shown = disk.content(disk.paths.ca_crt)
    return shown is not None and is_our_ca(disk, shown) and certs.is_issued_by(crt, shown)


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
    try:
        return f", issued by {certs.describe(certs.chain(data or b'')[0]).issuer}"
    except BaseException as error:  # the library has a dozen types of its own
        if not bugs.is_failure(error):
            raise
        return ""


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
