"""The part of secure-registry.conf: the settings, without the password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from secreg_host.base import reading
from secreg_host.base.errors import BadInput, Problem
from secreg_host.base.snapshot import Snapshot
from secreg_host.wanted import cautions
from secreg_host.wanted import settings as settings_module
from secreg_host.wanted.parts.part import Part, required
from secreg_host.wanted.settings import Settings


@dataclass(frozen=True, kw_only=True)
class SettingsPart(Part):
    """The settings that a generation is made with. Their password is empty: it is no business of a generation's."""

    NAME = "settings"

    settings: Settings

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The part of `settings`."""
        return cls(settings=replace(settings, password=""))

    @property
    def facts(self) -> dict[str, Any]:
        return self.settings.public()

    @classmethod
    def restored(cls, files: Mapping[str, bytes], sources: tuple[str, ...], facts: Mapping[str, Any]) -> Self:
        if not facts:
            raise LookupError("no settings")
        known: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in facts.items()
            if name in Settings.__dataclass_fields__
        }
        return cls(files=files, sources=sources, settings=replace(Settings(), **known))


def read(disk: Snapshot, environment: Mapping[str, str], *, known: bool = False) -> Settings:
    """The settings, with the password.

    known: whether there are some that serve. They hold on while the file is away or empty, as it is for a moment while
    some editors save it: all defaults would be another port, other names. Raises BadInput.
    """
    conf = disk.paths.conf
    data = required(disk, conf, reading.SETTINGS) if known else disk.read(conf, reading.SETTINGS)
    if known and not data:
        hint = "write the settings again, or a comment if there are none"
        raise BadInput([Problem(str(conf), "is empty", hint)])
    loaded = settings_module.load(conf, data, environment)
    if problems := cautions.unresolved(loaded, conf):
        raise BadInput(problems)
    return loaded
