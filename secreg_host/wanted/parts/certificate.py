"""The part of docker-registry.crt and docker-registry.key: the pair that the front serves with."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from secreg_host.base import names, reading
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.paths import Paths
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats.nginxconf import GENERATED
from secreg_host.pki import chains, clientrules, limits, ours, pairs
from secreg_host.pki.certs import KeyPair
from secreg_host.pki.chains import Cert
from secreg_host.pki.clientrules import Fact
from secreg_host.wanted.parts.part import Context, FilePart, Reading, required
from secreg_host.wanted.parts.settings import SettingsPart

WARNED = timedelta(days=14)
NEW_CA = f"correct it, or make a new CA, which every client must then trust anew: {ours.GENCERT} --new-ca"
CRT, KEY = "front/docker-registry.crt", "front/docker-registry.key"
CA = f"front/{GENERATED}/ca.crt"
"""The CA by which clients trust it (/ca.crt); absent when that is known to them alone."""

OLD_CA = "front/ca.crt"
"""Where version 0.1 has it. It is the place of what nginx.conf calls ca.crt."""

REFUSE, EXPIRES = "refuse it", "expires on"
"""What is said of a certificate that serves, though some clients can't come, or soon won't."""


@dataclass(frozen=True, kw_only=True)
class CertificatePart(FilePart):
    """The pair. fingerprint: SHA-256 of the certificate, hexadecimal; names: all that it is for, addresses too."""

    NAME = "certificate"

    fingerprint: str
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]

    @property
    def usable_names(self) -> tuple[str, ...]:
        """The names and addresses for which clients can ask."""
        return names.usable(self.names)

    @property
    def ca(self) -> bytes | None:
        """The PEM certificate of the CA by which clients trust it, if that is known here."""
        return self.files.get(CA, self.files.get(OLD_CA))

    @property
    def placed(self) -> CertificatePart:
        """The same part with the CA in its place, also where version 0.1 had read it."""
        return replace(self, files={CA if path == OLD_CA else path: data for path, data in self.files.items()})

    @classmethod
    def restored(cls, files: Mapping[str, bytes], sources: tuple[str, ...], facts: Mapping[str, Any]) -> Self:
        return cls(
            files=files,
            sources=sources,
            fingerprint=facts["fingerprint"],
            not_before=datetime.fromisoformat(facts["not_before"]),
            not_after=datetime.fromisoformat(facts["not_after"]),
            names=tuple(map(str, facts["names"])),
        )

    @classmethod
    def where(cls, paths: Paths) -> Path:
        return paths.crt

    @classmethod
    def read(cls, context: Context) -> Reading[CertificatePart]:
        settings = context.parts[SettingsPart].settings
        asked = (*settings.server_names, *settings.server_ips)
        return read(context.disk, context.now, context.known.get(cls), asked)


def read(
    disk: Snapshot, now: datetime, before: CertificatePart | None, asked: Sequence[str] = ()
) -> Reading[CertificatePart]:
    """The pair docker-registry.{crt,key}; a pair that does not match is waited for, as it may change in two steps.

    before: the part that serves; asked: names and addresses that somebody set, by which clients ask. What clients
    refuse under all of these is held back, unless what serves is no better; the same bytes never are. Raises BadInput.
    """
    paths = disk.paths
    crt, key = (_half(disk, *halves) for halves in ((paths.crt, paths.key), (paths.key, paths.crt)))
    same = before is not None and (before.files[CRT], before.files[KEY]) == (crt, key)
    # the key of what serves is not read again: the library takes its time to check that it is a good one
    found = pairs.Read(chains.peek(crt)) if same else pairs.read(KeyPair(crt, key), str(paths.crt), str(paths.key))
    if not found.chain:
        if before is not None and same:  # an earlier version took it, or another one of the library
            return Reading(before, warnings=ours.warnings(disk, crt))
        return Reading(None, found.problems, waiting=found.mismatch)
    known, leaf = ours.anchors(disk), found.chain[0]
    facts = clientrules.judge(found.chain, known, asked, now)
    worse: tuple[Fact, ...] = ()
    if not same:
        worse = tuple(fact for fact in facts if fact.refused)
        if before is not None and (served := chains.peek(before.files[CRT])):
            worse = clientrules.worse(facts, leaf, clientrules.judge(served, known, asked, now), served[0])
    advice = _Advice(disk, now, [name for name in asked if not clientrules.covers(leaf, name)])
    again = _next(disk, leaf, now)
    if worse:
        return Reading(None, tuple(map(advice.problem, worse)), again=again)
    ca = ours.anchor(found.chain, known)
    part = CertificatePart(
        files={CRT: crt, KEY: key} | ({CA: ca.pem} if ca is not None else {}),
        sources=(str(paths.crt), str(paths.key)),
        fingerprint=leaf.fingerprint,
        not_before=leaf.validity[0],
        not_after=leaf.validity[1],
        names=(*leaf.names, *map(str, leaf.addresses)),
    )
    told = (*map(advice.problem, facts), *advice.expiry(leaf), *unusable(part, str(paths.crt)))
    return Reading(part, warnings=(*told, *ours.warnings(disk, crt), *_unread(disk)), again=again)


def _half(disk: Snapshot, path: Path, other: Path) -> bytes:
    """What is in `path`, one half of the pair. Raises BadInput where it is missing, with what to do about it by what is
    known of the `other` one, if that is there."""
    found = disk.read(path, reading.PEM)
    if found is not None:
        return found
    if os.path.lexists(path) or os.path.lexists(other):
        return required(disk, path, reading.PEM, f"bring it back; or {ours.renewal(disk, other)}")
    return required(disk, path, reading.PEM)


@dataclass(frozen=True)
class _Advice:
    """What to do about what clients have against the certificate of `disk`, which is not for the names `missing`."""

    disk: Snapshot
    now: datetime
    missing: Sequence[str]

    def problem(self, fact: Fact) -> Problem:
        """`fact` in words: who refuses it, and what helps."""
        paths = self.disk.paths
        what = f"{fact.what}; {fact.by} {REFUSE}" if fact.by else f"{fact.what}: clients {REFUSE}"
        return Problem(str(paths.crt), what, self._hint(fact))

    def _hint(self, fact: Fact) -> str:
        paths = self.disk.paths
        renewal = ours.renewal(self.disk, paths.crt)
        if fact.about == clientrules.AHEAD:
            return "it is tried again then, by itself; if this host's clock is wrong, set it: timedatectl"
        if fact.about in (clientrules.CA, clientrules.ROOT):
            return f"append to it what issued it, each CA after what it signed; their root belongs into {paths.ca_crt}"
        if not fact.needs:
            return renewal
        if renewal == ours.GENCERT and fact.about == clientrules.NAMES and (refused := self._unsignable()):
            return f"the host's CA may not sign {', '.join(refused)}: {NEW_CA}"
        if renewal == ours.GENCERT:
            return f"write into {paths.openssl_cnf}: {fact.needs}; then: {renewal}"
        return f"have it issued anew, with {fact.needs}"

    def _unsignable(self) -> tuple[str, ...]:
        """Those of the missing names that the host's CA may not sign."""
        ca = ours.authority(self.disk).pair
        return limits.outside_named(chains.read(ca.crt, "")[0], self.missing) if ca is not None else ()

    def expiry(self, leaf: Cert) -> tuple[Problem, ...]:
        """A warning when not much of its life is left."""
        ends = leaf.validity[1]
        if not warned_at(leaf) <= self.now < ends:
            return ()
        left = ends - self.now
        said = f"{left.days} days" if left.days > 1 else f"{left.total_seconds() / 3600:.0f} hours"
        what = f"{EXPIRES} {ends:%Y-%m-%d}, in {said}"
        return (Problem(str(self.disk.paths.crt), what, ours.renewal(self.disk, self.disk.paths.crt)),)


def warned_at(leaf: Cert) -> datetime:
    """From when on its end is told: when a third of its life is left, two weeks before it at the earliest."""
    begins, ends = leaf.validity
    return ends - min((ends - begins) / 3, WARNED)


def _next(disk: Snapshot, leaf: Cert, now: datetime) -> datetime | None:
    """When, at the earliest, time alone changes what there is to say of `leaf`, or to do."""
    times = [*leaf.validity, warned_at(leaf)]
    if ours.is_our_certificate(disk, disk.peek(disk.paths.crt, reading.PEM)):
        times.append(ours.renewed_at(leaf))
    return min((time for time in times if time > now), default=None)


def _unread(disk: Snapshot) -> tuple[Problem, ...]:
    """A warning when nothing can be made of ca.crt: it counts as none then."""
    path = disk.paths.ca_crt
    try:
        if (data := disk.read(path, reading.NGINX)) is not None:
            chains.read(data, str(path))
    except SecregError as error:
        said = "so clients get no CA of it"
        return tuple(Problem(one.where, f"{one.what}, {said}", one.hint) for one in error.problems)
    return ()


def unusable(part: CertificatePart, where: str) -> tuple[Problem, ...]:
    """A warning when the certificate has names that are neither host names nor addresses."""
    odd = [name for name in part.names if name not in part.usable_names]
    if not odd:
        return ()
    shown = ", ".join(f"{name[:60]!a}" for name in odd[:5])
    what = f"{len(odd)} of its names are neither host names nor addresses, and passed over: {shown}"
    return (Problem(where, what, "clients can't reach it by them; have it issued without"),)
