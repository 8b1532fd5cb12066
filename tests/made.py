"""Parts of a generation as tests need them: what is not given is of no matter there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from secreg_host.wanted.parts.certificate import CertificatePart
from secreg_host.wanted.parts.settings import SettingsPart
from secreg_host.wanted.settings import Settings

BEGIN, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


def settings(**given: Any) -> SettingsPart:
    """The part of the defaults with what is `given`."""
    return SettingsPart.of(replace(Settings(), **given))


def certificate(
    files: Mapping[str, bytes] | None = None, names: tuple[str, ...] = (), sources: tuple[str, ...] = ()
) -> CertificatePart:
    """The part of a pair for `names`."""
    return CertificatePart(
        files=files or {}, sources=sources, names=names, fingerprint="f", not_before=BEGIN, not_after=END
    )
