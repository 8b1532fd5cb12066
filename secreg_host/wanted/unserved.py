"""Names that were set while the certificate is for none of them: clients would refuse what serves under every one, so
they are held back until there is one for them."""

from __future__ import annotations

from collections.abc import Sequence

from secreg_host.base import reading
from secreg_host.base.errors import BadInput, Problem
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import opensslcnf
from secreg_host.pki import chains, clientrules, limits, ours
from secreg_host.pki.chains import Cert
from secreg_host.wanted import settings as settings_module
from secreg_host.wanted.settings import Settings


def problems(disk: Snapshot, settings: Settings, known: Settings) -> tuple[Problem, ...]:
    """Why the names and addresses of `settings`, where they are not those of the `known` settings that serve, can't
    count: neither the certificate in /etc is for one of them, nor the one that the host's CA issues in its place. None
    where it was for none of those that serve either, or can't be read, which its own part tells."""
    asked, before = named(settings), named(known)
    chain = chains.peek(disk.peek(disk.paths.crt, reading.PEM))
    if not asked or set(asked) == set(before) or not chain:
        return ()
    leaf = chain[0]
    if any(clientrules.covers(leaf, name) for name in asked):
        return ()
    if before and not any(clientrules.covers(leaf, name) for name in before):
        return ()
    ca = ours.authority(disk).pair
    (signer,) = chains.read(ca.crt, "") if ca is not None else (None,)
    if signer is None or not leaf.is_signed_by(signer):
        hint = f"bring one for them, {disk.paths.crt}: then they count by themselves; or correct the names"
    elif disk.ledger.untouched(disk.paths.openssl_cnf, disk.peek(disk.paths.openssl_cnf, reading.SETTINGS)):
        return _refused(disk, settings, asked, signer)  # it follows the settings
    elif _is_to_come(disk, asked):
        return ()
    else:
        hint = f"write them into [alt_names] of {disk.paths.openssl_cnf}; or correct the names"
    what = f"the certificate is for none of {', '.join(asked)}, so that clients would refuse it"
    return (Problem(settings_module.place_of(disk.paths.conf, naming(settings, asked[0])), what, hint),)


def named(settings: Settings) -> tuple[str, ...]:
    """Names and addresses that somebody set, by which clients ask."""
    return (*settings.server_names, *settings.server_ips)


def naming(settings: Settings, name: str) -> str:
    """Which setting names the host name or address `name`."""
    return "SERVER_IP" if name in settings.server_ips and name not in settings.server_names else "SERVER_NAME"


def _refused(disk: Snapshot, settings: Settings, asked: Sequence[str], ca: Cert) -> tuple[Problem, ...]:
    """What of `asked` the host's CA may not sign: then it issues nothing."""
    hint = f"correct it, or make a new CA, which every client must then trust anew: {ours.GENCERT} --new-ca"
    conf = disk.paths.conf
    return tuple(
        Problem(settings_module.place_of(conf, naming(settings, name)), f"the host's CA may not sign {name}", hint)
        for name in limits.outside_named(ca, asked)
    )


def _is_to_come(disk: Snapshot, asked: Sequence[str]) -> bool:
    """Whether openssl.cnf, which was edited, names one of `asked`."""
    path = disk.paths.openssl_cnf
    try:
        request = opensslcnf.parse(disk.peek(path, reading.SETTINGS), str(path))
    except BadInput:  # its own part tells
        return False
    return any(clientrules.matches(name, request.dns_names, request.addresses) for name in asked)
