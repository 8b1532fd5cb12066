"""The host's own certificate authority at work: gencert, and what a first setup issues."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from secreg_host.base import beside, files, names, reading
from secreg_host.base.errors import BadInput, Problem, bad_input
from secreg_host.base.paths import Paths
from secreg_host.base.records import Write
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import opensslcnf
from secreg_host.formats.opensslcnf import Request
from secreg_host.pki import certs, chains, clientrules, limits, ours
from secreg_host.pki.certs import KeyPair
from secreg_host.wanted import defaults, unserved
from secreg_host.wanted import settings as settings_module
from secreg_host.wanted.settings import Settings

log = logging.getLogger(__name__)

STRONG = "write: default_bits = 4096; or set KEY_TYPE=P-256 in secure-registry.conf"


@dataclass(frozen=True)
class Order:
    """What is asked for. new_ca: by a CA that is made first; force: also in the place of what is not ours."""

    new_ca: bool = False
    force: bool = False

    @property
    def command(self) -> str:
        """The command that asks for it."""
        return f"{ours.GENCERT} --new-ca" if self.new_ca else ours.GENCERT


@dataclass(frozen=True)
class Issue:
    """What was written, and where what stood there and was not ours is kept."""

    written: tuple[Write, ...]
    kept: tuple[Path, ...] = ()


def restore_ca(disk: Snapshot) -> list[Write]:
    """Put ca.crt back into /etc when it is missing there; the CA itself is in state/ (its key never leaves it)."""
    kept = disk.read(ours.kept_ca(disk.paths), reading.PEM)
    if kept is None or os.path.lexists(disk.paths.ca_crt):
        return []
    writes = [Write(disk.paths.ca_crt, kept)]
    disk.write(writes)
    return writes


def outside(disk: Snapshot, hosts: Sequence[str], addresses: Sequence[str]) -> tuple[str, ...]:
    """Which of `hosts` and `addresses` the host's CA, if there is one, may not sign."""
    ca = ours.authority(disk).pair
    if ca is None:
        return ()
    (root,) = chains.read(ca.crt, str(disk.paths.ca_crt))
    return limits.outside(root, hosts, filter(None, map(names.address, addresses)))


def differs(disk: Snapshot, settings: Settings) -> tuple[Problem, ...]:
    """Warnings when the host's CA, which stays as it was made, is for less than CA_DOMAIN says, or for more than that
    and the names in openssl.cnf."""
    ca, paths = ours.authority(disk).pair, disk.paths
    if ca is None:
        return ()
    (root,), domains = chains.read(ca.crt, str(paths.ca_crt)), settings.ca_domains
    said = []
    if missing := limits.outside(root, domains, ()):
        said.append(f"the host's CA may not sign names below {', '.join(missing)}: it was made before that was set")
    try:
        request = opensslcnf.parse(disk.peek(paths.openssl_cnf, reading.SETTINGS), str(paths.openssl_cnf))
        if wider := limits.beyond(root, (*request.dns_names, *domains)):
            said.append(f"the host's CA may sign any name below {', '.join(wider)}, which is not set")
    except BadInput:
        pass  # due() tells
    if not said:
        return ()
    where, hint = settings_module.place_of(paths.conf, "CA_DOMAIN"), "set CA_DOMAIN to what it may sign; or, for one"
    hint = f"{hint} that follows, which every client must then trust anew: {ours.GENCERT} --new-ca"
    return tuple(Problem(where, f"CA_DOMAIN: {one}", hint) for one in said)


def due(disk: Snapshot, now: datetime) -> bool:
    """Whether the certificate must be issued anew that the host's own CA issued, wherever it came from: two thirds of
    its life are over, or openssl.cnf names other names or addresses. Never for one of another CA. Raises BadInput when
    openssl.cnf is bad, whoever issued the certificate: the next gencert will need it; and when it is missing, if we
    issued it."""
    paths = disk.paths
    cnf = disk.read(paths.openssl_cnf, reading.SETTINGS)
    request = opensslcnf.parse(cnf, str(paths.openssl_cnf)) if cnf is not None else None
    ca, found = ours.authority(disk).pair, chains.peek(disk.peek(paths.crt, reading.PEM))
    if ca is None or not found or not found[0].is_signed_by(chains.read(ca.crt, "")[0]):
        return False
    if request is None:
        what = "does not exist, so the certificate can't be renewed when its time comes"
        raise bad_input(str(paths.openssl_cnf), what, "bring it back; or, for a new one: secure-registry setup")
    leaf = found[0]
    names_differ = set(leaf.names) != set(request.dns_names) or set(leaf.addresses) != set(request.addresses)
    renewal = ours.renewed_at(leaf)
    log.debug("certificate: names %s, to be renewed at %s", "differ" if names_differ else "are right", renewal)
    return (names_differ or now >= renewal) and ours.is_pair(disk)


def outgrown(disk: Snapshot, settings: Settings) -> bool:
    """Whether the host's CA may not sign what openssl.cnf or CA_DOMAIN names, and is as this program wrote it on this
    host, for a certificate that nobody brought. Raises BadInput when openssl.cnf is bad."""
    paths, ca = disk.paths, ours.authority(disk).pair
    if ca is None or not disk.ledger.untouched(paths.ca_crt, disk.content(paths.ca_crt)):
        return False
    if (crt := disk.content(paths.crt)) is not None and not ours.is_our_certificate(disk, crt):
        return False
    request = opensslcnf.parse(disk.read(paths.openssl_cnf, reading.SETTINGS) or b"", str(paths.openssl_cnf))
    names = (*request.dns_names, *settings.ca_domains)
    return bool(limits.outside(chains.read(ca.crt, "")[0], names, request.addresses))


def check(disk: Snapshot, order: Order) -> None:
    """Raise BadInput, before anything is changed, when the CA's key is lost (and no new CA is asked for), or when what
    would be replaced is not ours (and `order` has no force) or no file at all."""
    paths = disk.paths
    if not order.new_ca and (lost := ours.authority(disk).lost):
        raise BadInput([lost])
    key = paths.key if _theirs(disk, order) is None else None
    targets = tuple(path for path in (paths.crt, key, paths.ca_crt if order.new_ca else None) if path is not None)
    problems = [wrong for path in targets if (wrong := beside.obstacle(path))]
    if not problems and not order.force:
        problems += ours.brought(disk, targets, order.command)
    if problems:
        raise BadInput(problems)


def issue(disk: Snapshot, settings: Settings, facts: defaults.Facts, now: datetime, order: Order) -> Issue:
    """Issue a server certificate as openssl.cnf says, signed by the host's CA, which is made if need be.

    What is written is docker-registry.{crt,key}, with a new CA also ca.crt; a key that we did not make stays. Links are
    replaced. Raises BadInput, with nothing changed, when openssl.cnf is bad or asks for what no client would take, and
    for what `check` finds.
    """
    paths = disk.paths
    check(disk, order)
    cnf = disk.read(paths.openssl_cnf, reading.SETTINGS) or b""
    request = opensslcnf.parse(cnf, str(paths.openssl_cnf))
    writes: list[Write] = []
    ca = None if order.new_ca else ours.authority(disk).pair
    if ca is None:
        ca = certs.make_ca(request.dns_names, request.addresses, now, settings.o, facts.hostname, settings.ca_domains)
        writes += [Write(paths.ca_key, ca.key, files.PRIVATE), Write(ours.kept_ca(paths), ca.crt)]
        if order.new_ca or not os.path.lexists(paths.ca_crt):  # else it is a CA of the administrator's
            writes.append(Write(paths.ca_crt, ca.crt))
    theirs = _theirs(disk, order)
    named = request.named
    if disk.ledger.untouched(paths.openssl_cnf, cnf):  # then it follows the settings
        named = {name: settings_module.place_of(paths.conf, unserved.naming(settings, name)) for name in named}
    pair = _issued(paths, ca, request, settings, facts, now, theirs, named)
    writes += [Write(paths.key, pair.key, files.PRIVATE)] if theirs is None else []
    writes.append(Write(paths.crt, pair.crt))
    kept = _kept(disk, writes, order, now)
    disk.write(writes)
    return Issue(tuple(writes), kept)


def _theirs(disk: Snapshot, order: Order) -> bytes | None:
    """The key that stays."""
    return None if order.force else ours.kept_key(disk)


def _issued(
    paths: Paths,
    ca: KeyPair,
    request: Request,
    settings: Settings,
    facts: defaults.Facts,
    now: datetime,
    key: bytes | None,
    named: Mapping[str, str],
) -> KeyPair:
    """A pair that clients take, with `key` (PEM) or a new one. named: where each name and address comes from. Raises
    BadInput with what of openssl.cnf they would not take."""
    cnf, (root,) = str(paths.openssl_cnf), chains.read(ca.crt, str(paths.ca_crt))
    new_ca = f"make a new CA, which every client must then trust anew: {ours.GENCERT} --new-ca"
    names_at = request.places.get("subjectAltName", cnf)
    if refused := limits.outside(root, request.dns_names, request.addresses):
        hint = f"remove it there, or {new_ca}"
        said = "the host's CA may not sign"
        raise BadInput([Problem(named.get(one, names_at), f"{said} {one}", hint) for one in refused])
    try:
        pair = certs.issue(ca, request, settings.key_type, settings.cert_days, now, key)
    except ValueError as error:
        hint = f"if the host's CA is too old (openssl x509 -noout -dates -in {paths.ca_crt}): {ours.GENCERT} --new-ca"
        raise BadInput([Problem(cnf, f"no certificate can be made of it: {error}", hint)]) from None
    given = bool(settings.server_names or settings.server_ips)
    names = (*defaults.names(settings, facts), *defaults.addresses(settings, facts)) if given else ()
    ours_at = {clientrules.CA: str(paths.ca_crt), clientrules.VALIDITY: str(paths.conf), clientrules.NAMES: names_at}
    where = {**named, **request.places, **ours_at}
    hints = {
        clientrules.CA: f"if this host's clock is right, {new_ca}",
        "default_bits": f"{STRONG}; or, where the key is not of our making: {ours.GENCERT} --force",
    }
    flaws = clientrules.of_issued(chains.read(pair.crt, ""), root, names, now)
    if flaws:
        raise BadInput(
            [
                Problem(
                    where.get(flaw.about, cnf),
                    flaw.what,
                    hints.get(flaw.about, f"write: {flaw.needs}" if flaw.needs else hints[clientrules.CA]),
                )
                for flaw in flaws
            ]
        )
    return pair


def _kept(disk: Snapshot, writes: list[Write], order: Order, now: datetime) -> tuple[Path, ...]:
    """Keep beside what `writes` would replace and is not ours, links, and a CA that a new one follows."""
    paths = disk.paths
    targets = tuple(write.path for write in writes if write.path.parent == paths.etc)
    brought = {Path(problem.where) for problem in ours.brought(disk, targets, order.command)}
    keep = [path for path in targets if path in brought or path.is_symlink()]
    keep += [write.path for write in writes if write.path.parent == paths.state]
    private = (paths.key, paths.ca_key)
    found = (beside.keep(path, now, private=path in private) for path in keep)
    return tuple(path for path in found if path is not None)
