"""The part of docker-registry.crt and docker-registry.key: the pair that the front serves with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from secreg_host.base import names, reading
from secreg_host.base.errors import Problem
from secreg_host.base.paths import Paths
from secreg_host.base.snapshot import Snapshot
from secreg_host.pki import certs, ours, pairs
from secreg_host.wanted.parts.part import Context, FilePart, Reading, required

WARN_DAYS = 14
CRT, KEY = "front/docker-registry.crt", "front/docker-registry.key"
CA = "front/ca.crt"
"""The CA that signed the certificate, for clients (/ca.crt); absent when none of ours or the administrator's did."""


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
        """The PEM certificate of the CA that signed it, if that is known here."""
        return self.files.get(CA)

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
        return read(context.disk, context.now, context.known.get(cls))


def read(disk: Snapshot, now: datetime, before: CertificatePart | None) -> Reading[CertificatePart]:
    """The pair docker-registry.{crt,key}; a pair that does not match is waited for, as it may change in two steps.

    before: the part that serves. The same bytes are not judged again: an expired certificate, or a clock set back,
    is a warning then. Raises BadInput.
    """
    paths = disk.paths
    if os.path.lexists(paths.crt) or os.path.lexists(paths.key):
        crt = required(disk, paths.crt, reading.PEM, f"bring it back; or {ours.renewal(disk, paths.key)}")
        key = required(disk, paths.key, reading.PEM, f"bring it back; or {ours.renewal(disk, paths.crt)}")
    else:
        crt, key = required(disk, paths.crt, reading.PEM), required(disk, paths.key, reading.PEM)
    authority = ours.signer(disk, crt)
    files = {CRT: crt, KEY: key} | ({CA: authority} if authority else {})
    if before is not None and (before.files[CRT], before.files[KEY]) == (crt, key):
        part = replace(before, files=files)
        return Reading(part, warnings=_warnings(part, disk, now, crt))
    judged = pairs.judge(certs.KeyPair(crt, key), str(paths.crt), str(paths.key), now, ours.renewal(disk, paths.crt))
    certificate = judged.certificate
    if certificate is None:
        return Reading(None, judged.problems, waiting=judged.mismatch)
    part = CertificatePart(
        files=files,
        sources=(str(paths.crt), str(paths.key)),
        fingerprint=certificate.fingerprint,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        names=(*certificate.names, *map(str, certificate.addresses)),
    )
    return Reading(part, warnings=_warnings(part, disk, now, crt))


def _warnings(part: CertificatePart, disk: Snapshot, now: datetime, crt: bytes) -> tuple[Problem, ...]:
    return (*expiry(part, disk, now), *ours.warnings(disk, crt), *unusable(part, str(disk.paths.crt)))


def unusable(part: CertificatePart, where: str) -> tuple[Problem, ...]:
    """A warning when the certificate has names that are neither host names nor addresses."""
    odd = [name for name in part.names if name not in part.usable_names]
    if not odd:
        return ()
    shown = ", ".join(f"{name[:60]!a}" for name in odd[:5])
    what = f"{len(odd)} of its names are neither host names nor addresses, and passed over: {shown}"
    return (Problem(where, what, "clients can't reach it by them; have it issued without"),)


def expiry(part: CertificatePart, disk: Snapshot, now: datetime) -> tuple[Problem, ...]:
    """A warning when the certificate that serves is expired, about to expire, or not valid by this host's clock."""
    where, begins, ends = str(disk.paths.crt), part.not_before, part.not_after
    if now < begins:
        hint = "set this host's clock: timedatectl"
        return (Problem(where, f"by this host's clock ({now:%Y-%m-%d}) it is valid only from {begins:%Y-%m-%d}", hint),)
    days = (ends - now).days
    if days >= WARN_DAYS:
        return ()
    said = f"expires on {ends:%Y-%m-%d}, in {days} days" if now < ends else f"expired on {ends:%Y-%m-%d}"
    return (Problem(where, said, ours.renewal(disk, disk.paths.crt)),)
