"""Parts of a generation as tests need them: what is not given is of no matter there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from secreg_host.formats.listening import Listen
from secreg_host.wanted.parts import kinds
from secreg_host.wanted.parts.certificate import CRT, KEY, CertificatePart
from secreg_host.wanted.parts.nginx import CONF, NginxPart
from secreg_host.wanted.parts.part import Part, Parts
from secreg_host.wanted.parts.registry import YML, RegistryPart
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


AT = Listen("", 443)
"""Where what is made serves."""


def registry(yml: str = "version: 0.1", **given: Any) -> RegistryPart:
    """The part of a docker-registry.yml that holds `yml`, whose images are on no file system."""
    return RegistryPart(**{"files": {YML: yml.encode()}, "sources": ("docker-registry.yml",), "root": None} | given)


def nginx(conf: str = "# one", **given: Any) -> NginxPart:
    """The part of an nginx.conf that holds `conf`, and serves at `AT`."""
    known: dict[str, Any] = {"files": {CONF: conf.encode()}, "sources": ("nginx.conf",), "origin": {CONF: "nginx.conf"}}
    return NginxPart(**known | {"answering": (AT,), "listens": (AT,)} | given)


def parts(*others: Part, **given: Any) -> Parts:
    """Parts that make a generation, with `others` in their places; `given`: settings. Of those that came later, what
    there is of them in a generation of before."""
    pair = {CRT: b"crt", KEY: b"key"}
    known = Parts(settings(**given), certificate(pair, (), ("crt", "key")), registry(), nginx())
    later = (kind.restored({}, (), {}) for kind in kinds.ALL if kind not in known)
    return known.having(*later).having(*others)
