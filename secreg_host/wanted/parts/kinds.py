"""The list of parts: a new one is a file here and a line below."""

from __future__ import annotations

from secreg_host.wanted.parts.access import AccessPart
from secreg_host.wanted.parts.certificate import CertificatePart
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.parts.part import FilePart, Part
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.parts.settings import SettingsPart

FILES: tuple[type[FilePart], ...] = (AccessPart, CertificatePart, RegistryPart, NginxPart)
"""Parts in the order in which they are read: some look at those before them."""

ALL: tuple[type[Part], ...] = (SettingsPart, *FILES)
"""What a generation is made of. Users are no part of it: they never go back (`liveusers`)."""

REVERTIBLE: tuple[type[Part], ...] = (AccessPart, CertificatePart, NginxPart, RegistryPart)
"""Parts that go back to their last good version when they fail, in the order in which their changes are tried."""
