"""What a part of a generation is: files of /etc that stand and fall together, and what is known of them.

Each part is good or bad by itself, so that a broken file holds back only itself. A part is one class in a file of its
own here, listed in `kinds`: it says how it is read, and how it is kept in a generation's manifest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from secreg_host.base import bugs
from secreg_host.base.errors import Problem, bad_input
from secreg_host.base.paths import Paths
from secreg_host.base.snapshot import Snapshot
from secreg_host.host.host import Host

RESTORE = "bring it back, or let this write a new one: secure-registry setup"


@dataclass(frozen=True, kw_only=True)
class Part(ABC):
    """Files of a generation that stand and fall together. Its classes add what is known of them.

    files: path below the generation -> bytes; sources: files of /etc that they were read from.
    """

    NAME: ClassVar[str]
    """What findings and manifests call it."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    sources: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where an administrator mends it."""
        return self.sources[0] if self.sources else self.NAME

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of the files, as JSON values for the manifest."""
        own = [one.name for one in fields(self) if one.name not in ("files", "sources")]
        return {name: _plain(getattr(self, name)) for name in own}

    @classmethod
    @abstractmethod
    def restored(cls, files: Mapping[str, bytes], sources: tuple[str, ...], facts: Mapping[str, Any]) -> Self:
        """The part of which a manifest, also one of version 0.1, holds `facts`; of a version before the part there are
        neither files nor facts. Raises LookupError, TypeError, ValueError or AttributeError for what no version wrote.
        """


class FilePart(Part):
    """A part that is read by itself, once the settings are known."""

    @classmethod
    @abstractmethod
    def where(cls, paths: Paths) -> Path:
        """The file of /etc that it is about."""

    @classmethod
    @abstractmethod
    def read(cls, context: Context) -> Reading[Part]:
        """The part as /etc has it now. Raises SecregError with what is wrong, if that is not in the answer."""


def _plain(value: Any) -> Any:
    """`value` of a part as a JSON value."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


P = TypeVar("P", bound=Part)
Read = TypeVar("Read", bound=Part, covariant=True)


class Parts:
    """Parts, each found by its class: `parts[CertificatePart].names`. It can't be changed, only be made anew."""

    def __init__(self, *parts: Part) -> None:
        self._parts: dict[type[Part], Part] = {type(part): part for part in parts}

    def __getitem__(self, kind: type[P]) -> P:
        found = self._parts[kind]
        assert isinstance(found, kind)
        return found

    def get(self, kind: type[P]) -> P | None:
        """The part of class `kind`, or None."""
        return self[kind] if kind in self._parts else None

    def __contains__(self, kind: type[Part]) -> bool:
        return kind in self._parts

    def __iter__(self) -> Iterator[Part]:
        return iter(self._parts.values())

    def __len__(self) -> int:
        return len(self._parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parts) and self._parts == other._parts

    __hash__ = None  # type: ignore[assignment]

    def having(self, *others: Part) -> Parts:
        """These parts, with `others` in the place of those of the same classes."""
        return Parts(*self, *others)


@dataclass(frozen=True)
class Reading(Generic[Read]):
    """What reading a part gave: the part (None: it can't be used), problems, whether half of a pair is missing, and
    when time alone would have it read otherwise (None: never)."""

    part: Read | None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    waiting: bool = False
    again: datetime | None = None


@dataclass(frozen=True)
class Context:
    """What a part may look at while it is read: the host, its files, its clock, the parts that were read before it (as
    they are, or in their last good version), and those that serve."""

    host: Host
    disk: Snapshot
    now: datetime
    parts: Parts
    known: Parts


def guarded(where: Path, read: Callable[[], Reading[P]]) -> Reading[P]:
    """`read()`, which is about the file `where`, with whatever it raises turned into the problems of its part."""
    try:
        return read()
    except BaseException as error:
        return Reading(None, bugs.caught(error, where))


def required(disk: Snapshot, path: Path, limit: int, hint: str = RESTORE) -> bytes:
    """The bytes of `path`, at most `limit`. Raises BadInput with `hint` where there is no such file."""
    data = disk.read(path, limit)
    if data is None:
        raise bad_input(str(path), "does not exist", hint)
    return data
